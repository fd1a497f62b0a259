"""The figure of a STEM reconstruction: images with scale bars, and their power spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pwm_core.driver import Result
from pwm_core.figure import new_figure, show_image, show_loss, styled
from pwm_core.problem import Problem, Truth

from .operator import probe_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .modality import STEM


@styled
def panels(modality: STEM, problem: Problem, result: Result, truth: Truth | None, heading: str) -> Figure:
    """Images above, power spectra below; of a measured file the fit's residual and a detail too."""
    figure, axes = new_figure(4, 2, heading)
    if truth is not None:
        _simulated(axes, modality, problem, result, truth)
    else:
        _measured(axes, modality, problem, result)
    return figure


def _simulated(axes: np.ndarray, modality: STEM, problem: Problem, result: Result, truth: Truth) -> None:
    data, scale = np.asarray(problem.y, dtype=float), _scale(problem)
    got, want = (modality.view(x, problem)[0] for x in (result.x, truth.x))
    limits = (float(want.images.min()), float(want.images.max()))
    show_image(axes[0, 0], data, "measurement", "counts", limits=_spread(data), **scale)
    show_image(axes[0, 1], got.images[0], "reconstruction", got.unit, limits=limits, **scale)
    show_image(axes[0, 2], want.images[0], "truth at nominal resolution", want.unit, limits=limits, **scale)
    error = got.images[0] - want.images[0]
    size = float(np.percentile(np.abs(error), 99.5)) or 1.0
    show_image(
        axes[0, 3], error, "error", got.unit, limits=(-size, size), colours="RdBu_r", bar=False, **scale
    )
    for panel, image, title in zip(
        axes[1],
        (data, got.images[0], want.images[0]),
        ("measurement", "reconstruction", "truth"),
        strict=False,
    ):
        _show_spectrum(panel, image, f"spectrum, {title}", problem)
    show_loss(axes[1, 3], result.history) if len(result.history) > 1 else _show_profile(
        axes[1, 3], got.images[0], want.images[0], problem
    )


def _measured(axes: np.ndarray, modality: STEM, problem: Problem, result: Result) -> None:
    data, scale = np.asarray(problem.y, dtype=float), _scale(problem)
    view = modality.view(result.x, problem)[0]
    image = view.images[0]
    show_image(axes[0, 0], data, "measurement", "e⁻", limits=_spread(data), **scale)
    show_image(axes[0, 1], image, "reconstruction", view.unit, limits=_spread(image), **scale)
    _show_misfit(axes[0, 2], problem, result)
    show_loss(axes[0, 3], result.history) if len(result.history) > 1 else _show_profile(
        axes[0, 3], image, None, problem
    )
    cut = tuple(slice(n // 2 - _detail(n) // 2, n // 2 + _detail(n) // 2) for n in data.shape)
    off = (data.shape[0] - image.shape[0]) // 2
    inner = tuple(slice(s.start - off, s.stop - off) for s in cut)
    show_image(axes[1, 0], data[cut], "measurement, detail", "e⁻", limits=_spread(data[cut]), **scale)
    show_image(
        axes[1, 1], image[inner], "reconstruction, detail", view.unit, limits=_spread(image[inner]), **scale
    )
    _show_spectrum(axes[1, 2], data, "spectrum, measurement", problem)
    _show_spectrum(axes[1, 3], image, "spectrum, reconstruction", problem)


def _show_spectrum(axes: Axes, image: np.ndarray, title: str, problem: Problem) -> None:
    """Power of the windowed Fourier transform on a log scale, with the circle of the probe's cut-off."""
    pixel = problem.pixel_size[-1] * 1e10
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    power = np.abs(np.fft.fftshift(np.fft.fft2((image - image.mean()) * window))) ** 2
    cutoff, nyquist = probe_of(problem).lens.cutoff, 0.5 / pixel
    half = min(nyquist, 1.15 * cutoff)
    shown = np.log10(power + 1e-12 * power.max())
    low, high = np.percentile(shown, 50), shown.max()
    drawn = axes.imshow(
        shown, cmap="inferno", extent=(-nyquist, nyquist, nyquist, -nyquist),
        vmin=max(low - 0.5, high - 8), vmax=high,
    )  # fmt: skip
    axes.set_xlim(-half, half)
    axes.set_ylim(half, -half)
    if cutoff < nyquist:
        turn = np.linspace(0, 2 * np.pi, 200)
        axes.plot(cutoff * np.cos(turn), cutoff * np.sin(turn), color="white", lw=0.7, ls=":")
        axes.text(0, -0.97 * cutoff, "2α/λ", color="white", fontsize=6, ha="center", va="top")
    axes.set_title(title)
    axes.set_xlabel("1/Å")
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.ax.set_title("log₁₀", fontsize=7, pad=3)


def _show_profile(axes: Axes, image: np.ndarray, true: np.ndarray | None, problem: Problem) -> None:
    """The middle line."""
    row = image.shape[0] // 2
    x = np.arange(image.shape[1]) * problem.pixel_size[-1] * 1e9
    axes.plot(x, image[row], lw=1.0, color="tab:blue", label="reconstruction")
    if true is not None:
        axes.plot(x, true[row], lw=0.8, color="black", ls="--", label="truth")
        axes.legend(frameon=False, fontsize=7, loc="upper right")
    axes.set_title("middle line")
    axes.set_xlabel("nm")
    axes.grid(alpha=0.25, lw=0.5)
    axes.set_box_aspect(1)


def _show_misfit(axes: Axes, problem: Problem, result: Result) -> None:
    """Measurement less model in units of the noise: what is not noise shows as a pattern."""
    model = np.asarray(problem.operator(result.x, result.theta), dtype=float)
    noise = problem.operator.noise(result.theta)
    assert noise is not None
    sigma = np.sqrt(np.maximum(noise.variance(np.maximum(model, 0)), 1e-3 * max(model.mean(), 1e-12)))
    misfit = (np.asarray(problem.y, dtype=float) - model) / sigma
    show_image(axes, misfit, "misfit", "σ", limits=(-4, 4), colours="RdBu_r", bar=False, **_scale(problem))


def _detail(n: int) -> int:
    """The side of the detail, in even pixels: a quarter of a large image, half of a small one."""
    return 2 * (n // 8 if n > 384 else n // 4)


def _scale(problem: Problem) -> dict[str, Any]:
    return {"pixel": problem.pixel_size[-1], "pixel_unit": "m"}


def _spread(image: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(image, [0.5, 99.8])
    return float(low), float(high) if high > low else float(low) + 1.0
