"""Variance stabilisation of Poisson–Gaussian counts: the generalised Anscombe transform."""

from __future__ import annotations

import numpy as np

from .noise import Poisson


def stabilise(y: np.ndarray, noise: Poisson) -> np.ndarray:
    """Transform counts so that their noise has unit variance.

    2·sqrt(z + 3/8 + s²) with z = y / gain and s = readout / gain (Starck, Murtagh & Bijaoui 1998).
    """
    z = np.asarray(y, dtype=np.float64) / noise.gain
    s = noise.readout / noise.gain
    return 2 * np.sqrt(np.maximum(z + 0.375 + s**2, 0))


def unstabilise(d: np.ndarray, noise: Poisson) -> np.ndarray:
    """The mean counts that belong to the denoised transform ``d``.

    Closed-form approximation of the exact unbiased inverse (Mäkitalo & Foi 2013,
    doi:10.1109/TIP.2012.2202675); the algebraic inverse would be biased at low counts.
    """
    d = np.maximum(np.asarray(d, dtype=np.float64), 2 * np.sqrt(0.375))
    s, r = noise.readout / noise.gain, np.sqrt(1.5)
    z = d**2 / 4 + r / (4 * d) - 11 / (8 * d**2) + 5 * r / (8 * d**3) - 1 / 8 - s**2
    return noise.gain * np.maximum(z, 0)
