"""Several detector elements made one: energy axes compared, brought into line photon by photon, summed."""

from __future__ import annotations

import logging

import numpy as np
from scipy.optimize import least_squares

log = logging.getLogger("pwm.spectroscopy")

TOLERANCE = 1.0  # channels: less than this blurs no peak that a detector resolves


def combined(counts: np.ndarray) -> np.ndarray:
    """The sum (energy, y, x) of (detector, energy, y, x) counts, on the energy axis of the first element.

    An element whose peaks lie more than a channel off the first one's is moved there photon by photon:
    each count is taken to lie anywhere in its channel and goes, by lot, where that place belongs.
    Poisson counts so stay independent Poisson counts, which interpolation would not leave them.
    """
    first = counts[0].sum((1, 2), dtype=np.float64)
    parts = [counts[0]]
    for k in range(1, len(counts)):
        shift, stretch = misalignment(counts[k].sum((1, 2), dtype=np.float64), first)
        used = np.flatnonzero(first > first.max() * 1e-3)
        off = shift + (stretch - 1) * used
        if np.abs(off).max() < TOLERANCE or not np.array_equal(counts[k], np.rint(counts[k])):
            log.info("detector %d: up to %.2g channels off the first; added", k + 1, np.abs(off).max())
            parts.append(counts[k])
        else:
            log.info("detector %d: %.2f channels off, %.4f times as wide; realigned", k + 1, shift, stretch)
            parts.append(moved(counts[k], shift, stretch, np.random.default_rng(k)))
    return np.sum(parts, axis=0, dtype=counts.dtype)


def misalignment(spectrum: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """(shift, stretch): channel c of ``reference`` shows what channel shift + stretch·c of ``spectrum`` does.

    Least squares on the variance-stabilised, smoothed spectra, the ratio of their heights left free
    and slowly varying, so that elements of another efficiency or angle still compare.
    """
    channels = np.arange(len(reference), dtype=float)
    a, b = _contrast(spectrum), _contrast(reference)
    weight = np.sqrt(b.clip(0))

    def error(p: np.ndarray) -> np.ndarray:
        seen = np.interp(p[0] + p[1] * channels, channels, a, left=0, right=0)
        scale = float(seen @ (weight * b)) / max(float(seen @ (weight * seen)), 1e-30)
        return np.asarray(weight * (scale * seen - b))

    starts = [np.array([s, g]) for s in (-8.0, 0.0, 8.0) for g in (0.985, 0.995, 1.0, 1.005, 1.015)]
    start = min(starts, key=lambda p: float(np.sum(error(p) ** 2)))
    found = least_squares(error, start, x_scale=[1.0, 1e-3], loss="soft_l1")
    return float(found.x[0]), float(found.x[1])


def moved(counts: np.ndarray, shift: float, stretch: float, rng: np.random.Generator) -> np.ndarray:
    """Integer counts (energy, y, x) put on another energy axis, each photon going by lot to one channel.

    Channel c of the answer gathers what lay around shift + stretch·c. Photons beyond its ends are lost.
    """
    n = len(counts)
    left = (np.arange(n) - 0.5 - shift) / stretch + 0.5  # where each channel begins, in new channels
    right = left + 1 / stretch
    answer = np.zeros_like(counts)
    rest = counts.astype(np.int64)
    remaining = right - left
    for piece in range(3):  # a channel reaches into at most three new ones
        target = np.floor(left).astype(int) + piece
        inside = np.clip(np.minimum(right, target + 1) - np.maximum(left, target), 0, None)
        chance = np.clip(np.divide(inside, remaining, out=np.ones(n), where=remaining > 1e-12), 0, 1)
        drawn = rng.binomial(rest, chance[:, None, None])
        keep = (target >= 0) & (target < n)
        np.add.at(answer, target[keep], drawn[keep].astype(counts.dtype))
        rest -= drawn
        remaining = remaining - inside
    return answer


def _contrast(spectrum: np.ndarray) -> np.ndarray:
    """The square root of the counts, smoothed over a few channels, above its own broad continuum."""
    from scipy.ndimage import gaussian_filter1d

    root = gaussian_filter1d(np.sqrt(spectrum), 2.0)
    return np.asarray(root - gaussian_filter1d(root, 40.0))
