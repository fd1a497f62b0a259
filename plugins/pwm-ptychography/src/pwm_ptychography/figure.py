"""The figure of a ptychographic reconstruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pwm_core.driver import Result
from pwm_core.figure import new_figure, show_complex, show_image, show_loss, styled
from pwm_core.problem import Problem, Truth
from pwm_core.stored import blocks

from .engine import orthogonalise
from .operator import diffraction_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .modality import Ptychography


@styled
def panels(
    modality: Ptychography, problem: Problem, result: Result, truth: Truth | None, heading: str
) -> Figure:
    """Phase, amplitude, probe and a diffraction pattern; below, truth and error, or model and loss."""
    figure, axes = new_figure(4, 2, heading)
    _show_probe(axes[0, 2], problem, result)
    show_loss(axes[1, 3], result.history)
    if truth is not None:
        _simulated(axes, modality, problem, result, truth)
    else:
        _measured(axes, modality, problem, result)
    return figure


def _simulated(
    axes: np.ndarray, modality: Ptychography, problem: Problem, result: Result, truth: Truth
) -> None:
    scale = _scale(problem)
    got = modality.view(modality.align(result.x, truth, problem), problem)
    want = modality.view(truth.x, problem)
    for column, (mine, true) in enumerate(zip(got, want, strict=True)):
        limits = _both(mine.images[0], true.images[0])
        show_image(axes[0, column], mine.images[0], mine.name, mine.unit, limits=limits, **scale)
        show_image(axes[1, column], true.images[0], f"true {true.name}", true.unit, limits=limits, **scale)
    error = got[0].images[0] - want[0].images[0]
    size = float(np.percentile(np.abs(error), 99.5)) or 1.0
    show_image(
        axes[1, 2], error, "phase error", "rad", limits=(-size, size), colours="RdBu_r", bar=False, **scale
    )
    frame = _brightest(problem)
    _show_pattern(axes[0, 3], problem, problem.y[frame], f"frame {frame}")


def _measured(axes: np.ndarray, modality: Ptychography, problem: Problem, result: Result) -> None:
    for column, view in enumerate(modality.view(_levelled(modality, result.x, problem), problem)):
        limits = _spread(view.images[0])
        show_image(axes[0, column], view.images[0], view.name, view.unit, limits=limits, **_scale(problem))
    model = problem.predict(result.x, result.theta)
    frame = _brightest(problem)
    _show_pattern(axes[1, 0], problem, problem.y[frame], f"frame {frame}, measured")
    _show_pattern(axes[1, 1], problem, model[frame], f"frame {frame}, model")
    _show_misfit(axes[1, 2], problem, model)
    _show_scan(axes[0, 3], problem)


def _brightest(problem: Problem) -> int:
    """The number of the frame with most counts."""
    return int(np.argmax(np.concatenate([block.sum((1, 2)) for _, block in blocks(problem.y)])))


def _levelled(modality: Ptychography, x: np.ndarray, problem: Problem) -> np.ndarray:
    """The object without its constant phase, phase ramp and scale, which mean nothing."""
    from .modality import illuminated

    region = illuminated(diffraction_of(problem))
    part = np.asarray(x)[region[0], region[1]]
    down = np.angle(np.sum(part[1:] * part[:-1].conj()))
    right = np.angle(np.sum(part[:, 1:] * part[:, :-1].conj()))
    rows, columns = np.indices(x.shape)
    flat = x * np.exp(-1j * (down * rows + right * columns))
    mean = np.angle(np.sum(flat[region[0], region[1]]))
    return flat * np.exp(-1j * mean) / (float(np.median(np.abs(part))) or 1.0)


def _show_probe(axes: Axes, problem: Problem, result: Result) -> None:
    modes = result.theta.get("probe.modes")
    if modes is None:
        modes = diffraction_of(problem).modes(torch.zeros(1, dtype=torch.complex64)).numpy()
    ordered = orthogonalise(torch.as_tensor(modes)).numpy()
    power = (np.abs(ordered) ** 2).sum((1, 2))
    share = power[0] / power.sum()
    title = "probe" if share > 0.9995 else f"probe, first mode ({share:.1%} of the power)"
    show_complex(axes, ordered[0], title, pixel=problem.pixel_size[0], pixel_unit=problem.units[0])


def _show_pattern(axes: Axes, problem: Problem, pattern: np.ndarray, title: str) -> None:
    counts = np.maximum(np.asarray(pattern, dtype=float), 0)
    if diffraction_of(problem).propagate.method == "fraunhofer":
        show_image(axes, np.log10(1 + counts), f"{title} (log)", colours="magma")
    else:
        show_image(axes, counts, f"{title}, counts", colours="magma", limits=_spread(counts))


def _show_scan(axes: Axes, problem: Problem) -> None:
    r = diffraction_of(problem).scan.positions * (1e6 if problem.units[0] == "m" else 1.0)
    axes.plot(r[:, 1], r[:, 0], lw=0.3, color="0.6", zorder=1)
    axes.scatter(r[:, 1], r[:, 0], c=np.arange(len(r)), s=4, cmap="viridis", zorder=2)
    axes.invert_yaxis()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_box_aspect(1)
    axes.set_title(f"scan, {len(r)} frames")
    axes.set_xlabel("x (µm)" if problem.units[0] == "m" else "x (px)")


def _show_misfit(axes: Axes, problem: Problem, model: Any) -> None:
    """Σ(|Ψ| − √I)²/ΣI of each frame, where it was taken."""
    mask = np.broadcast_to(True if problem.mask is None else problem.mask, problem.y.shape)
    shares = []
    for box, block in blocks(problem.y):
        y, valid = np.maximum(np.asarray(block, dtype=float), 0), mask[box]
        misfit = ((np.sqrt(np.maximum(model[box], 0)) - np.sqrt(y)) ** 2 * valid).sum((1, 2))
        shares.append(misfit / np.maximum((y * valid).sum((1, 2)), 1e-12))
    share = np.concatenate(shares)
    r = diffraction_of(problem).scan.positions * (1e6 if problem.units[0] == "m" else 1.0)
    drawn = axes.scatter(r[:, 1], r[:, 0], c=share, s=7, cmap="magma", vmax=float(np.percentile(share, 99)))
    axes.invert_yaxis()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_box_aspect(1)
    axes.set_title("residual of each frame")
    axes.figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)


def _scale(problem: Problem) -> dict[str, Any]:
    return {"pixel": problem.pixel_size[0], "pixel_unit": problem.units[0]}


def _spread(image: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(image, [0.5, 99.5])
    return float(low), float(high) if high > low else float(low) + 1.0


def _both(image: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Limits that show the whole truth and all but the extremes of the estimate."""
    low, high = _spread(image)
    return min(low, float(true.min())), max(high, float(true.max()))
