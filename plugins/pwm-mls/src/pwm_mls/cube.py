"""A spectrum image as a matrix (channel, pixel) that is read in slabs, whatever its type and size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from pwm_core.errors import BadValue, Unsuitable
from pwm_core.problem import Problem

_SLAB = 1 << 19  # numbers: small enough for the cache


class Cube:
    """The data of a problem as ``shape`` (channels, pixels); ``y`` itself is neither copied nor converted.

    ``channels`` (channel,) and ``pixels`` (pixel,) mark what is valid at all; ``valid`` is the whole mask
    (channel, pixel) where it is not those two together, else None. Unsuitable unless the data have an
    energy axis before the object's image axes.
    """

    def __init__(self, problem: Problem) -> None:
        y = np.asarray(problem.y)
        if y.ndim < 2 or y.shape[1:] != tuple(problem.shape[1:]):
            raise Unsuitable(
                f"spectra of pixels are needed, data of shape (energy, *{tuple(problem.shape[1:])}); "
                f"those of {problem.modality} have the shape {y.shape}"
            )
        self.y = y.reshape(len(y), -1)
        self.shape = self.y.shape
        self.dtype = torch.float64 if problem.dtype == "float64" else torch.float32
        self.channels, self.pixels = np.ones(self.shape[0], bool), np.ones(self.shape[1], bool)
        self.valid: np.ndarray | None = None
        if problem.mask is not None:
            self._masked(np.broadcast_to(np.asarray(problem.mask, bool), y.shape).reshape(self.shape))

    def _masked(self, mask: np.ndarray) -> None:
        self.channels, self.pixels = np.any(mask, axis=1), np.any(mask, axis=0)
        if not all(
            np.array_equal(row, self.pixels & ok) for row, ok in zip(mask, self.channels, strict=True)
        ):
            self.valid = mask

    def mean(self) -> np.ndarray:
        """The mean spectrum of the valid pixels, (channel,), double precision; 0 in invalid channels."""
        total = np.zeros(self.shape[0])
        for rows, slab in self._slabs():
            if self.valid is not None:
                valid = self.valid[rows]
                kept = torch.where(torch.from_numpy(np.array(valid)), slab, 0)
                total[rows] = kept.sum(1).double().numpy() / valid.sum(1)
            elif self.pixels.all():
                total[rows] = slab.sum(1).double().numpy() / self.shape[1]
            else:
                total[rows] = slab[:, torch.from_numpy(self.pixels)].mean(1).double().numpy()
        if not np.isfinite(total).all():
            raise BadValue("the spectrum image has values that are not finite; mask them")
        return total

    def product(
        self, matrix: np.ndarray, of: Callable[[torch.Tensor, slice | np.ndarray], torch.Tensor] | None = None
    ) -> torch.Tensor:
        """``matrix`` (row, channel) times the data, (row, pixel); 0 in invalid pixels.

        ``of`` turns the data (channel, pixel) of some channels into something else first.
        """
        left = torch.from_numpy(np.ascontiguousarray(matrix)).to(self.dtype)
        out = torch.zeros(len(matrix), self.shape[1], dtype=self.dtype)
        for rows, slab in self._slabs():
            out.addmm_(left[:, rows], slab if of is None else of(slab, rows))
        if not self.pixels.all():
            out[:, torch.from_numpy(~self.pixels)] = 0
        return out

    def parts(self, size: int) -> Iterator[tuple[slice, torch.Tensor]]:
        """At most ``size`` pixels at a time, with their spectra (channel, pixel); 0 where invalid."""
        for start in range(0, self.shape[1], size):
            part = slice(start, min(start + size, self.shape[1]))
            spectra = torch.from_numpy(np.array(self.y[:, part])).to(self.dtype)
            yield part, torch.where(torch.from_numpy(np.array(self.mask(part))), spectra, 0)

    def mask(self, part: slice) -> np.ndarray:
        """What is valid in these pixels, (channel, pixel)."""
        if self.valid is not None:
            return self.valid[:, part]
        return self.channels[:, None] & self.pixels[part]

    def _slabs(self) -> Iterator[tuple[slice | np.ndarray, torch.Tensor]]:
        """Some valid channels at a time, with all of their pixels."""
        size = max(1, _SLAB // max(self.shape[1], 1))
        for start in range(0, self.shape[0], size):
            rows: slice | np.ndarray = slice(start, min(start + size, self.shape[0]))
            if not self.channels[rows].all():
                rows = start + np.flatnonzero(self.channels[rows])
            if self.channels[rows].any():
                yield rows, _tensor(self.y[rows]).to(self.dtype)


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Without a copy where torch takes the array; it has no read-only ones and no foreign byte orders."""
    native = array.dtype.newbyteorder("=")
    kept = array.flags.writeable and array.flags.c_contiguous and array.dtype == native
    return torch.from_numpy(array if kept else np.array(array, native))
