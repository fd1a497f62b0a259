"""Gain drift from the data alone: what a calibrator may start from."""

from __future__ import annotations

import numpy as np

from pwm_core.errors import BadValue


def gain_drift_from_frame_means(y: np.ndarray, mask: np.ndarray | None = None) -> tuple[float, float]:
    """Estimate of the gain drift (%/frame) of a video ``y`` (frame, y, x), and its standard error.

    A straight line is fitted to the frame means, over the valid elements, and its slope divided by its value
    at the first frame: means go as 1 + n Δg/100. Where contrast medium arrives or a dense organ moves in, the
    means change as well; the standard error, from the scatter about the line, does not know of that.
    BadValue for fewer than 3 frames.
    """
    if len(y) < 3:
        raise BadValue(f"a drift and its error take at least 3 frames, got {len(y)}")
    valid = np.broadcast_to(True if mask is None else mask, np.shape(y))
    means = np.asarray(np.mean(y, axis=(1, 2), where=valid, dtype=np.float64))
    n = np.arange(len(means))
    (slope, start), covariance = np.polyfit(n, means, 1, cov="unscaled")
    spread = np.sum((means - start - slope * n) ** 2) / max(len(means) - 2, 1)
    return float(100 * slope / start), float(100 * np.sqrt(spread * covariance[0, 0]) / abs(start))
