"""Frames that stay in their HDF5 file, since memory does not hold them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from pwm_core.hdf5 import node
from pwm_core.stored import Box, Stored

from .frames import Stack, Window, no_count


class StoredFrames(Stored):
    """Frames (n, y, x) of one dataset or more (..., y, x), cut to the window as they are read.

    With ``clean`` what is no count is read as zero (see ``frames.mask_bad``); a ``dark`` frame is then
    taken off, and what falls below zero is zero.
    """

    def __init__(self, path: Path, stack: Stack, window: Window) -> None:
        self.parts = [(str(p.name), tuple(p.shape[:-2])) for p in stack.parts]
        self.window, self.full = window, stack.shape
        self.clean = False
        self.dark: np.ndarray | None = None
        self.chosen: np.ndarray | None = None  # numbers of the frames that are kept; None: all
        super().__init__(path, (stack.count, *window.shape(stack.shape)), stack.dtype)
        chunks = stack.parts[0].chunks
        self.multiple = 1 if chunks is None else chunks[-3]

    def only(self, chosen: np.ndarray) -> StoredFrames:
        """Some of the frames, by their numbers."""
        other = copy.copy(self)
        other.chosen = chosen if self.chosen is None else self.chosen[chosen]
        other.shape = (len(chosen), *self.shape[1:])
        return other

    def without(self, dark: np.ndarray) -> StoredFrames:
        """The same frames with a dark frame (y, x) taken off."""
        other = copy.copy(self)
        other.dark = dark.astype(np.float32)
        other.dtype = np.result_type(self.dtype, np.float32)
        return other

    def read(self, file: h5py.File, box: Box) -> np.ndarray:
        wanted = np.arange(box[0].start, box[0].stop)
        numbers = wanted if self.chosen is None else self.chosen[wanted]
        frames = np.empty((len(numbers), *self.shape[1:]), self._own(file))
        at = 0
        for run in np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1):
            for block in self._runs(file, int(run[0]), int(run[-1]) + 1) if len(run) else ():
                frames[at : at + len(block)] = self.window.cut(block)
                at += len(block)
        if self.clean:
            frames[(frames < 0) | no_count(frames)] = 0
        if self.dark is not None:
            frames = np.maximum(frames - self.dark, 0)
        return frames[(slice(None), *box[1:])]

    def _own(self, file: h5py.File) -> np.dtype:
        return np.dtype(node(file, self.parts[0][0]).dtype.newbyteorder("="))

    def _runs(self, file: h5py.File, start: int, stop: int) -> Iterator[np.ndarray]:
        """Whole frames ``start`` to ``stop`` of all parts together, some at a time."""
        for name, lead in self.parts:
            count = math.prod(lead)
            first, last = max(start, 0), min(stop, count)
            rows = lead[-1]
            while first < last:
                *outer, inner = np.unravel_index(first, lead)
                some = min(last - first, rows - int(inner))
                where = (*map(int, outer), slice(int(inner), int(inner) + some))
                yield np.asarray(node(file, name)[where])
                first += some
            start, stop = start - count, stop - count
