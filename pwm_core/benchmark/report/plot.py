"""Small plots as SVG that follows the colours of the page: axes, ticks, marks and labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from .html import Content, Html, tag

LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 40
SHAPES = 4


Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass
class Plot:
    """A plot over the ranges ``x`` and ``y``, ``width`` × ``height`` user units; marks are added in turn."""

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    title: str  # for those who cannot see it
    log_x: bool = False
    width: int = 420
    height: int = 300
    marks: list[Html] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies, in user units."""
        across = _part(x, self.x, math.log10 if self.log_x else float)
        up = _part(y, self.y, float)
        return (
            LEFT + across * (self.width - LEFT - RIGHT),
            self.height - BOTTOM - up * (self.height - TOP - BOTTOM),
        )

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        (x1, y1), (x2, y2) = self.at(*start), self.at(*end)
        self.marks.append(
            tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=kind)
        )

    def mark(self, x: float, y: float, series: int, words: str, href: str | None = None) -> None:
        """A mark in the colour and shape of its series; ``words`` appear when it is pointed at."""
        px, py = self.at(x, y)
        shape = tag(
            "path",
            tag("title", words),
            d=_SHAPE[series // 8 % SHAPES],
            transform=f"translate({px:.1f} {py:.1f})",
            class_=f"mark c{series % 8}",
        )
        self.marks.append(tag("a", shape, href=href, aria_label=words) if href else shape)

    def label(self, words: str, box: Box, point: tuple[float, float]) -> None:
        """Words in a box, with a line to their point where they are not beside it; all in user units."""
        left, top, right, bottom = box
        x, y = point
        if not top <= y <= bottom:
            end, edge = (left if abs(left - x) < abs(right - x) else right), (top if y < top else bottom)
            at = {"x1": f"{x:.1f}", "y1": f"{y:.1f}", "x2": f"{end:.1f}", "y2": f"{edge:.1f}"}
            self.marks.insert(0, tag("line", class_="leader", **at))
        self.marks.append(tag("text", words, x=f"{left:.1f}", y=f"{bottom - 3:.1f}", class_="label"))

    def svg(self) -> Html:
        return tag(
            "svg",
            tag("title", self.title),
            self._axes(),
            self.marks,
            viewBox=f"0 0 {self.width} {self.height}",
            role="img",
            class_="plot",
        )

    def _axes(self) -> list[Content]:
        low, high = self.height - BOTTOM, TOP
        parts: list[Content] = []
        for value in log_ticks(*self.x) if self.log_x else ticks(*self.x):
            px = self.at(value, self.y[0])[0]
            parts.append(tag("line", x1=f"{px:.1f}", x2=f"{px:.1f}", y1=low, y2=high, class_="grid"))
            parts.append(_tick(value, f"{px:.1f}", str(low + 14), "middle"))
        for value in ticks(*self.y):
            py = self.at(self.x[0], value)[1]
            parts.append(
                tag("line", x1=LEFT, x2=self.width - RIGHT, y1=f"{py:.1f}", y2=f"{py:.1f}", class_="grid")
            )
            parts.append(_tick(value, str(LEFT - 5), f"{py + 3.5:.1f}", "end"))
        middle = (LEFT + self.width - RIGHT) / 2
        parts.append(tag("text", self.x_label, x=f"{middle:.0f}", y=self.height - 6, text_anchor="middle"))
        turn = f"translate(11 {(low + high) / 2:.0f}) rotate(-90)"
        parts.append(tag("text", self.y_label, transform=turn, text_anchor="middle"))
        return parts


def legend(names: list[str]) -> Html:
    """Names beside their marks, in the order of their series."""
    items = []
    for number, name in enumerate(names):
        shape = tag("path", d=_SHAPE[number // 8 % SHAPES], class_=f"mark c{number % 8}")
        items.append(tag("li", tag("svg", shape, viewBox="-6 -6 12 12", aria_hidden="true"), name))
    return tag("ul", items, class_="legend")


def ticks(low: float, high: float) -> list[float]:
    """Round values between the ends, about five of them."""
    step = 10 ** math.floor(math.log10((high - low) / 5))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 6)
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten between the ends, with 2 and 5 times them where these are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if high / low > 1e3 else (1, 2, 5) if high / low > 4 else (1, 1.5, 2, 3, 5, 7)
    values = [m * 10.0**p for p in powers for m in factors]
    return [v for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]


def around(values: list[float], part: float = 0.08) -> tuple[float, float]:
    """The range of the values with a margin."""
    low, high = min(values), max(values)
    margin = part * (high - low) or part * abs(high) or 1.0
    return low - margin, high + margin


_SHAPE = (
    "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z",
    "M-3.6 -3.6H3.6V3.6H-3.6Z",
    "M0 -4.6L4.4 3.4H-4.4Z",
    "M0 -5L5 0L0 5L-5 0Z",
)


def _part(value: float, ends: tuple[float, float], scale: Callable[[float], float]) -> float:
    low, high = scale(ends[0]), scale(ends[1])
    return (scale(value) - low) / (high - low)


def _tick(value: float, x: str, y: str, anchor: str) -> Html:
    words = f"{value:.6g}".replace("-", "−")
    return tag("text", words, x=x, y=y, text_anchor=anchor, class_="tick")
