"""``pwm compare``: a change counts when it exceeds the tolerance and, with several seeds, their spread."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwm_core.benchmark.compare import Tolerance, compare, load_rows
from pwm_core.cli import main
from pwm_core.errors import BadFile, BadValue


def row(**changes: Any) -> dict[str, Any]:
    base = {
        "modality": "m",
        "scene": "one",
        "scenario": "ideal",
        "method": "a",
        "calibrator": "",
        "seed": 0,
        "settings": {},
        "simulate": {},
        "status": "finished",
        "reason": "",
        "psnr": 30.0,
        "ssim": 0.9,
        "standard": 0.7,
        "blind": 0.6,
        "seconds": 1.0,
    }
    return {**base, **changes}


def failed(**changes: Any) -> dict[str, Any]:
    numbers = ("psnr", "ssim", "standard", "blind", "seconds")
    made = row(status="failed", reason="it broke", **changes)
    return {k: v for k, v in made.items() if k not in numbers}


def verdict(first: list[dict], second: list[dict], tolerance: Tolerance | None = None) -> str:
    (cell,) = compare(first, second, tolerance or Tolerance()).both
    return cell.verdict


def written(folder: Path, name: str, rows: list[dict]) -> Path:
    path = folder / name / "results.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "unchanged"),
        ({"psnr": 29.95}, "unchanged"),
        ({"psnr": 29.85}, "worse"),
        ({"psnr": 30.15}, "better"),
        ({"standard": 0.694}, "worse"),
        ({"standard": 0.706}, "better"),
        ({"blind": 0.1}, "unchanged"),  # it is not the score of scenario ideal
        ({"psnr": 31.0, "standard": 0.6}, "worse"),  # better in one and worse in the other
        ({"seconds": 9.0}, "unchanged"),
        ({"psnr": -math.inf, "standard": 0.0}, "worse"),
    ],
)
def test_one_seed_is_judged_by_the_tolerance(change: dict, expected: str) -> None:
    assert verdict([row()], [row(**change)]) == expected


def test_outside_of_ideal_the_blind_score_counts() -> None:
    old, new = row(scenario="mismatch"), row(scenario="mismatch", blind=0.5)
    assert verdict([old], [new]) == "worse"


def test_a_diverged_run_in_both_sets_is_no_change() -> None:
    diverged = row(psnr=-math.inf, ssim=0.0, standard=0.0, blind=0.0)
    assert verdict([diverged], [dict(diverged)]) == "unchanged"


def test_with_several_seeds_the_spread_of_the_differences_decides() -> None:
    old = [row(seed=s, psnr=30 + s) for s in range(5)]
    scattered = [row(seed=s, psnr=30 + s + d) for s, d in enumerate((1.5, -1.9, 1.2, -1.6, -0.7))]
    steady = [row(seed=s, psnr=30 + s - 0.3 - 0.01 * s) for s in range(5)]
    assert verdict(old, scattered) == "unchanged"  # mean −0.3, but so wide that it means nothing
    assert verdict(old, steady) == "worse"  # mean −0.32, though seeds differ by 1 dB among themselves


def test_the_interval_is_that_of_student() -> None:
    differences = (-0.1, -0.2, -0.3)  # mean −0.2, standard error 0.1/√3, t(0.975, 2) = 4.3027
    (cell,) = compare(
        [row(seed=s) for s in range(3)], [row(seed=s, psnr=30 + d) for s, d in enumerate(differences)]
    ).both
    assert cell.psnr is not None
    assert cell.psnr.threshold == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5)
    assert cell.seeds == 3


def test_only_seeds_of_both_sets_are_compared() -> None:
    old = [row(seed=0), row(seed=1, psnr=90.0)]
    assert verdict(old, [row(seed=0), row(seed=2, psnr=3.0)]) == "unchanged"
    (cell,) = compare([row(seed=0)], [row(seed=1)]).both
    assert (cell.verdict, cell.reason) == ("unchanged", "no seed in common")


def test_a_result_lost_is_worse_and_one_gained_is_better() -> None:
    (lost,) = compare([row()], [failed()]).both
    assert (lost.verdict, lost.reason) == ("worse", "failed: it broke")
    (gained,) = compare([failed()], [row()]).both
    assert (gained.verdict, gained.reason) == ("better", "was failed: it broke")
    (never,) = compare([failed()], [failed()]).both
    assert (never.verdict, never.reason) == ("unchanged", "failed: it broke")


def test_cells_of_one_set_are_listed_and_judge_nothing() -> None:
    found = compare([row(), row(scene="two")], [row(), row(method="b")])
    assert [n.scene for n in found.only_first] == ["two"]
    assert [n.method for n in found.only_second] == ["b"]
    assert not found.of("worse")


def test_another_simulated_instrument_is_another_cell_but_other_settings_are_not() -> None:
    with pytest.raises(BadValue, match="none in common"):
        compare([row()], [row(simulate={"side": "8"})])
    (cell,) = compare([row()], [row(settings={"iterations": "3"}, psnr=20.0)]).both
    assert cell.resettled
    assert cell.verdict == "worse"


@given(st.floats(-50, 90), st.floats(-50, 90), st.floats(0, 5))
def test_what_is_worse_one_way_is_better_the_other(before: float, after: float, tolerance: float) -> None:
    old, new = [row(psnr=before)], [row(psnr=after)]
    opposite = {"worse": "better", "better": "worse", "unchanged": "unchanged"}
    chosen = Tolerance(psnr=tolerance)
    assert verdict(new, old, chosen) == opposite[verdict(old, new, chosen)]


# -- the command --------------------------------------------------------------------------------


def test_the_exit_status_says_whether_anything_got_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    a = written(tmp_path, "a", [row(), row(scene="two"), row(scene="three"), failed(scene="four")])
    b = written(
        tmp_path,
        "b",
        [row(psnr=29.0), row(scene="two", psnr=32.0), row(scene="three", seconds=3.0), failed(scene="four")],
    )
    assert main(["compare", str(a.parent), str(b)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "30.00 → 29.00" in out
    assert "-1.00" in out
    assert "1 → 3" in out
    assert "3.00" in out
    assert "not compared: a on m/four, ideal: failed: it broke" in out
    assert "4 cells in both: 1 worse, 1 better, 2 unchanged" in out
    assert main(["compare", str(a), str(a)]) == 0
    assert main(["compare", str(a), str(b), "--psnr", "1.5"]) == 0


def test_infinite_numbers_survive_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "a", [row(psnr="-inf", standard=0.0)])
    assert load_rows(path)[0]["psnr"] == -math.inf


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "results.jsonl:1 is not a row"),
        ("[1, 2]", "is not a row"),
        ('{"modality": "m"}', "it has no scene"),
        (json.dumps(row(psnr="high")), "is not a row"),
        (json.dumps(row(psnr="nan")), "psnr is not a number"),
    ],
)
def test_what_is_no_result_set_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "results.jsonl").write_text(text + "\n")
    with pytest.raises(BadFile, match=words):
        load_rows(tmp_path)


def test_a_folder_without_results_and_a_bad_tolerance_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    path = written(tmp_path, "a", [row()])
    assert main(["compare", str(path), str(path), "--score", "-1"]) == 2
    assert "tolerance of score must be 0 or more" in capsys.readouterr().err
