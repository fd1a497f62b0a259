"""The figure of a fluoroscopic reconstruction: frames, a line against time, and a place against time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from pwm_core.driver import Result
from pwm_core.figure import new_figure, scale_bar, show_loss, styled
from pwm_core.problem import Problem, Truth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .modality import Fluoroscopy

_RADIUS = 3  # px, of the place whose mean is shown against time


@dataclass(frozen=True)
class _Row:
    """One video of the figure: how it is shown, and what its colour bar says."""

    name: str
    video: np.ndarray
    limits: tuple[float, float]
    colours: str
    unit: str = ""


@styled
def panels(
    modality: Fluoroscopy, problem: Problem, result: Result, truth: Truth | None, heading: str
) -> Figure:
    """First, middle and last frame, and the line that changes most against time, of measurement and result;

    of truth and error where the truth is known, else of the misfit. On the right the mean of the place that
    changes most against time, and the loss.
    """
    rows = _rows(modality, problem, result, truth)
    figure, axes = new_figure(5, len(rows), heading, panel=2.1)
    place = _liveliest(rows[-2].video if truth is not None else rows[1].video, problem)
    n = len(problem.y)
    for row, line in zip(rows, axes, strict=True):
        for column, frame in enumerate((0, n // 2, n - 1)):
            _show_frame(line[column], row, frame, problem)
        _show_line(line[3], row, place[1], problem)
    axes[0, 1].axvline(place[1], color="tab:orange", lw=0.8, ls="--")
    axes[1, 1].plot(place[1], place[0], "o", ms=8, mfc="none", mec="tab:orange", mew=1.0)
    _show_place(axes[0, 4], rows, place, problem, truth is not None)
    show_loss(axes[1, 4], result.history)
    if truth is not None:
        _show_errors(axes[2, 4], rows[-1].video, rows[-2].video, problem)
    axes[-1, 4].set_axis_off()
    return figure


def _rows(modality: Fluoroscopy, problem: Problem, result: Result, truth: Truth | None) -> list[_Row]:
    y = _masked(np.asarray(problem.y), problem)
    x = _masked(np.asarray(result.x), problem)
    rows = [_Row("measurement", y, _spread(y), "gray", "counts")]
    if truth is None:
        misfit = _misfit(problem, result)
        return [
            *rows,
            _Row("attenuation", x, _spread(x), "gray_r"),
            _Row("misfit / noise", _masked(misfit, problem), (-4.0, 4.0), "RdBu_r", "σ"),
        ]
    limits = (float(truth.x.min()), float(truth.x.max()))
    error = _masked(modality.align(result.x, truth, problem) - truth.x, problem)
    size = float(np.nanpercentile(np.abs(error), 99.5)) or 1.0
    return [
        *rows,
        _Row("attenuation", x, limits, "gray_r"),
        _Row("truth", _masked(truth.x, problem), limits, "gray_r"),
        _Row("error", error, (-size, size), "RdBu_r"),
    ]


def _misfit(problem: Problem, result: Result) -> np.ndarray:
    mean = problem.operator(result.x, result.theta)
    noise = problem.operator.noise()
    assert noise is not None
    return (problem.y - mean) / np.sqrt(np.maximum(noise.variance(mean), 1e-12))


def _show_frame(axes: Axes, row: _Row, frame: int, problem: Problem) -> None:
    low, high = row.limits
    drawn = axes.imshow(row.video[frame], cmap=row.colours, vmin=low, vmax=high)
    axes.set_title(f"{row.name}, frame {frame}")
    axes.set_xticks([])
    axes.set_yticks([])
    if frame == 0:
        scale_bar(axes, problem.pixel_size[-1], problem.units[-1])
    if frame == len(problem.y) - 1:
        bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
        bar.ax.tick_params(labelsize=7, width=0.5, length=2)
        bar.set_label(row.unit, fontsize=7)


def _show_line(axes: Axes, row: _Row, column: int, problem: Problem) -> None:
    """One column of pixels against time (M-mode)."""
    n, height = row.video.shape[:2]
    dt, dy = problem.pixel_size[0], problem.pixel_size[1]
    axes.imshow(
        row.video[:, :, column].T,
        cmap=row.colours,
        vmin=row.limits[0],
        vmax=row.limits[1],
        aspect="auto",
        extent=(-dt / 2, (n - 0.5) * dt, height * dy, 0),
    )
    axes.set_title(f"{row.name} on the line")
    axes.set_xlabel("time (s)")
    axes.set_ylabel(f"y ({problem.units[1]})")
    axes.set_box_aspect(1)


def _show_place(
    axes: Axes, rows: list[_Row], place: tuple[int, int], problem: Problem, simulated: bool
) -> None:
    time = np.arange(len(problem.y)) * problem.pixel_size[0]
    part = tuple(slice(max(0, c - _RADIUS), c + _RADIUS + 1) for c in place)
    means = {row.name: np.nanmean(row.video[:, part[0], part[1]], axis=(1, 2)) for row in rows[:-1]}
    if simulated:
        axes.plot(time, means["truth"], color="0.3", lw=1.0, label="truth")
    axes.plot(time, means["attenuation"], color="tab:orange", lw=1.2, label="reconstruction")
    axes.set_title("attenuation in the circle")
    axes.set_xlabel("time (s)")
    axes.legend(fontsize=6, framealpha=0.6, edgecolor="none")
    axes.grid(alpha=0.25, lw=0.5)
    axes.set_box_aspect(1)


def _show_errors(axes: Axes, error: np.ndarray, truth: np.ndarray, problem: Problem) -> None:
    time = np.arange(len(error)) * problem.pixel_size[0]
    mse = np.nanmean(error.astype(np.float64) ** 2, axis=(1, 2))
    psnr = 20 * np.log10(np.nanmax(truth) - np.nanmin(truth)) - 10 * np.log10(np.maximum(mse, 1e-20))
    axes.plot(time, psnr, color="tab:blue", lw=1.2, marker="." if len(time) < 40 else None, ms=4)
    axes.set_title("PSNR of each frame (dB)")
    axes.set_xlabel("time (s)")
    axes.grid(alpha=0.25, lw=0.5)
    axes.set_box_aspect(1)


def _liveliest(video: np.ndarray, problem: Problem) -> tuple[int, int]:
    """The pixel (y, x) about which the video changes most in time, not too close to the border."""
    change = ndimage.uniform_filter(np.nan_to_num(np.std(video, axis=0)), 2 * _RADIUS + 1)
    if problem.mask is not None:
        change = change * ndimage.binary_erosion(_plane(problem.mask), iterations=4 * _RADIUS)
    margin = max(_RADIUS, min(change.shape) // 10)
    inner = change[margin:-margin, margin:-margin]
    row, column = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return int(row) + margin, int(column) + margin


def _masked(video: np.ndarray, problem: Problem) -> np.ndarray:
    return video if problem.mask is None else np.where(problem.mask, video, np.nan)


def _plane(mask: Any) -> np.ndarray:
    return np.asarray(np.asarray(mask).reshape(-1, *np.shape(mask)[-2:]).all(0))


def _spread(video: np.ndarray) -> tuple[float, float]:
    low, high = np.nanpercentile(video[:: max(1, len(video) // 8)], [0.5, 99.5])
    return float(low), float(high) if high > low else float(low) + 1.0
