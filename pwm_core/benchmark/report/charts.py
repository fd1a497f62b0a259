"""The two kinds of plot of a report: score against time, and estimated against true parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...modality import Spec
from ..results import Row
from .figures import DIGITS, number, seconds
from .html import Html, tag
from .leaderboard import place_of
from .plot import LEFT, RIGHT, Box, Plot, around, legend
from .standing import Standing, score_column, with_calibrator

LETTER = 5.8  # about the width of a letter of a label, in user units
LINE = 12


def score_against_time(standings: list[Standing]) -> Html | None:
    """One mark a method: its mean score over its mean time, with its name beside it."""
    shown = [(s, s.score, s.mean("seconds")) for s in standings]
    placed = [(s, score, time) for s, score, time in shown if score is not None and time is not None]
    if not placed:
        return None
    times = [max(time, 1e-4) for _, _, time in placed]
    scores = [score for _, score, _ in placed]
    plot = Plot(
        x=(min(times) / 1.6, max(times) * 1.6),
        y=around(scores),
        x_label="time, s",
        y_label=f"{score_column(placed[0][0].scenario)} score",
        title=f"score against time of {len(placed)} methods, {placed[0][0].scenario}",
        log_x=True,
    )
    for (s, score, _), time in zip(placed, times, strict=True):
        words = f"{s.name}: score {number(score, DIGITS['score'])} in {seconds(time)}"
        plot.mark(time, score, 0, words, f"#{s.anchor}")
    _label(plot, [(s.name, *plot.at(t, score)) for (s, score, _), t in zip(placed, times, strict=True)])
    return plot.svg()


def _label(plot: Plot, points: list[tuple[str, float, float]]) -> None:
    """Names beside their points, moved up or down where they would lie on each other."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for _, x, y in points]
    for name, x, y in sorted(points, key=lambda p: p[2]):
        options = [
            _box(name, x, y + n * LINE, right) for n in (0, 1, -1, 2, -2, 3, -3) for right in (True, False)
        ]
        inside = [b for b in options if b[0] >= LEFT and b[2] <= plot.width - RIGHT and b[1] >= 0]
        box = next((b for b in inside if not any(_meet(b, t) for t in taken)), None)
        if box is not None:  # else its name is in the mark's own title
            taken.append(box)
            plot.label(name, box, (x, y))


def _box(name: str, x: float, y: float, right: bool) -> Box:
    width = LETTER * len(name)
    left = x + 7 if right else x - 7 - width
    return left, y - LINE / 2, left + width, y + LINE / 2


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


class Estimate(NamedTuple):
    """A parameter as a calibrator found it; ``error`` is one standard error, 0 if none was given."""

    row: Row
    true: float
    found: float
    error: float


def calibration(rows: list[Row], specs: Sequence[Spec], up: str) -> Html | None:
    """θ̂ ± its standard error against θ*, a plot for each parameter; None if there is nothing to show."""
    calibrated = [r for r in rows if r["calibrator"] and r.get("theta_estimated")]
    if not calibrated or not specs:
        return None
    names = list(dict.fromkeys(with_calibrator(r["method"], r["calibrator"]) for r in calibrated))
    plots = [_parameter(spec, estimates(calibrated, spec.path), names, up) for spec in specs]
    return tag("div", legend(names), tag("div", plots, class_="plots small"))


def estimates(rows: list[Row], path: str) -> list[Estimate]:
    """What these rows say of a parameter, where truth and estimate are numbers."""
    found = []
    for r in rows:
        true, got = r["theta_true"].get(path), r["theta_estimated"].get(path)
        error = r["calibration"].get(f"std:{path}", 0.0)
        if isinstance(true, int | float) and isinstance(got, int | float) and math.isfinite(got):
            usable = isinstance(error, int | float) and math.isfinite(error)
            found.append(Estimate(r, float(true), float(got), float(error) if usable else 0.0))
    return found


def _parameter(spec: Spec, found: list[Estimate], names: list[str], up: str) -> Html:
    unit = f", {spec.unit}" if spec.unit not in ("", "-") else ""
    words = f"{spec.symbol} · {spec.name}"
    if not found:
        return tag("figure", tag("p", "not estimated", class_="absent"), tag("figcaption", words))
    ends = around([*spec.public, *(e.found for e in found), *(e.true for e in found)], 0.04)
    plot = Plot(
        x=around([*spec.public, *(e.true for e in found)], 0.04),
        y=ends,
        x_label=f"true {spec.symbol}{unit}",
        y_label=f"estimated {spec.symbol}{unit}",
        title=f"{spec.name}, estimated against true, {len(found)} estimates",
        width=320,
    )
    low, high = max(plot.x[0], ends[0]), min(plot.x[1], ends[1])
    plot.line((low, low), (high, high), "ideal")
    plot.line((plot.x[0], spec.nominal), (plot.x[1], spec.nominal), "nominal")
    for e in found:
        _estimate(plot, e, names, up, unit)
    return tag("figure", plot.svg(), tag("figcaption", words))


def _estimate(plot: Plot, e: Estimate, names: list[str], up: str, unit: str) -> None:
    name = with_calibrator(e.row["method"], e.row["calibrator"])
    ends = (max(e.found - e.error, plot.y[0]), min(e.found + e.error, plot.y[1]))
    plot.line((e.true, ends[0]), (e.true, ends[1]), f"error c{names.index(name) % 8}")
    words = f"{name}, {place_of(e.row)}: {e.found:.4g} ± {e.error:.2g}, true {e.true:.4g}{unit}"
    plot.mark(e.true, e.found, names.index(name), words, f"{up}{e.row['folder']}/run.json")
