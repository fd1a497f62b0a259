"""A first object from the data alone: where an iteration may start."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from .operator import Fluoroscope

SMOOTHING = 1.5  # px, rms: a mean of about 28 pixels
_FLOOR = 0.25  # quanta a pixel that at least are taken to have come through
_RATIOS = 3  # steps that take the scatter off; what is left of it falls by SPR/(1 + SPR) in each
_BLOCK = 8  # frames worked on at a time


def first_estimate(y: np.ndarray, operator: Fluoroscope, mask: np.ndarray | None = None) -> np.ndarray:
    """Line integrals −ln(direct quanta / open beam) of each frame, (frame, y, x) float32, finite and ≥ 0.

    Pulse, screen and lag are left alone. Where ``mask`` is False the object is the median of what is seen.
    Simulated and measured data start alike.
    """
    x = np.empty(y.shape, np.float32)
    for start in range(0, len(y), _BLOCK):
        part = slice(start, start + _BLOCK)
        x[part] = -np.log(direct_quanta(y[part], operator, mask, start) / operator.beam.flux)
    np.maximum(x, 0, out=x)
    if mask is not None:
        valid = np.broadcast_to(mask, x.shape)
        x[~valid] = np.median(x[valid])
    return x


def direct_quanta(
    y: np.ndarray, operator: Fluoroscope, mask: np.ndarray | None = None, first: int = 0
) -> np.ndarray:
    """The quanta (frame, y, x) that came straight through the object, whose first frame is number ``first``.

    The counts are smoothed in the plane by a Gaussian of 1.5 pixels, over the valid ones only, so that places
    without a single quantum have a logarithm; less than a quarter of a quantum counts as that. Scatter and
    glare are taken off by the ratio method, T ← T · q/(spread of T) (Gold 1964, report ANL-6984).
    """
    detector, scatter = operator.detector, operator.node("scatter")
    valid = np.ones(y.shape[-2:], bool) if mask is None else np.asarray(mask)
    sigma = (SMOOTHING, SMOOTHING)
    counts = ndimage.gaussian_filter(np.where(valid, y, 0).astype(np.float32), (0, *sigma))
    counts /= np.maximum(ndimage.gaussian_filter(valid.astype(np.float32), (0, *sigma)[-valid.ndim :]), 1e-3)
    n = first + np.arange(len(y), dtype=np.float32)[:, None, None]
    counts /= detector.gain * (1 + detector.gain_drift / 100 * n)
    quanta = torch.from_numpy(np.where(valid, np.maximum(counts, _FLOOR), 0).astype(np.float32))
    direct = quanta / (1 + scatter.ratio)
    for _ in range(_RATIOS):
        direct *= quanta / scatter(direct).clamp(min=1e-6)
    return np.maximum(direct.numpy(), _FLOOR / (1 + scatter.ratio))
