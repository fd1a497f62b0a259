"""The leaderboard of a modality in one scenario: a line for each method, and behind it one for each cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ...card import Card
from ..results import Row
from .figures import DIGITS, memory, number, seconds
from .html import Html, join, tag
from .standing import Standing, score_column


class Column(NamedTuple):
    """A column: its heading, what it means, the row's key, how it is printed, and if small is good."""

    heading: str
    title: str
    key: str
    text: Callable[[float | None], str]
    small_is_good: bool = False


def columns(scenario: str) -> list[Column]:
    """The columns of this scenario; ρ is that of calibration."""
    score = score_column(scenario)
    found = [
        Column("Score", f"the {score} score, see below", score, _fixed("score")),
        Column("PSNR", "peak signal-to-noise ratio, dB", "psnr", _fixed("psnr")),
        Column("SSIM", "structural similarity", "ssim", _fixed("ssim")),
        Column("Fit", "consistency: 1 − ‖y − H(x)‖ / ‖y‖", "consistency", _fixed("consistency")),
        Column("Time", "the method's own time", "seconds", seconds, True),
        Column("Memory", "the largest memory of the process", "peak_memory_bytes", memory, True),
    ]
    ratio = Column("ρ", "recovery ratio (III − II) / (I − II)", "ratio", _fixed("ratio"))
    return [*found[:4], ratio, *found[4:]] if scenario == "calibrated" else found


def leaderboard(
    standings: list[Standing], aliases: Mapping[str, str], cards: Mapping[str, Card], up: str
) -> Html:
    """A sortable table; ``up`` leads from the page to the store's folder."""
    shown = columns(standings[0].scenario)
    head = tag("tr", _heading("Method", "", "ascending"), [_heading_of(c) for c in shown])
    bodies = [_body(s, shown, aliases, cards.get(s.method), up) for s in standings]
    caption = tag("caption", f"{standings[0].modality}, {standings[0].scenario}", class_="unseen")
    table = tag("table", caption, tag("thead", head), bodies, class_="board sortable")
    label = f"leaderboard {standings[0].scenario}"
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=label)


def alias_of(method: str, calibrator: str, aliases: Mapping[str, str]) -> str:
    """The published page's name for the pair, or an empty text."""
    known = aliases.get(method, "")
    return f"{known} + {calibrator}" if known and calibrator else known


def links(row: Row, up: str) -> Html:
    """The ways from a cell to what lies behind it: its figure, its record, its command."""
    places = []
    if "folder" in row:
        places = [("figure", f"{row['folder']}/figure.png"), ("record", f"{row['folder']}/run.json")]
    elif row["status"] == "failed":
        places = [("traceback", f"failed/{row['key']}.json")]
    copy = tag(
        "button",
        "copy command",
        type="button",
        class_="copy",
        data_command=row["command"],
        title=row["command"],
    )
    return join([tag("a", name, href=up + place) for name, place in places], copy)


def place_of(row: Row) -> str:
    """The scene, with the seed where it is not 0."""
    return row["scene"] + (f", seed {row['seed']}" if row.get("seed") else "")


def _body(s: Standing, shown: list[Column], aliases: Mapping[str, str], card: Card | None, up: str) -> Html:
    opener = tag(
        "button", s.name, type="button", class_="opener", aria_expanded="true", title="show its scenes"
    )
    page_name = alias_of(s.method, s.calibrator, aliases)
    notes = join(
        tag("span", page_name, class_="alias", title="its name on the published page") if page_name else None,
        tag("span", s.remark, class_="flag") if s.remark else None,
    )
    name = tag("th", opener, notes, scope="row", data_value=s.name)
    values = [s.ratio if c.key == "ratio" else s.mean(c.key) for c in shown]
    cells = [_number(c, v) for c, v in zip(shown, values, strict=True)]
    about = _about(card, len(shown) + 1)
    return tag("tbody", tag("tr", name, cells), about, [_detail(r, shown, up) for r in s.rows], id=s.anchor)


def _about(card: Card | None, width: int) -> Html | None:
    """What the card says: summary, how it departs from the paper, the paper, the licence."""
    if card is None:
        return None
    paper = tag("a", f"doi:{card.cite}", href=f"https://doi.org/{card.cite}") if card.cite else None
    parts = [card.summary, card.variant and f"Variant: {card.variant}", paper, card.licence]
    words = [join(" · " if i else None, part) for i, part in enumerate(p for p in parts if p)]
    return tag("tr", tag("td", tag("div", words), colspan=width, class_="about"), class_="detail")


def _detail(row: Row, shown: list[Column], up: str) -> Html:
    """One cell of the benchmark: every number leads to its record; without numbers, the reason."""
    solved = row.get("standard") is not None
    remark = (row["reason"] or row["status"]) if solved and row["status"] != "finished" else row["reason"]
    note = tag("span", remark, class_="flag") if solved and remark else None
    ways = tag("span", links(row, up), class_="links")
    name = tag("th", tag("span", place_of(row)), note, ways, scope="row")
    if not solved:
        why = row["reason"] or "not computed yet: run pwm benchmark again"
        reason = tag(
            "td", tag("div", tag("b", row["status"]), f": {why}"), colspan=len(shown), class_="reason"
        )
        return tag("tr", name, reason, class_="detail failed")
    record = f"{up}{row['folder']}/run.json"
    cells = [
        tag("td", tag("a", c.text(row[c.key]), href=record)) if c.key in row else tag("td") for c in shown
    ]
    return tag("tr", name, cells, class_="detail")


def _number(column: Column, value: float | None) -> Html:
    return tag("td", column.text(value), data_value="" if value is None else repr(float(value)))


def _heading_of(column: Column) -> Html:
    return _heading(column.heading, column.title, "ascending" if column.small_is_good else "descending")


def _heading(text: str, title: str, first: str) -> Html:
    button = tag("button", text, type="button", title=title or None, data_first=first)
    return tag("th", button, scope="col", aria_sort="none")


def _fixed(name: str) -> Callable[[float | None], str]:
    return lambda value: number(value, DIGITS[name])
