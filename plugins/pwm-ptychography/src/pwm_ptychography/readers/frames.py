"""Diffraction frames on their way from file to memory: cut, centred, and their bad elements masked."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import memory
from pwm_core.stored import BlockArray

log = logging.getLogger("pwm.ptychography")

BLOCK = 1 << 24  # elements handled at a time
STAYING = 1 << 20  # of frames that memory does not hold


@dataclass(frozen=True)
class Window:
    """Which part of each recorded frame is kept, and whether its quadrants are swapped first."""

    shifted: bool
    rows: slice
    cols: slice

    def shape(self, full: tuple[int, ...]) -> tuple[int, int]:
        """Of the window in frames of this shape."""
        height, width = (len(range(*s.indices(n))) for s, n in zip((self.rows, self.cols), full, strict=True))
        return height, width

    def cut(self, array: np.ndarray) -> np.ndarray:
        """The window of ``array`` (..., y, x), zero frequency in the middle."""
        whole = np.fft.fftshift(array, axes=(-2, -1)) if self.shifted else array
        return whole[..., self.rows, self.cols]


class Stack:
    """Frames as a file keeps them: one or more arrays (..., y, x), in memory or still on disk."""

    def __init__(self, name: str, parts: Sequence[Any]) -> None:
        self.name, self.parts = name, parts
        kinds = {(tuple(p.shape[-2:]), p.dtype.newbyteorder("=")) for p in parts}
        if len(kinds) != 1 or any(len(p.shape) < 3 for p in parts):
            raise BadFile(f"{name}: the frames must be one stack (n, y, x), found {[p.shape for p in parts]}")
        (self.shape, self.dtype), *_ = kinds
        self.count = sum(math.prod(p.shape[:-2]) for p in parts)
        if self.dtype.kind not in "iuf" or min(*self.shape, self.count) < 2:
            y, x = self.shape
            raise BadFile(f"{name}: {self.count} frames of {y}x{x} {self.dtype} are no ptychographic scan")

    def sample(self, number: int) -> np.ndarray:
        """The mean of about ``number`` frames spread over the scan, (y, x), bad elements taken as zero."""
        chosen = range(0, self.count, max(1, self.count // number))
        total = np.zeros(self.shape)
        for index in chosen:
            frame = self._frame(index)
            total += np.where(~no_count(frame) & (frame >= 0), frame, 0)
        return total / len(chosen)

    def load(self, window: Window) -> np.ndarray:
        """All frames (n, y, x) in their own number type, cut to the window."""
        height, width = window.shape(self.shape)
        size = self.count * height * width * self.dtype.itemsize
        if size > memory():
            raise BadFile(
                f"{self.name}: {self.count} frames of {height}x{width} {self.dtype} need {size / 1e9:.3g} GB "
                f"of this machine's {memory() / 1e9:.3g} GB; give a smaller frame as --assume size=256"
            )
        whole = (height, width) == self.shape
        own = (
            self.parts[0]
            if whole and len(self.parts) == 1 and isinstance(self.parts[0], np.ndarray)
            else None
        )
        if own is not None and own.dtype == self.dtype and own.flags.writeable:
            out = own.reshape(self.count, height, width)
        else:
            out = np.empty((self.count, height, width), self.dtype)
        start = 0
        for block in self._blocks():
            out[start : start + len(block)] = window.cut(block)
            start += len(block)
        return out

    def _frame(self, index: int) -> np.ndarray:
        for part in self.parts:
            lead = part.shape[:-2]
            if index < math.prod(lead):
                return np.asarray(part[np.unravel_index(index, lead)])
            index -= math.prod(lead)
        raise IndexError(index)

    def _blocks(self) -> Iterator[np.ndarray]:
        """The frames in order, some at a time, (k, y, x)."""
        some = max(1, BLOCK // math.prod(self.shape))
        for part in self.parts:
            for lead in np.ndindex(*part.shape[:-3]):
                for start in range(0, part.shape[-3], some):
                    yield np.asarray(part[(*lead, slice(start, start + some))])


def in_corner(mean: np.ndarray) -> bool:
    """Whether the direct beam lies at pixel [0, 0] (an FFT's own order) instead of in the middle.

    Most of the energy must then lie in the half-size window around the corner, and little in the middle.
    """
    y, x = mean.shape
    middle = np.s_[y // 4 : y // 4 + y // 2, x // 4 : x // 4 + x // 2]
    total = mean.sum()
    corner = np.fft.fftshift(mean)[middle].sum()
    return bool(total > 0 and corner > 0.5 * total and corner > 2 * mean[middle].sum())


def mask_bad(frames: np.ndarray | BlockArray, mask: np.ndarray | None) -> np.ndarray | None:
    """Zero in place, and mask, what is no count; returns the mask (y, x) or (n, y, x), None if all are valid.

    Masked: NaN, infinity, saturated integers, and elements below zero in every frame (a detector's way to
    mark gaps). Values that are below zero now and then are noise left by a dark subtraction: set to 0, kept.
    Where the frames stay in their file, what is no count in one of them is masked in all: a mask for each
    frame would be a quarter of the data that memory does not hold. There nothing is set to 0.
    """
    stays = isinstance(frames, BlockArray)
    never = np.ones(frames.shape[1:], bool)
    once = np.zeros_like(never)
    wrong: list[np.ndarray] = []
    negative = np.zeros(never.shape, int)
    some = max(1, (STAYING if stays else BLOCK) // never.size)
    for start in range(0, len(frames), some):
        block = frames[start : start + some]
        below, bad = block < 0, no_count(block)
        never &= (below | bad).all(0)
        negative += (below & ~bad).sum(0)
        if stays:
            once |= bad.any(0)
            continue
        wrong.append(np.flatnonzero(bad) + start * never.size)
        block[below | bad] = 0
    if never.any():
        log.info("%d detector elements hold no valid count in any frame: masked", never.sum())
        mask = ~never if mask is None else mask & ~never
    if negative[~never].any():
        log.info("%d values below zero, as dark subtraction leaves them: set to 0", negative[~never].sum())
    if stays:
        once &= ~never
        if once.any():
            log.info("%d elements are saturated or not finite in some frames: masked in all", once.sum())
            mask = ~once if mask is None else mask & ~once
        return mask
    flat = np.concatenate(wrong)
    flat = flat[~never.ravel()[flat % never.size]]
    if len(flat):
        log.info("%d values in single frames are saturated or not finite: masked", len(flat))
        mask = np.ones(frames.shape, bool) if mask is None else np.broadcast_to(mask, frames.shape).copy()
        mask.reshape(-1)[flat] = False
    return mask


def no_count(frame: np.ndarray) -> np.ndarray:
    """Where a value is not finite or saturated."""
    return ~np.isfinite(frame) | _saturated(frame)


def _saturated(frame: np.ndarray) -> np.ndarray:
    """Integers of 16 bits and more at their largest value, with which detectors mark dead elements."""
    if frame.dtype.kind in "iu" and frame.dtype.itemsize >= 2:
        return frame == np.iinfo(frame.dtype).max
    return np.zeros(frame.shape, bool)
