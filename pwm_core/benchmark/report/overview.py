"""Methods × modalities as heat tables, what is missing, and what the cells ran on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..results import Row
from .figures import DIGITS, number
from .html import Html, join, tag
from .leaderboard import alias_of, links, place_of
from .standing import Standing, score_column, with_calibrator

Aliases = Mapping[str, Mapping[str, str]]  # modality -> our method's name -> the published page's name


def heat(standings: list[Standing], aliases: Aliases) -> Html:
    """The scores of one scenario, a line a method and a column a modality; deeper colour is better."""
    label = f"{score_column(standings[0].scenario)} score"
    return _grid(standings, aliases, label, lambda s: s.score, "score", 0.0, 1.0)


def recovery(standings: list[Standing], aliases: Aliases) -> Html:
    """The recovery ratio ρ of each calibrated pair."""
    return _grid(standings, aliases, "ρ", lambda s: s.ratio, "ratio", 0.0, 1.0)


def _grid(
    standings: list[Standing],
    aliases: Aliases,
    label: str,
    value: Callable[[Standing], float | None],
    digits: str,
    low: float,
    high: float,
) -> Html:
    modalities = sorted({s.modality for s in standings})
    places = {(s.name, s.modality): s for s in standings}
    known = sorted({s.name for s in standings})
    head = [_heading("Method", "ascending"), *(_heading(m, "descending") for m in modalities)]
    bodies = []
    for name in known:
        cells = []
        for modality in modalities:
            s = places.get((name, modality))
            cells.append(
                tag("td", data_value="", class_="none")
                if s is None
                else _cell(s, aliases.get(modality, {}), value(s), digits, low, high)
            )
        bodies.append(tag("tbody", tag("tr", tag("th", name, scope="row", data_value=name), cells)))
    caption = tag("caption", label, class_="unseen")
    table = tag("table", caption, tag("thead", tag("tr", head)), bodies, class_="heat sortable")
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=label)


def _cell(
    s: Standing, aliases: Mapping[str, str], value: float | None, digits: str, low: float, high: float
) -> Html:
    """A number with a link to its leaderboard line, coloured by its height, and the pair's known name."""
    page = f"report/{s.modality}.html#{s.anchor}"
    words = number(value, DIGITS[digits]) or ("no result" if s.score is None else "–")
    alias = alias_of(s.method, s.calibrator, aliases)
    notes = [
        tag("span", alias, class_="alias") if alias else None,
        tag("span", s.remark, class_="flag") if s.remark else None,
    ]
    depth = "" if value is None else f"--depth: {min(max((value - low) / (high - low), 0), 1):.3f}"
    data = "" if value is None else repr(float(value))
    return tag("td", tag("a", words, href=page), notes, data_value=data, style=depth or None)


def absent(rows: list[Row]) -> Html | None:
    """Every cell without a result, with the reason and the command; None if there is none."""
    bad = [r for r in rows if r.get("standard") is None]
    if not bad:
        return None
    lines = []
    for r in bad:
        name = with_calibrator(r["method"], r["calibrator"])
        where = f"{r['modality']}, {place_of(r)}, {r['scenario']}"
        why = tag(
            "td", tag("div", tag("b", r["status"]), f": {r['reason'] or 'not computed yet'}"), class_="reason"
        )
        ways = tag("td", tag("span", links(r, ""), class_="links"))
        lines.append(tag("tr", tag("th", name, tag("span", where, class_="alias"), scope="row"), why, ways))
    head = tag("tr", [tag("th", words, scope="col") for words in ("Cell", "Why there is no result", "More")])
    caption = tag("caption", "cells without a result", class_="unseen")
    table = tag("table", caption, tag("thead", head), tag("tbody", lines), class_="list")
    return tag(
        "div", table, class_="scroll", tabindex="0", role="region", aria_label="cells without a result"
    )


def environments(records: list[dict[str, Any]]) -> Html:
    """The machines and versions behind the cells; times of different machines do not compare."""
    machines = Counter(_machine(r["hardware"]) for r in records)
    versions = Counter(f"{name} {number}" for r in records for name, number in r["packages"].items())
    return join(_counted("Machines", machines, len(records)), _counted("Packages", versions, len(records)))


def _machine(facts: dict[str, Any]) -> str:
    device = facts.get("gpu") or facts["processor"]
    return f"{device}, {facts['cores']} cores, {facts['threads']} thread(s) a cell, {facts['system']}"


def _counted(title: str, found: Counter[str], total: int) -> Html:
    items = [
        tag("li", name, tag("span", f" {count} of {total} cells", class_="alias") if count < total else None)
        for name, count in sorted(found.items())
    ]
    return join(tag("h3", title), tag("ul", items, class_="plain"))


def _heading(text: str, first: str) -> Html:
    return tag("th", tag("button", text, type="button", data_first=first), scope="col", aria_sort="none")
