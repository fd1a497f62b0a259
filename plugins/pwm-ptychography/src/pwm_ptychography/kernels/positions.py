"""Checks of per-position input; the compiled loops themselves check no bounds.

All of them return copies, since a read-only or strided array would make numba compile once more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pwm_core.errors import BadValue


def patch_corners(corners: Any, count: int, shape: tuple[int, ...], window: tuple[int, ...]) -> np.ndarray:
    """Corners (count, 2) as integers; BadValue unless every patch lies inside an object of ``shape``."""
    corners = np.array(corners, np.int64, order="C")
    if corners.shape != (count, 2):
        raise BadValue(f"{count} patterns need corners of shape ({count}, 2), got {corners.shape}")
    outside = ((corners < 0) | (corners > np.subtract(shape, window))).any(1)
    if outside.any():
        raise BadValue(
            f"{outside.sum()} patches of {tuple(window)} pixels lie outside the object of {tuple(shape)}; "
            f"the first is that of position {outside.argmax()}"
        )
    return corners


def visits(order: Any, count: int) -> np.ndarray:
    """Positions to visit, as integers; BadValue if one is not in range(count)."""
    order = np.array(order, np.int64)
    if order.ndim != 1 or (order.size and not (order.min() >= 0 and order.max() < count)):
        raise BadValue(f"the order of a sweep must be a list of positions from 0 to {count - 1}")
    return order


def per_position(values: Any, count: int, name: str) -> np.ndarray:
    """One float32 a position from a scalar or an array (count,); BadValue for another shape."""
    values = np.asarray(values, np.float32)
    if values.shape not in ((), (count,)):
        raise BadValue(f"{name} must be one number or one for each of {count} positions, got {values.shape}")
    return np.array(np.broadcast_to(values, (count,)))


def shifts(fractions: Any, count: int) -> np.ndarray:
    """Fractions of a pixel (count, 2); BadValue for another shape."""
    fractions = np.asarray(fractions, np.float64)
    if fractions.shape != (count, 2):
        raise BadValue(f"{count} positions need fractions of shape ({count}, 2), got {fractions.shape}")
    return fractions


def same_modes(probe: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Probe modes as complex128; BadValue unless they have ``shape``."""
    probe = np.asarray(probe, np.complex128)
    if probe.shape != shape:
        raise BadValue(f"probe modes of shape {shape} are needed, got {probe.shape}")
    return probe
