"""Pieces that figures of all modalities are made of, and the plain figure of those with no own."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Unsuitable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .driver import Result
    from .modality import Modality
    from .problem import Problem, Truth

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.linewidth": 0.6,
    "image.interpolation": "nearest",
    "figure.constrained_layout.use": True,
    "axes.titlepad": 5.0,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}
_PREFIXES = {"m": [(1e-12, "pm"), (1e-9, "nm"), (1e-6, "µm"), (1e-3, "mm"), (1.0, "m")]}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorator: draw the figure in the common style."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Figure:
        from matplotlib import pyplot

        with pyplot.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapped


def new_figure(columns: int, rows: int, heading: str, panel: float = 2.5) -> tuple[Figure, np.ndarray]:
    """A figure with ``rows`` × ``columns`` square panels and a heading; axes come as an array."""
    from matplotlib import pyplot

    size = (panel * columns * 1.12, panel * rows + 0.35)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False)
    figure.suptitle(heading, fontsize=10)
    return figure, axes


def show_image(
    axes: Axes,
    image: np.ndarray,
    title: str,
    unit: str = "",
    *,
    pixel: float | None = None,
    pixel_unit: str = "m",
    limits: tuple[float, float] | None = None,
    colours: str = "gray",
    bar: bool = True,
) -> None:
    """A greyscale or false-colour image with colour bar and, where the pixel size is given, a scale bar."""
    low, high = limits if limits is not None else (float(np.nanmin(image)), float(np.nanmax(image)))
    drawn = axes.imshow(image, cmap=colours, vmin=low, vmax=high)
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    colour_bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    colour_bar.ax.tick_params(labelsize=7, width=0.5, length=2)
    if unit:
        colour_bar.ax.set_title(unit, fontsize=7, pad=3)
    if pixel and bar:
        scale_bar(axes, pixel, pixel_unit)


def show_complex(
    axes: Axes, wave: np.ndarray, title: str, *, pixel: float | None = None, pixel_unit: str = "m"
) -> None:
    """A complex field: brightness is the modulus, colour the phase."""
    from matplotlib.colors import hsv_to_rgb

    value = np.abs(wave) / max(float(np.abs(wave).max()), 1e-300)
    hue = (np.angle(wave) / (2 * np.pi)) % 1
    axes.imshow(hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.85), value], axis=-1)))
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    if pixel:
        scale_bar(axes, pixel, pixel_unit)


def scale_bar(axes: Axes, pixel: float, unit: str = "m") -> None:
    """A bar of a round length, about a quarter of the image, in the lower left corner."""
    from matplotlib.patheffects import withStroke

    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    width, height = abs(right - left), abs(bottom - top)
    length = round_length(0.28 * width * pixel)
    x, y = left + 0.05 * width, max(bottom, top) - 0.06 * height
    outline = [withStroke(linewidth=3.5, foreground="black", alpha=0.6)]
    axes.plot(
        [x, x + length / pixel], [y, y], color="white", lw=2, solid_capstyle="butt", path_effects=outline
    )
    axes.text(
        x,
        y - 0.02 * height,
        with_prefix(length, unit),
        color="white",
        ha="left",  # in a small panel the words are longer than the bar
        va="bottom",
        fontsize=7,
        path_effects=[withStroke(linewidth=1.5, foreground="black", alpha=0.7)],
    )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def show_loss(axes: Axes, history: list[dict[str, float]]) -> None:
    """The loss against the step, on a log axis where it is positive; nothing if the method states none."""
    steps = [row["step"] for row in history if "loss" in row]
    losses = [row["loss"] for row in history if "loss" in row]
    if not losses:
        axes.set_visible(False)
        return
    axes.plot(steps, losses, lw=1.2, color="tab:blue", marker="." if len(steps) < 20 else None, ms=4)
    if min(losses) > 0:
        axes.set_yscale("log")
    axes.set_title("loss")
    axes.set_xlabel("step")
    axes.grid(alpha=0.25, lw=0.5, which="both")
    axes.tick_params(labelsize=7)
    axes.set_box_aspect(1)


def round_length(length: float) -> float:
    """The largest of 1, 2, 5 × 10ⁿ that is not above ``length``."""
    power = 10 ** math.floor(math.log10(length))
    return max(m * power for m in (1, 2, 5) if m * power <= length * (1 + 1e-9))


def with_prefix(length: float, unit: str) -> str:
    """``2e-6, "m"`` as ``2 µm``; other units as they are."""
    for size, name in reversed(_PREFIXES.get(unit, [(1.0, unit)])):
        if length >= size * 0.999:
            return f"{length / size:g} {name}"
    return f"{length:g} {unit}"


@styled
def overview(
    modality: Modality, problem: Problem, result: Result, truth: Truth | None, heading: str
) -> Figure:
    """Measurement, reconstruction and, where it is known, truth and error, of each view's first image."""
    x = modality.align(result.x, truth, problem) if truth is not None else result.x
    views = modality.view(x, problem)
    truths = modality.view(truth.x, problem) if truth is not None else ()
    data = np.asarray(problem.y)
    if data.ndim < 2:
        raise Unsuitable(f"{modality.name} has data without image axes and must draw its own figure")
    figure, axes = new_figure(4 if truths else 3, len(views), heading)
    step = problem.pixel_size[-1] if problem.pixel_size else None
    unit = problem.units[-1] if problem.units else "px"
    for row, view in zip(axes, views, strict=True):
        image = view.images[0]
        show_image(row[0], data.reshape(-1, *data.shape[-2:])[0], "measurement")
        if truths:
            want = truths[views.index(view)].images[0]
            limits = (float(want.min()), float(want.max()))
            show_image(row[1], image, view.name, view.unit, pixel=step, pixel_unit=unit, limits=limits)
            show_image(row[2], want, "truth", view.unit, pixel=step, pixel_unit=unit, limits=limits)
            size = float(np.percentile(np.abs(image - want), 99.5)) or 1.0
            show_image(row[3], image - want, "error", view.unit, limits=(-size, size), colours="RdBu_r")
        else:
            show_image(row[1], image, view.name, view.unit, pixel=step, pixel_unit=unit)
            show_loss(row[2], result.history)
    return figure
