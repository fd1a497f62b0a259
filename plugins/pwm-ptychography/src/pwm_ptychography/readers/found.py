"""What a file of a ptychographic scan states, and how its mask and probe are fitted to the frames."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pwm_core.errors import BadFile, BadValue

from .frames import Stack, Window

log = logging.getLogger("pwm.ptychography")


@dataclass
class Found:
    """What a file states, before any setting is applied; None where it says nothing.

    ``positions``   (n, 2) as (y, x) along the frames' rows and columns: where the beam was on the sample
    ``mask``        (y, x) or (n, y, x), True where valid, arranged like the frames
    ``center``      (row, column) of the direct beam in the frames
    ``background``  (y, x) counts
    """

    frames: Stack
    positions: np.ndarray | None
    positions_unit: str = "m"
    geometry: Literal["far", "near"] | None = None
    wavelength: float | None = None
    distance: float | None = None
    detector_pixel: float | None = None
    focus_to_sample: float | None = None
    probe: np.ndarray | None = None
    mask: np.ndarray | None = None
    background: np.ndarray | None = None
    center: tuple[float, float] | None = None


def cut(center: int, size: int, n: int) -> slice:
    start = center - size // 2
    if start < 0 or start + size > n:
        raise BadValue(
            f"a frame of {n} pixels has no {size} pixels around pixel {center}; give a smaller size"
        )
    return slice(start, start + size)


def fitting_mask(mask: np.ndarray, stack: Stack, name: str) -> np.ndarray:
    """As (y, x) where one mask serves all frames, else (n, y, x)."""
    each = mask.reshape(-1, *mask.shape[-2:])
    if each.shape[1:] != stack.shape or len(each) not in (1, stack.count):
        raise BadFile(
            f"{name}: a mask of shape {mask.shape} does not fit {stack.count} frames of {stack.shape}"
        )
    return each[0] if all(np.array_equal(m, each[0]) for m in each[1:]) else each


def fitting_probe(found: Found, window: Window, geometry: str) -> np.ndarray | None:
    """The file's probe as (mode, y, x) complex64, cut like the frames."""
    if found.probe is None:
        return None
    probe = found.probe.reshape(-1, *found.probe.shape[-2:]).astype(np.complex64)
    if probe.shape[1:] != found.frames.shape or not np.isfinite(probe).all() or not probe.any():
        log.warning(
            "the probe in the file, %s, does not fit frames of %s: not used", probe.shape, found.frames.shape
        )
        return None
    if geometry == "near":
        return probe[:, window.rows, window.cols]
    # fewer detector pixels are larger pixels at the sample, over the same field: cut the spectrum alike
    axes = (-2, -1)
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe, axes=axes)), axes=axes)
    rows, cols = (
        cut(n // 2, len(range(*s.indices(n))), n)
        for s, n in zip((window.rows, window.cols), found.frames.shape, strict=True)
    )
    spectrum = np.fft.ifftshift(spectrum[:, rows, cols], axes=axes)
    return np.fft.fftshift(np.fft.ifft2(spectrum), axes=axes).astype(np.complex64)
