"""The report of a benchmark: every cell is on it, its links lead somewhere, and a browser shows it well."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread, imsave

from pwm_core import Card
from pwm_core.benchmark.cell import Cell
from pwm_core.benchmark.report import write_report
from pwm_core.benchmark.report.html import Html, join, tag
from pwm_core.benchmark.report.plot import log_ticks, ticks
from pwm_core.benchmark.report.standing import standings
from pwm_core.benchmark.results import markdown
from pwm_core.benchmark.store import Store
from pwm_core.cli import main
from pwm_core.registry import Entry, Registry

HOSTILE = "<script>alert('x')</script> & \"quoted\""
MADE_UP = """
from pwm_core.modality import Axis, Modality, Spec

class Alpha(Modality):
    name, title, scenes = "alpha", "Alpha imaging", ("one", "two")
    specs = (
        Spec("blur", "σ", "psf.blur", "nm", 0.0, 5.0, (-5.0, 10.0), (-6.0, 9.0), (-3.5, 11.5), ""),
        Spec("tilt", "φ", "stage.tilt", "", 0.0, 1.0, (-1.0, 2.0), (-1.0, 2.0), (-1.0, 2.0), ""),
    )
    aliases = {"sharp": "Sharp-A"}

class Beta(Modality):
    name, title, scenes = "beta", "Beta imaging", ("one",)
"""
SCORES = {"sharp": 0.9, "soft": 0.6, "dim": 0.7}  # dim lacks a cell, so it comes last


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Two modalities and three methods that exist nowhere else."""
    (tmp_path / "made_up.py").write_text(MADE_UP)
    monkeypatch.syspath_prepend(str(tmp_path))
    cards = [
        Card("alpha", "made_up:Alpha", "modality", "first"),
        Card("beta", "made_up:Beta", "modality", "second"),
        *(
            Card(name, "x:Y", "reconstructor", f"about {name}", cite="10.1/x", variant="faster")
            for name in SCORES
        ),
    ]
    return Registry([Entry(card, "pwm-made-up", "0.1.0") for card in cards])


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Finished, diverged, failed and missing cells, with pictures where there is a result."""
    store = Store(tmp_path / "store")
    made = []
    for modality, scenes in {"alpha": ("one", "two"), "beta": ("one",)}.items():
        for scene in scenes:
            for scenario, helper in {"ideal": "", "mismatch": "", "calibrated": "fit"}.items():
                made += [made_row(store, modality, scene, scenario, name, helper) for name in SCORES]
    return made


def made_row(
    store: Store, modality: str, scene: str, scenario: str, method: str, helper: str
) -> dict[str, Any]:
    cell = Cell(modality, scene, scenario, method, helper, settings={"name": HOSTILE})
    key = "-".join((modality, scene, scenario, method))
    row: dict[str, Any] = {**vars(cell), "key": key, "command": cell.command}
    if (method, scene, modality) == ("dim", "two", "alpha"):
        return {**row, "status": "failed", "reason": HOSTILE}
    if (method, modality) == ("dim", "beta"):
        return {**row, "status": "missing", "reason": ""}
    leave_files(store, key)
    base = SCORES[method] - (0.3 if scenario == "mismatch" else 0.01 if helper else 0.0)
    true = {"psf.blur": 3.0 if scene == "one" else -2.0, "stage.tilt": 0.5}
    diverged = (method, modality, scenario) == ("soft", "beta", "ideal")
    if diverged:
        base = 0.0
    return {
        **row,
        "status": "diverged" if diverged else "finished",
        "reason": "3 of 9 values are not finite" if diverged else "",
        "psnr": -math.inf if diverged else 40 * base,
        "ssim": base,
        "standard": base,
        "blind": base - 0.05,
        "consistency": 0.8,
        "seconds": 100.0 * (1 - SCORES[method]),
        "peak_memory_bytes": 3 * 2**28,
        "theta_true": true,
        "theta_estimated": {"psf.blur": true["psf.blur"] + 0.2} if helper else {},
        "calibration": {"std:psf.blur": 0.3} if helper else {},
        "folder": f"cells/{key}",
    }


def leave_files(store: Store, key: str) -> None:
    with store.writing(key) as place:
        hardware = {"processor": "a processor", "cores": 2, "threads": 1, "system": "Linux"}
        (place / "run.json").write_text(json.dumps({"hardware": hardware, "packages": {"pwm-core": "0.1.0"}}))
        for name in ("figure", "truth", "measurement", "reconstruction", "error"):
            imsave(place / f"{name}.png", np.eye(24))
        (place / "gallery.json").write_text(json.dumps({"truth": "height, 0 to 1 nm"}))


class Reader(HTMLParser):
    """What a document holds; nesting that does not close is an error."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.open, self.elements, self.words = path, [], [], []  # type: ignore[var-annotated]
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, name: str, attributes: list) -> None:
        self.elements.append((name, dict(attributes)))
        if name not in ("meta", "img", "br"):
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, name: str) -> list[dict]:
        return [attributes for n, attributes in self.elements if n == name]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def pages(tmp_path: Path, rows: list, registry: Registry) -> dict[str, Reader]:
    store = Store(tmp_path / "store")
    for r in rows:
        if r["status"] == "failed":
            store.fail(r["key"], {"reason": r["reason"]})
    store.write("results.jsonl", "{}\n")
    write_report(store, rows, registry)
    names = ("report.html", "report/alpha.html", "report/beta.html")
    return {name: Reader(store.folder / name) for name in names}


def test_every_link_leads_somewhere_and_nothing_comes_from_the_network(pages: dict[str, Reader]) -> None:
    ids = {name: {a["id"] for _, a in page.elements if "id" in a} for name, page in pages.items()}
    for name, page in pages.items():
        for attributes in page.all("a") + page.all("img"):
            place = attributes.get("href") or attributes["src"]
            if place.startswith("https://doi.org/"):
                continue
            file, _, anchor = place.partition("#")
            target = (page.path.parent / file).resolve() if file else page.path
            assert target.exists(), f"{name} leads to {place}"
            key = target.relative_to(next(iter(pages.values())).path.parent).as_posix()
            assert not anchor or anchor in ids[key], f"{name} leads to {place}"
        assert not page.all("link")
        assert all("src" not in a for a in page.all("script"))
        assert "url(" not in page.path.read_text()


def test_every_cell_is_there_with_its_command_and_its_record_or_reason(
    pages: dict[str, Reader], rows: list[dict]
) -> None:
    for r in rows:
        page = pages[f"report/{r['modality']}.html"]
        assert r["command"] in [b.get("data-command") for b in page.all("button")]
        links = [a["href"] for a in page.all("a")]
        if "folder" in r:
            record = f"../{r['folder']}/run.json"
            assert links.count(record) >= 7  # behind each of its numbers, and by name
        else:
            assert (f"../failed/{r['key']}.json" in links) == (r["status"] == "failed")
            overview = pages["report.html"]
            assert r["command"] in [b.get("data-command") for b in overview.all("button")]
    assert "failed : <script>alert('x')</script> & \"quoted\"" in pages["report/alpha.html"].text
    assert "missing : not computed yet" in pages["report.html"].text
    assert "3 of 9 values are not finite" in pages["report/beta.html"].text
    assert "−∞" in pages["report/beta.html"].text


def test_runs_that_were_stopped_at_the_time_limit_are_marked(
    rows: list, tmp_path: Path, registry: Registry
) -> None:
    """Their scores are those of what there was, and may say little of the method."""
    late = next(r for r in rows if r["status"] == "finished" and r["scenario"] == "ideal")
    late |= {"status": "timeout"}
    write_report(Store(tmp_path / "store"), rows, registry)
    board = Reader(tmp_path / "store" / "report" / f"{late['modality']}.html")
    overview = Reader(tmp_path / "store" / "report.html")
    assert board.text.count("1 of 2 stopped at the time limit") == 1
    assert "1 of 2 stopped at the time limit" in overview.text
    line = next(x for x in markdown(rows).splitlines() if x.startswith(f"| `{late['method']}`"))
    assert line.count(r"\*") == 1


def test_the_pages_name_of_a_pair_stands_beside_ours(pages: dict[str, Reader]) -> None:
    for name in ("report.html", "report/alpha.html"):
        assert "Sharp-A" in pages[name].text
        assert "Sharp-A + fit" in pages[name].text
    assert "Sharp-A" not in pages["report/beta.html"].text


def test_nothing_is_lost_on_those_who_do_not_see_it(pages: dict[str, Reader]) -> None:
    for page in pages.values():
        assert all(a["alt"] for a in page.all("img"))
        assert all("scope" in a for a in page.all("th"))
        assert len(page.all("caption")) == len(page.all("table"))
        plots = [a for a in page.all("svg") if a.get("class") == "plot"]
        assert all(a["role"] == "img" for a in plots)
        identifiers = [a["id"] for _, a in page.elements if "id" in a]
        assert len(identifiers) == len(set(identifiers))


def test_methods_stand_by_score_and_those_that_lack_cells_come_last(rows: list[dict]) -> None:
    found = standings(rows)
    ideal = [s for s in found if (s.modality, s.scenario) == ("alpha", "ideal")]
    assert [s.name for s in ideal] == ["sharp", "soft", "dim"]
    assert ideal[0].score == pytest.approx(0.9)
    blind = [s for s in found if (s.modality, s.scenario) == ("alpha", "mismatch")]
    assert blind[0].score == pytest.approx(0.9 - 0.3 - 0.05)
    calibrated = next(s for s in found if s.scenario == "calibrated" and s.method == "sharp")
    assert calibrated.ratio == pytest.approx((0.3 - 0.01) / 0.3)


def test_a_calibration_plot_has_a_mark_for_each_estimate(pages: dict[str, Reader]) -> None:
    page = pages["report/alpha.html"]
    titles = re.findall(r"<title>((?:sharp|soft|dim) \+ fit, \w+: [^<]*)</title>", page.path.read_text())
    assert len(titles) == 5  # three methods in two scenes, less the one that failed
    assert "sharp + fit, one: 3.2 ± 0.3, true 3, nm" in titles
    assert "not estimated φ · tilt" in page.text
    assert "calibration" in {a.get("id") for a in page.all("section")}
    assert "calibration" not in {a.get("id") for a in pages["report/beta.html"].all("section")}


def test_the_report_of_the_same_rows_is_the_same(
    tmp_path: Path, rows: list, registry: Registry, pages: dict[str, Reader]
) -> None:
    before = {name: page.path.read_bytes() for name, page in pages.items()}
    write_report(Store(tmp_path / "store"), rows, registry)
    assert before == {name: page.path.read_bytes() for name, page in pages.items()}


def test_markup_is_escaped_unless_it_is_markup() -> None:
    assert (
        tag("p", "<b>", Html("<i>"), ["&", None, 3], title='"<')
        == '<p title="&quot;&lt;">&lt;b&gt;<i>&amp;3</p>'
    )
    assert tag("img", src="a", hidden=True, alt=None, data_x=0) == '<img src="a" hidden data-x="0">'
    assert join("<", tag("br")) == "&lt;<br>"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.7), (0.513, 0.524), (-1e-9, 4e-9), (1e3, 9e5)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 8
    assert all(low - 1e-9 * (high - low) <= v <= high + 1e-9 * (high - low) for v in found)
    assert log_ticks(0.02, 70.0) == pytest.approx([0.1, 1, 10])
    assert 2 <= len(log_ticks(1.1, 2.6)) <= 6


# -- a real run, and a real browser ---------------------------------------------------------------

SMALL = {"side": "6", "window": "32", "detector_pixel": "300", "defocus": "60"}


def small_run(folder: Path, *more: str) -> int:
    words = "benchmark --modality ptychography --method epie --scene cells --set epie.iterations=2 "
    words += " ".join(f"--simulate ptychography.{k}={v}" for k, v in SMALL.items())
    return main([*words.split(), "--executor", "serial", "--output", str(folder), *more])


def test_a_benchmark_leaves_a_report_with_pictures(tmp_path: Path) -> None:
    assert small_run(tmp_path, "--scenario", "ideal") == 0
    page = Reader(tmp_path / "report" / "ptychography.html")
    sources = [a["src"] for a in page.all("img")]
    assert len(sources) == 4
    for source in sources:
        assert imread(page.path.parent / source).ndim == 3
    assert "epie" in Reader(tmp_path / "report.html").text


def test_without_figures_the_report_has_none(tmp_path: Path) -> None:
    assert small_run(tmp_path, "--scenario", "ideal", "--no-figures") == 0
    page = Reader(tmp_path / "report" / "ptychography.html")
    assert not page.all("img")
    assert "no picture" in page.text


PROBE = Path(__file__).with_name("report_probe.js")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def browse(store: Path, widths: tuple[int, ...], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """What a browser sees on each page at each width, in frames of one document."""
    frames = []
    for name in names:
        path = store / name
        probed = path.with_name(f"probed-{path.name}")
        probed.write_text(
            path.read_text().replace("<head>", f"<head><script>{PROBE.read_text()}</script>", 1)
        )
        style = "height:900px;border:0;width"
        frames += [f'<iframe src="{probed.as_uri()}" style="{style}:{w}px"></iframe>' for w in widths]
    harness = store / "harness.html"
    gather = "onmessage = (e) => { out.appendChild(document.createElement('li')).textContent = e.data; }"
    harness.write_text(f"<!doctype html><ul id=out></ul><script>{gather}</script>{''.join(frames)}")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    words += [f"--user-data-dir={store / 'profile'}", harness.as_uri()]
    done = subprocess.run([str(BROWSER), *words], capture_output=True, text=True, timeout=120, check=True)
    items = re.findall(r"<li>(.*?)</li>", done.stdout, re.DOTALL)
    assert len(items) == len(frames), done.stderr[-2000:]
    return [json.loads(unescape(item)) for item in items]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_sorts_and_enlarges_at_any_width(tmp_path: Path, pages: dict[str, Reader]) -> None:
    for seen in browse(tmp_path / "store", (400, 1200), ("report.html", "report/alpha.html")):
        assert seen["problems"] == []
        assert seen["overflow"] <= 0, seen
        assert seen["by_name"] == ["dim", "sharp", "soft"]
        assert seen["by_name_again"] == ["soft", "sharp", "dim"]
        assert seen["by_first"] == ["sharp", "dim", "soft"]  # by the score alone
        assert seen["by_first_again"] == ["soft", "dim", "sharp"]
        assert seen["aria"] == ["none", "ascending"]
        if "Alpha" in seen["page"]:
            assert seen["start"] == ["sharp", "soft", "dim"]
            assert seen["closed"] == 0
            assert seen["opened"] > 50
            assert seen["overflow_opened"] <= 0
            assert (seen["wall"], seen["wall_after"]) == (["sharp"], ["soft"])
            assert len(seen["pictures"]) == 2 * 8
            assert set(seen["pictures"]) == {24}
            assert seen["zoom"] == [True, "truth.png", "truth of one: height, 0 to 1 nm"]
            assert seen["next"] == "measurement.png"
            assert seen["copied"]
