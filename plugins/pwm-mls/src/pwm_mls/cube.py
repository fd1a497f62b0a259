"""A spectrum image as a matrix (channel, pixel) that is read in slabs, whatever its type and size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from pwm_core.errors import BadValue, Unsuitable
from pwm_core.problem import Problem
from pwm_core.stored import BLOCK, BlockArray

_SLAB = 1 << 19  # numbers: small enough for the cache


class Cube:
    """The data of a problem as ``shape`` (channels, pixels); ``y`` itself is neither copied nor converted.

    Data larger than memory are read in blocks, whatever is asked for; ``y`` is then not a matrix.

    ``channels`` (channel,) and ``pixels`` (pixel,) mark what is valid at all; ``valid`` is the whole mask
    (channel, pixel) where it is not those two together, else None. Unsuitable unless the data have an
    energy axis before the object's image axes.
    """

    def __init__(self, problem: Problem) -> None:
        y = problem.y if isinstance(problem.y, BlockArray) else np.asarray(problem.y)
        if y.ndim < 2 or y.shape[1:] != tuple(problem.shape[1:]):
            raise Unsuitable(
                f"spectra of pixels are needed, data of shape (energy, *{tuple(problem.shape[1:])}); "
                f"those of {problem.modality} have the shape {y.shape}"
            )
        self.y = y if isinstance(y, BlockArray) else y.reshape(len(y), -1)
        self.shape = (len(y), y.size // max(len(y), 1))
        self.dtype = torch.float64 if problem.dtype == "float64" else torch.float32
        self.channels, self.pixels = np.ones(self.shape[0], bool), np.ones(self.shape[1], bool)
        self.valid: np.ndarray | None = None
        if problem.mask is not None:
            mask = np.asarray(problem.mask, bool)
            if mask.shape == y.shape[1:]:  # the usual one, the same in all channels
                self.channels[:], self.pixels = mask.any(), mask.ravel()
            else:
                self._masked(np.broadcast_to(mask, y.shape).reshape(self.shape))

    def _masked(self, mask: np.ndarray) -> None:
        self.channels, self.pixels = np.any(mask, axis=1), np.any(mask, axis=0)
        if not all(
            np.array_equal(row, self.pixels & ok) for row, ok in zip(mask, self.channels, strict=True)
        ):
            self.valid = mask

    def mean(self) -> np.ndarray:
        """The mean spectrum of the valid pixels, (channel,), double precision; 0 in invalid channels."""
        total = np.zeros(self.shape[0])
        for rows, part, slab in self._slabs():
            if self.valid is not None:
                valid = self.valid[rows]
                kept = torch.where(torch.from_numpy(np.array(valid[:, part])), slab, 0)
                total[rows] += kept.sum(1).double().numpy() / valid.sum(1)
            elif self.pixels.all():
                total[rows] += slab.sum(1).double().numpy() / self.shape[1]
            elif (inside := self.pixels[part]).any():
                share = inside.sum() / self.pixels.sum()
                total[rows] += share * slab[:, torch.from_numpy(inside)].mean(1).double().numpy()
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
        for rows, part, slab in self._slabs():
            out[:, part].addmm_(left[:, rows], slab if of is None else of(slab, rows))
        if not self.pixels.all():
            out[:, torch.from_numpy(~self.pixels)] = 0
        return out

    def parts(self, size: int) -> Iterator[tuple[slice, torch.Tensor]]:
        """At most ``size`` pixels at a time, with their spectra (channel, pixel); 0 where invalid."""
        for first, matrix in self.stripes():
            for start in range(0, matrix.shape[1], size):
                inside = slice(start, min(start + size, matrix.shape[1]))
                part = slice(first + inside.start, first + inside.stop)
                spectra = torch.from_numpy(np.array(matrix[:, inside])).to(self.dtype)
                yield part, torch.where(torch.from_numpy(np.array(self.mask(part))), spectra, 0)

    def stripes(self) -> Iterator[tuple[int, np.ndarray]]:
        """The number of a first pixel, and the spectra (channel, pixel) from there on, some rows of pixels;
        of data in memory all at once."""
        if not isinstance(self.y, BlockArray):
            yield 0, self.y
            return
        rows = self.y.shape[1]
        width = self.shape[1] // rows
        some = max(1, BLOCK // (4 * self.shape[0] * width))
        for row in range(0, rows, some):
            yield row * width, self.y[:, row : row + some].reshape(self.shape[0], -1)

    def mask(self, part: slice) -> np.ndarray:
        """What is valid in these pixels, (channel, pixel)."""
        if self.valid is not None:
            return self.valid[:, part]
        return self.channels[:, None] & self.pixels[part]

    def _slabs(self) -> Iterator[tuple[slice | np.ndarray, slice, torch.Tensor]]:
        """Some valid channels at a time, with all pixels or, of data in a file, with those of a block."""
        if not isinstance(self.y, BlockArray):
            yield from self._of(self.y, 0, slice(0, self.shape[1]))
            return
        width = self.shape[1] // self.y.shape[1]
        for box, block in self.y.blocks():
            part = slice(box[1].start * width, box[1].stop * width)
            yield from self._of(block.reshape(len(block), -1), box[0].start, part)

    def _of(
        self, matrix: np.ndarray, first: int, part: slice
    ) -> Iterator[tuple[slice | np.ndarray, slice, torch.Tensor]]:
        """Slabs of the matrix (channel, pixel) of the pixels ``part``, channels from ``first`` on."""
        size = max(1, _SLAB // max(matrix.shape[1], 1))
        for start in range(0, len(matrix), size):
            stop = min(start + size, len(matrix))
            own: slice | np.ndarray = slice(start, stop)
            rows: slice | np.ndarray = slice(first + start, first + stop)
            if not self.channels[rows].all():
                own = start + np.flatnonzero(self.channels[rows])
                rows = first + own
            if self.channels[rows].any():
                yield rows, part, _tensor(matrix[own]).to(self.dtype)


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Without a copy where torch takes the array; it has no read-only ones and no foreign byte orders."""
    native = array.dtype.newbyteorder("=")
    kept = array.flags.writeable and array.flags.c_contiguous and array.dtype == native
    return torch.from_numpy(array if kept else np.array(array, native))
