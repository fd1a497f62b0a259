"""The figure of a spectrum image: a map for each element in its colour, and the spectrum with its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pwm_core.driver import Result
from pwm_core.figure import scale_bar, styled
from pwm_core.problem import Problem, Truth

from .operator import spectrum_image_of
from .spectrum_panel import show_residual, show_spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .spectroscopy import Spectroscopy

COLOURS = (
    "#e8483f", "#2b8fe6", "#2fae5d", "#e8a013", "#9d5fd6", "#e05aa3",
    "#17a8a8", "#9c7148", "#6f80dc", "#86a81e", "#c93a6b", "#5f7580",
)  # fmt: skip
_WIDEST = 7  # maps in a row


@styled
def panels(
    modality: Spectroscopy, problem: Problem, result: Result, truth: Truth | None, heading: str
) -> Figure:
    """Element maps, the true ones below them where they are known, and the spectrum of the whole field."""
    from matplotlib import pyplot

    elements = spectrum_image_of(problem).elements
    x = modality.align(result.x, truth, problem) if truth is not None else result.x
    columns, rows = _grid(len(elements))
    kinds = 1 if truth is None else 2
    side = 11.2 / max(columns, 4)
    size = (11.6, side * 0.98 * rows * kinds + 3.7)
    figure = pyplot.figure(figsize=size)
    figure.suptitle(heading, fontsize=10)
    parts: Any = figure.subfigures(2, 1, height_ratios=[size[1] - 3.7, 3.5], hspace=0.02)
    maps, spectra = parts
    axes = maps.subplots(rows * kinds, columns, squeeze=False)
    for a in axes.flat:
        a.set_axis_off()
    for j, element in enumerate(elements):
        row, column = divmod(j, columns)
        want = None if truth is None else np.asarray(truth.x[j])
        limit = _limit(np.asarray(x[j]) if want is None else want)
        _show_map(axes[kinds * row, column], problem, x[j], element, COLOURS[j % 12], limit, bar=j == 0)
        if want is not None:
            name = f"{element}, true"
            _show_map(axes[2 * row + 1, column], problem, want, name, COLOURS[j % 12], limit, bar=False)
    upper, lower = spectra.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    colours = {e: COLOURS[j % 12] for j, e in enumerate(elements)}
    show_spectrum(upper, problem, result, colours)
    show_residual(lower, problem, result)
    return figure


def _grid(count: int) -> tuple[int, int]:
    """Columns and rows that hold this many maps without leaving many empty."""
    rows = -(-count // _WIDEST)
    return -(-count // max(rows, 1)), max(rows, 1)


def _limit(image: np.ndarray) -> float:
    return float(np.percentile(image, 99.8)) or float(np.abs(image).max()) or 1.0


def _show_map(
    axes: Axes, problem: Problem, image: Any, title: str, colour: str, limit: float, bar: bool
) -> None:
    axes.set_axis_on()
    drawn = axes.imshow(np.asarray(image), cmap=_shades(colour), vmin=0, vmax=limit)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, color=colour, fontweight="bold")
    colour_bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    colour_bar.ax.tick_params(labelsize=6, width=0.4, length=2)
    colour_bar.outline.set_linewidth(0.4)
    colour_bar.ax.set_title("µg/cm²", fontsize=6, pad=4.5, loc="right")
    if bar and problem.pixel_size:
        scale_bar(axes, problem.pixel_size[-1], problem.units[-1])


def _shades(colour: str) -> Any:
    """From black through the colour to nearly white."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    middle = np.array(to_rgb(colour))
    points = [(0.0, (0.0, 0.0, 0.0)), (0.65, tuple(middle)), (1.0, tuple(0.15 * middle + 0.85))]
    return LinearSegmentedColormap.from_list(colour, points)
