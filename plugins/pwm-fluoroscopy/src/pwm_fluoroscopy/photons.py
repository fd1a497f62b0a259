"""Quanta and electronic noise of a video, from how its noise grows with its brightness."""

from __future__ import annotations

import logging

import numpy as np
from scipy.optimize import nnls

log = logging.getLogger("pwm.fluoroscopy")

_BINS = 32
_SAMPLE = 3_000_000  # elements that are looked at
_KEPT = 0.8  # of a class's second differences: the smaller ones
_OF_NORMAL = 0.4377  # mean square of the inner 80 % of a standard normal distribution


def photon_transfer(video: np.ndarray, mask: np.ndarray | None = None) -> tuple[float, float]:
    """Gain (counts/quantum) and readout noise (counts rms) of a video (frame, y, x), at least 3 frames long.

    The photon transfer method (Janesick 2007, doi:10.1117/3.725073): variance = gain · mean + readout². The
    variance comes from second differences in time, (yₙ₋₁ − 2yₙ + yₙ₊₁)/√6, which steady motion does not
    disturb, by the inner 80 % of their distribution in 32 classes of brightness, which leaves out what moves
    faster. Lossy compression and lag take noise away, so that more quanta seem to have been there.
    """
    height = max(1, round(_SAMPLE / (video.shape[0] * video.shape[2])))
    rows = slice(None, None, max(1, video.shape[1] // height))
    part = np.asarray(video[:, rows], dtype=np.float32)
    outer = part[:-2] + part[2:]
    second = (outer - 2 * part[1:-1]) / np.sqrt(np.float32(6))
    level = (outer + part[1:-1]) / 3  # whose noise has nothing to do with that of the second difference
    valid = np.broadcast_to(True if mask is None else mask[rows], level.shape)
    means, variances = _classes(level[valid], second[valid] ** 2)
    weights = 1 / np.maximum(variances, 1e-3 * variances.max() + 1e-12)
    gain, power = nnls(np.stack([means, np.ones_like(means)], -1) * weights[:, None], variances * weights)[0]
    if gain <= 0:  # noise that does not grow: what there is of it, shared out over the mean
        gain, power = np.mean(variances) / np.mean(means), 0.0
    return float(max(gain, 1e-6)), float(np.sqrt(power))


def _classes(level: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean level and variance in classes with about as many elements each."""
    edges = np.unique(
        np.quantile(level[:: max(1, level.size // 100_000)], np.linspace(0, 1, _BINS + 1)[1:-1])
    )
    which = np.searchsorted(edges, level, side="right")
    order = np.argsort(which, kind="stable")
    means, variances = [], []
    for chosen in np.split(order, np.cumsum(np.bincount(which))[:-1]):
        if len(chosen) >= 50 and (mean := float(level[chosen].mean(dtype=np.float64))) > 0:
            inner = np.partition(squares[chosen], int(_KEPT * len(chosen)))[: int(_KEPT * len(chosen))]
            means.append(mean)
            variances.append(float(inner.mean(dtype=np.float64)) / _OF_NORMAL)
    return np.array(means), np.array(variances)
