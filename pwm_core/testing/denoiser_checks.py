"""Checks of a denoiser on plain images; how it does inside a reconstruction is checked as for any method."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..lift import DenoiseThenInvert
from .global_state import isolated
from .problems import Widefield
from .report import require
from .subject import Subject


def check_keeps_shape_and_type(subject: Subject) -> None:
    """An image, or a stack of them, comes back in its shape and dtype, finite, the input untouched."""
    for shape in ((40, 48), (2, 40, 48)):
        for dtype in (np.float32, np.float64):
            image = (smooth_image(shape) + 0.1 * _noise(shape)).astype(dtype)
            kept = image.copy()
            image.setflags(write=False)
            clean = _denoise(subject.cls(), image, 0.1)
            require(
                isinstance(clean, np.ndarray), f"denoise returned {type(clean).__name__}, not a NumPy array"
            )
            require(clean.shape == shape, f"an image of shape {shape} came back as {clean.shape}")
            require(clean.dtype == dtype, f"an image of {np.dtype(dtype)} came back as {clean.dtype}")
            require(np.isfinite(clean).all(), "the denoised image is not finite")
            require(np.array_equal(image, kept), "denoise wrote to the image that it was given")


def check_reduces_noise(subject: Subject) -> None:
    """The error of a noisy smooth image (of still frames, for video) falls, whatever units it is in."""
    shape = (6, 64, 64) if "video" in subject.entry.card.traits else (64, 64)
    for scale in (1.0, 1000.0):
        image = scale * smooth_image(shape)
        noisy = image + scale * 0.1 * _noise(image.shape)
        clean = _denoise(subject.cls(), noisy, scale * 0.1)
        before, after = np.linalg.norm(noisy - image), np.linalg.norm(clean - image)
        require(
            not after >= before,
            f"for an image of range {scale:g} the error went from {before:.4g} to {after:.4g}",
        )


def check_no_noise_no_change(subject: Subject) -> None:
    """At sigma = 0 the image comes back nearly as it was, within 2 % of its range."""
    image = smooth_image((64, 64))
    change = float(np.sqrt(np.mean((_denoise(subject.cls(), image, 0.0) - image) ** 2)))
    require(
        not change > 0.02 * np.ptp(image),
        f"at sigma = 0 the image changed by {100 * change:.1f} % of its range",
    )


def check_denoises_then_inverts(subject: Subject) -> None:
    """Counts with Poisson noise come nearer to their mean by denoising, then inverting."""
    modality = Widefield()
    problem, truth = modality.simulate("disks")
    with isolated(seed=1):
        solved = next(DenoiseThenInvert(denoiser=subject.cls()).solve(problem, np.random.default_rng(0)))
    mean = problem.operator(truth.x)
    found = problem.operator(solved.x).numpy()
    before, after = np.linalg.norm(problem.y - mean), np.linalg.norm(found - mean)
    require(not after >= before, f"the distance to the noiseless image went from {before:.4g} to {after:.4g}")


def smooth_image(shape: tuple[int, ...]) -> np.ndarray:
    """A smooth image of range one about an offset; further images along a leading axis are the same."""
    y, x = (np.linspace(-1, 1, n) for n in shape[-2:])
    image = np.exp(-4 * ((y[:, None] - 0.2) ** 2 + (x + 0.1) ** 2)) + 0.3 * np.cos(2 * y[:, None] - x)
    image = (image - image.min()) / np.ptp(image) + 0.5
    return np.broadcast_to(image, shape).copy()


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape)


def _denoise(denoiser: Any, image: np.ndarray, sigma: float) -> Any:
    with isolated(seed=1):
        return denoiser.denoise(image, sigma)
