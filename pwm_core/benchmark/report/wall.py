"""The gallery: scenes × scenarios for a chosen method, each picture to be enlarged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ...scenario import SCENARIOS
from ..gallery import LABELS
from ..results import Row
from .figures import DIGITS, number
from .html import Html, tag
from .leaderboard import alias_of, links, place_of
from .standing import TITLES


def gallery(rows: list[Row], methods: list[str], store: Path, up: str, aliases: Mapping[str, str]) -> Html:
    """One wall for each method, of which the chosen one is shown, at first the first."""
    options = [tag("option", _titled(m, aliases), value=m) for m in methods]
    choice = tag("label", "Method ", tag("select", options, id="chosen"), class_="choice")
    walls = []
    for number_of, method in enumerate(methods):
        part = [r for r in rows if r["method"] == method]
        scenes = [_scene(group, store, up) for group in _by_scene(part)]
        walls.append(tag("div", scenes, class_="wall", data_method=method, hidden=number_of > 0))
    return tag("div", choice, walls)


def _titled(method: str, aliases: Mapping[str, str]) -> str:
    known = alias_of(method, "", aliases)
    return f"{method} ({known})" if known else method


def _by_scene(rows: list[Row]) -> list[list[Row]]:
    scenes: dict[str, list[Row]] = {}
    for r in rows:
        scenes.setdefault(place_of(r), []).append(r)
    return [sorted(group, key=lambda r: SCENARIOS.index(r["scenario"])) for group in scenes.values()]


def _scene(rows: list[Row], store: Path, up: str) -> Html:
    """Truth and measurement, which the scenarios share; then reconstruction and error in each."""
    pictured = [(r, _captions(store, r)) for r in rows]
    shared = next((pair for pair in pictured if pair[1]), None)
    columns = []
    if shared:
        first = [_picture(*shared, name, up, name) for name in ("truth", "measurement")]
        columns.append(tag("div", tag("h4", "scene"), first, class_="column"))
    columns += [_column(r, captions, up) for r, captions in pictured]
    return tag("div", tag("h3", place_of(rows[0])), tag("div", columns, class_="strip"), class_="scene")


def _column(row: Row, captions: dict[str, str], up: str) -> Html:
    title = TITLES[row["scenario"]][0] + (f" · {row['calibrator']}" if row["calibrator"] else "")
    heading = tag("h4", title, title=f"{row['scenario']}: {TITLES[row['scenario']][1]}")
    if row.get("standard") is None:
        words = row["reason"] or "not computed yet"
        return tag("div", heading, _absent(f"{row['status']}: {words}"), _links(row, up), class_="column")
    if not captions:
        return tag("div", heading, _absent("no picture"), _links(row, up), class_="column")
    quality = f"{number(row['psnr'], DIGITS['psnr'])} dB"
    shown = [
        _picture(row, captions, "reconstruction", up, quality),
        _picture(row, captions, "error", up, "error"),
    ]
    return tag("div", heading, shown, class_="column")


def _picture(row: Row, captions: dict[str, str], name: str, up: str, below: str) -> Html:
    source = f"{up}{row['folder']}/{name}.png"
    what = f"{name} of {place_of(row)}"
    if name in ("reconstruction", "error"):
        what += f" by {row['method']}, {row['scenario']}"
    image = tag("img", src=source, alt=what, loading="lazy")
    button = tag(
        "button",
        image,
        type="button",
        class_="enlarge",
        data_caption=f"{what}: {captions.get(name, '')}",
        data_figure=f"{up}{row['folder']}/figure.png",
    )
    return tag("figure", button, tag("figcaption", below))


def _absent(words: str) -> Html:
    return tag("figure", tag("div", tag("span", words), class_="absent"))


def _links(row: Row, up: str) -> Html:
    return tag("span", links(row, up), class_="links")


def _captions(store: Path, row: Row) -> dict[str, str]:
    """What the cell's pictures show; nothing if it was run without figures."""
    place = store / row["folder"] / LABELS if "folder" in row else None
    if place is None or not place.exists():
        return {}
    return json.loads(place.read_text(encoding="utf-8"))
