"""The counts of a spectrum image pixel by pixel, stored as what is not zero where that is little."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pwm_mls.cube import Cube
from scipy.sparse import csc_array, hstack

from pwm_core.errors import BadValue, Unsuitable
from pwm_core.stored import BlockArray, available

from .kernels import count_columns, gather_columns

_SPARSE = 0.3  # part of the data that is not zero; below it the way through those alone is shorter
_PART = 1024  # pixels at a time
_NEGATIVE = "nmf takes counts, and some of the data are negative"


@dataclass(frozen=True)
class Counts:
    """Valid channels and pixels only. ``data`` (channel, pixel) is sparse by columns, or dense."""

    data: Any  # csc_array or np.ndarray
    channels: np.ndarray  # (all channels,) bool
    pixels: np.ndarray  # (all pixels,) bool

    @classmethod
    def of(cls, cube: Cube) -> Counts:
        """Unsuitable with a mask of single data, BadValue with counts below zero."""
        if cube.valid is not None:
            raise Unsuitable("nmf needs a mask of whole channels and pixels, the same in all")
        y: Any = cube.y
        if isinstance(y, BlockArray):
            found = cls._sparse(cube)
            if found is not None:
                return found
            y = np.asarray(y).reshape(cube.shape)
        if not (cube.channels.all() and cube.pixels.all()):
            y = y[np.ix_(cube.channels, cube.pixels)]
        if y.size and y.min() < 0:
            raise BadValue(_NEGATIVE)
        y = y.astype(y.dtype.newbyteorder("="), copy=False)
        filled = np.zeros(y.shape[1], np.int64)
        count_columns(y, filled)
        if filled.sum() < _SPARSE * y.size:
            y = _by_columns(y, filled)
        return cls(y.astype(_float(cube)), cube.channels, cube.pixels)

    @classmethod
    def _sparse(cls, cube: Cube) -> Counts | None:
        """What is not zero of data larger than memory, stripe by stripe; None if that is too much."""
        parts, count, most = [], 0, _SPARSE * cube.channels.sum() * cube.pixels.sum()
        for first, matrix in cube.stripes():
            y = matrix[np.ix_(cube.channels, cube.pixels[first : first + matrix.shape[1]])]
            if y.size and y.min() < 0:
                raise BadValue(_NEGATIVE)
            parts.append(csc_array(y.astype(_float(cube))))
            count += parts[-1].nnz
            if count >= most or 16 * count > available():  # eight bytes a count, and again to join the parts
                return None
        return cls(hstack(parts, format="csc"), cube.channels, cube.pixels)

    @property
    def shape(self) -> tuple[int, int]:
        return self.data.shape[0], self.data.shape[1]

    @property
    def sparse(self) -> bool:
        return not isinstance(self.data, np.ndarray)

    def parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Some pixels at a time with their spectra (channel, pixel), of dense data."""
        for start in range(0, self.shape[1], _PART):
            part = slice(start, min(start + _PART, self.shape[1]))
            yield part, np.ascontiguousarray(self.data[:, part])


def _by_columns(y: np.ndarray, filled: np.ndarray) -> Any:
    """``y`` as a csc_array, given how many numbers of each column are not zero, ``filled`` (column,)."""
    ends = np.cumsum(filled)
    starts = np.concatenate([[0], ends])
    index: Any = np.int32 if starts[-1] <= np.iinfo(np.int32).max else np.int64
    indices, data = np.empty(starts[-1], index), np.empty(starts[-1], y.dtype)
    gather_columns(y, ends - filled, indices, data)
    return csc_array((data, indices, starts.astype(index)), shape=(len(y), len(filled)))


def _float(cube: Cube) -> str:
    return str(cube.dtype).removeprefix("torch.")
