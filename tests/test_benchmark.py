"""The benchmark: which cells there are, what their keys depend on, and that nothing is lost."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pwm_core.benchmark import cell as cells
from pwm_core.benchmark import results
from pwm_core.benchmark.cell import Cell, choose, owned
from pwm_core.benchmark.pool import DIED, outcomes
from pwm_core.benchmark.store import Store
from pwm_core.benchmark.worker import metrics_digest, rescore, work
from pwm_core.cli import main
from pwm_core.commands.benchmark import _work
from pwm_core.errors import BadValue, UnknownName, Unsuitable
from pwm_core.executors import Serial, WorkerLost
from pwm_core.registry import installed

SMALL = {"side": "6", "window": "32", "detector_pixel": "300", "defocus": "60"}
CELL = Cell("ptychography", "cells", "ideal", "epie", settings={"iterations": "2"}, simulate=SMALL)
SELECTION = [
    "--modality ptychography --method epie --method rpie --scene cells --scene lattice --scenario ideal",
    "--scenario mismatch --set epie.iterations=3 --set rpie.iterations=3 --no-figures",
    *(f"--simulate ptychography.{k}={v}" for k, v in SMALL.items()),
]


def command(folder: Path, *more: str) -> list[str]:
    words = " ".join(SELECTION).split()
    return [sys.executable, "-m", "pwm_core.cli", "benchmark", *words, "--output", str(folder), *more]


# -- cells and their keys -----------------------------------------------------------------------


def test_an_empty_selection_is_everything_that_fits() -> None:
    found = installed()
    chosen = choose(found)
    assert {c.modality for c in chosen} == {e.card.name for e in found.of("modality")}
    for one in chosen:
        modality = found.find(one.modality, "modality")
        assert one.scene in modality.load().scenes
        assert (one.scenario == "calibrated") == bool(one.calibrator)
    assert len(set(chosen_keys(chosen))) == len(chosen)


def chosen_keys(chosen: list[Cell]) -> list[str]:
    return [json.dumps(vars(c), sort_keys=True) for c in chosen]


@pytest.mark.parametrize(
    "change",
    [
        {"scene": "lattice"},
        {"scenario": "mismatch"},
        {"method": "rpie"},
        {"seed": 1},
        {"settings": {"iterations": "3"}},
        {"simulate": {**SMALL, "side": "7"}},
        {"threads": 2},
        {"max_seconds": 1.0},
    ],
)
def test_the_key_changes_with_everything_that_decides_the_result(change: dict) -> None:
    found = installed()
    assert CELL.key(found) == replace(CELL).key(found)
    assert CELL.key(found) != replace(CELL, **change).key(found)


def test_the_key_changes_with_the_contents_of_a_file_that_a_setting_names(tmp_path: Path) -> None:
    found, weights = installed(), tmp_path / "weights"
    cell = replace(CELL, settings={"weights": str(weights)})
    keys = [cell.key(found)]
    for contents in ("one", "other"):
        weights.write_text(contents)
        keys.append(cell.key(found))
    assert len(set(keys)) == 3


def test_the_key_changes_with_the_sources_but_not_with_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    found = installed()
    before = CELL.key(found)
    seen: list[str] = []
    monkeypatch.setattr(cells, "source_digest", lambda name: seen.append(name) or "other")
    assert CELL.key(found) != before
    assert seen == ["pwm-core", "pwm-epie", "pwm-ptychography"]
    assert not any(name in ("driver.py", "lift.py") for name in cells._NOT_DECIDING)
    assert "metrics.py" in cells._NOT_DECIDING


@pytest.mark.parametrize(
    ("selection", "error", "words"),
    [
        ({"methods": ["nonsense"]}, UnknownName, "nonsense"),
        ({"modalities": ["nonsense"]}, UnknownName, "nonsense"),
        ({"settings": {"epi": {"iterations": "2"}}}, UnknownName, "no method called 'epi'"),
        ({"max_seconds": float("inf")}, BadValue, "positive number of seconds"),
        ({"simulate": {"ptycho": {"side": "2"}}}, UnknownName, "no modality called 'ptycho'"),
    ],
)
def test_a_selection_that_names_nothing_is_refused(selection: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        choose(installed(), **selection)


def test_settings_name_their_owner() -> None:
    assert owned(["epie.iterations=2", "epie.modes=1"], "--set") == {
        "epie": {"iterations": "2", "modes": "1"}
    }
    with pytest.raises(BadValue, match=r"--set takes OWNER.NAME=VALUE"):
        owned(["iterations=2"], "--set")


# -- one cell -----------------------------------------------------------------------------------


def test_a_cell_leaves_its_folder_and_can_be_scored_again(tmp_path: Path) -> None:
    assert work(CELL, "k", str(tmp_path)) == "done"
    store = Store(tmp_path)
    assert {p.name for p in store.cell("k").iterdir()} == {
        "result.h5",
        "figure.png",
        "gallery.json",
        "truth.png",
        "measurement.png",
        "reconstruction.png",
        "error.png",
        "run.json",
        "score.json",
    }
    before = store.score("k")
    store.put_score("k", {**before, "metrics": "old", "psnr": -1.0})
    rescore(CELL, "k", str(tmp_path))
    assert store.score("k") == {**before, "metrics": metrics_digest()}
    assert store.record("k")["command"].startswith(
        "pwm run --method epie --modality ptychography --scene cells"
    )
    (row,) = results.rows([("k", CELL)], store)
    assert row["psnr"] == before["psnr"]
    assert row["status"] == "finished"


def test_a_cell_that_fails_says_why_and_leaves_no_result(tmp_path: Path) -> None:
    bad = replace(CELL, settings={"iterations": "-1"})
    assert work(bad, "k", str(tmp_path)) == "failed"
    store = Store(tmp_path)
    assert not store.done("k")
    assert "iterations" in (store.failure("k") or {})["reason"]
    (row,) = results.rows([("k", bad)], store)
    assert row["status"] == "failed"
    assert "iterations" in row["reason"]
    assert work(CELL, "k", str(tmp_path)) == "done"  # and a later success takes the failure away
    assert store.failure("k") is None


def test_a_half_written_cell_is_no_result(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def killed() -> None:
        with store.writing("k") as place:
            (place / "result.h5").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        killed()
    assert not store.done("k")
    (tmp_path / "cells" / ".left-by-a-killed-worker").mkdir()
    store.sweep()
    assert not list((tmp_path / "cells").iterdir())


# -- many cells ---------------------------------------------------------------------------------


def square(n: int, tally: str) -> str:
    """Kills its worker at 3; notes every call."""
    with open(tally, "a") as file:
        file.write(f"{n}\n")
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return str(n * n)


def test_a_call_that_kills_its_worker_takes_no_other_with_it(tmp_path: Path) -> None:
    def make() -> concurrent.futures.Executor:
        return concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))

    tally = tmp_path / "tally"
    found = dict(outcomes([(str(n), (n, str(tally))) for n in range(8)], square, make, 2))
    assert found == {str(n): str(n * n) if n != 3 else DIED for n in range(8)}
    calls = tally.read_text().split()
    assert calls.count("3") == 2  # in company, and alone
    assert len(calls) <= 8 + 3


def test_an_error_in_a_call_is_an_outcome(tmp_path: Path) -> None:
    found = dict(
        outcomes([("good", (2, str(tmp_path / "t"))), ("bad", ())], square, lambda: Serial().open(1, 1), 4)
    )
    assert found["good"] == "4"
    assert found["bad"].startswith("TypeError")


def loses_its_worker(n: int, calls: list[int], times: int) -> str:
    calls.append(n)
    if n == 1 and calls.count(1) <= times:
        raise WorkerLost("its process was killed")
    return "done"


@pytest.mark.parametrize(("times", "end"), [(1, "done"), (9, "its process was killed")])
def test_a_call_that_lost_its_worker_is_tried_once_more_after_all_others(times: int, end: str) -> None:
    calls: list[int] = []
    jobs = [(str(n), (n, calls, times)) for n in range(4)]
    found = dict(outcomes(jobs, loses_its_worker, lambda: Serial().open(1, 1), None))
    assert found == {"0": "done", "1": end, "2": "done", "3": "done"}
    assert calls == [0, 1, 2, 3, 1]


def test_workers_end_when_their_parent_is_killed() -> None:
    script = (
        "import os, time; from pwm_core.executors import Processes\n"
        "if __name__ == '__main__':\n"
        "    with Processes().open(1, 1) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())  # type: ignore[union-attr]
    parent.kill()
    parent.wait()
    for _ in range(200):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker waits for ever")


@pytest.mark.parametrize(
    ("change", "words"),
    [({"key": "0" * 64}, "other sources or versions"), ({"folder": "/no/such/folder"}, "does not see")],
)
def test_a_worker_that_cannot_give_this_result_refuses(tmp_path: Path, change: dict, words: str) -> None:
    place = {"key": CELL.key(installed()), "folder": str(tmp_path), **change}
    assert words in _work(CELL, place["key"], place["folder"], float("inf"), False)
    assert not list(tmp_path.iterdir())


def test_no_workers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--workers", "0", "--output", str(tmp_path)]) == 2
    assert "--workers must be at least 1" in capsys.readouterr().err


def written(folder: Path) -> dict[str, int]:
    """The finished cells and when their records were written."""
    records = folder.glob("cells/*/run.json")
    return {p.parent.name: p.stat().st_mtime_ns for p in records if not p.parent.name.startswith(".")}


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_identical_result(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(whole, "--workers", "2"), check=True, capture_output=True)
    process = subprocess.Popen(command(cut, "--workers", "1"), stderr=subprocess.PIPE, start_new_session=True)
    while len([p for p in cut.glob("cells/*") if not p.name.startswith(".")]) < 2:
        time.sleep(0.05)
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = written(cut)
    resumed = subprocess.run(command(cut, "--workers", "2"), check=True, capture_output=True, text=True)
    assert "8 cells" in resumed.stderr
    assert "0 of them done" not in resumed.stderr
    assert len(done) >= 2
    assert done.items() <= written(cut).items()  # untouched

    def scores(folder: Path) -> list:
        rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
        return [[r[n] for n in ("key", "psnr", "ssim", "standard", "blind", "consistency")] for r in rows]

    assert scores(cut) == scores(whole)
    assert len(scores(whole)) == 8
    assert "| `epie` |" in (whole / "table.md").read_text()


def test_a_method_that_fits_none_of_the_modalities_is_refused_with_the_reason() -> None:
    found = installed()
    others = [e.card.name for e in found.of("modality") if e.card.name != "ptychography"]
    if not others:
        pytest.skip("no other modality is installed")
    with pytest.raises(Unsuitable, match="needs ptychography"):
        choose(found, methods=["epie"], modalities=others[:1])


def test_the_recovery_ratio_is_that_of_each_scene() -> None:
    base = {"modality": "m", "method": "a", "standard": 0.5}
    table = [
        {
            **base,
            "scene": scene,
            "scenario": scenario,
            "calibrator": "c" if scenario == "calibrated" else "",
            "psnr": p,
        }
        for scene, values in {"one": (30, 20, 28), "two": (30, 29.8, 29.9)}.items()
        for scenario, p in zip(("ideal", "mismatch", "calibrated"), values, strict=True)
    ]
    assert results.recoveries(table) == {
        ("m", "a", "c"): [("one", 30, 20, 28, 0.8), ("two", 30, 29.8, 29.9, None)]
    }
