"""Data larger than memory: arrays that stay in their HDF5 file, or are computed, block by block."""

from __future__ import annotations

import contextlib
import copy
import math
import resource
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np

from .errors import BadFile, BadValue
from .hdf5 import memory, node, opened

if TYPE_CHECKING:
    from .operator import Operator, Theta

BLOCK = 1 << 22  # bytes of a block

Box = tuple[slice, ...]  # one slice of step 1 an axis, from 0 to the axis' length


class BlockArray(ABC):
    """An array that is never whole in memory: ``array[index]`` makes that part, ``blocks`` all in turn.

    It has ``shape``, ``dtype``, ``ndim``, ``size`` and a length like a NumPy array, and takes the same
    indices, but of lists of indices one at most. ``np.asarray`` makes all of it, BadValue if memory does
    not hold what a method would then make of it. ``axis`` is the axis along which blocks follow each other.
    """

    name: str  # of the file, for messages
    axis = 0
    multiple = 1  # blocks begin at multiples of this, where their length allows it

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = tuple(map(int, shape)), np.dtype(dtype)

    @abstractmethod
    def box(self, box: Box) -> np.ndarray:
        """This part, in any number type."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.shape} {self.dtype}>"

    def __getitem__(self, index: Any) -> np.ndarray:
        indices = _completed(index if isinstance(index, tuple) else (index,), self.ndim)
        if _listed(indices[0]):  # entries may be far apart: one by one
            chosen = np.arange(len(self))[indices[0]]
            rest = tuple(indices[1:])
            made = [self[(int(i), *rest)] for i in chosen]
            return (
                np.stack(made) if made else np.zeros((0, *self[(slice(0, 0), *rest)].shape[1:]), self.dtype)
            )
        spans = [_span(i, n) for i, n in zip(indices, self.shape, strict=True)]
        whole = self.box(tuple(s for s, _ in spans)).astype(self.dtype, copy=False)
        return whole[tuple(rest for _, rest in spans)]

    def __iter__(self) -> Iterator[np.ndarray]:
        """The entries along the first axis, made some at a time."""
        if self.axis:
            yield from (self[i] for i in range(len(self)))
            return
        for _, block in self.blocks():
            yield from block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if 3 * self.size * max(self.dtype.itemsize, 4) > available():
            raise BadValue(
                f"{self.name}: {self.nbytes / 1e9:.3g} GB of data would be needed at once, and "
                f"{available() / 1e9:.3g} GB of memory are free; take a method that goes through the data in "
                "blocks, or less of the data"
            )
        whole = self[(slice(None),) * self.ndim]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def blocks(self) -> Iterator[tuple[Box, np.ndarray]]:
        """(index, ``self[index]``) of parts of about ``BLOCK`` bytes that make up the whole, in order."""
        length, step = self.shape[self.axis], self._step()
        for start in range(0, length, step):
            box = [slice(0, n) for n in self.shape]
            box[self.axis] = slice(start, min(start + step, length))
            yield tuple(box), self[tuple(box)]

    def _step(self) -> int:
        """Entries in a block; each counts four bytes a number at least, as it is computed with."""
        entry = self.size // max(self.shape[self.axis], 1) * max(self.dtype.itemsize, 4)
        step = max(1, BLOCK // max(entry, 1))
        return step // self.multiple * self.multiple or min(self.multiple, 4 * step)


class Stored(BlockArray):
    """An array in a file, opened whenever a part of it is read; may be pickled.

    BadFile if the file has vanished or changed since. Subclasses define ``read``.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__(shape, dtype)
        self.path, self.name = path.resolve(), path.name
        self._stamp = self._now()

    @abstractmethod
    def read(self, file: h5py.File, box: Box) -> np.ndarray:
        """This part from the open file."""

    def box(self, box: Box) -> np.ndarray:
        if self._now() != self._stamp:
            raise BadFile(f"{self.name} has changed while its data were in use; run again")
        with opened(self.path) as file:
            return self.read(file, box)

    def astype(self, dtype: Any) -> Self:
        """The same array, read as another number type."""
        other = copy.copy(self)
        other.dtype = np.dtype(dtype)
        return other

    def _now(self) -> tuple[int, int]:
        try:
            state = self.path.stat()
        except OSError:
            raise BadFile(f"{self.name} is gone while its data were in use") from None
        return state.st_size, state.st_mtime_ns


class StoredArray(Stored):
    """A dataset of an HDF5 file, or a part of it, with its axes in any order.

    ``axes`` names for each axis of the array the dataset's own, None for a new axis of length 1. Blocks
    follow each other along one of the first two, whichever the dataset's layout makes cheaper.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset, axes: tuple[int | None, ...] | None = None) -> None:
        self.axes = tuple(range(dataset.ndim)) if axes is None else axes
        super().__init__(path, tuple(1 if a is None else dataset.shape[a] for a in self.axes), dataset.dtype)
        self.dataset = str(dataset.name)
        self.starts = (0,) * self.ndim
        self.axis, self.multiple = self._cheapest(dataset)

    def cut(self, *slices: slice) -> StoredArray:
        """The part between the slices (of step 1), one an axis."""
        other = copy.copy(self)
        spans = [s.indices(n) for s, n in zip(slices, self.shape, strict=True)]
        other.shape = tuple(max(stop - start, 0) for start, stop, _ in spans)
        other.starts = tuple(s + a for s, (a, _, _) in zip(self.starts, spans, strict=True))
        return other

    def read(self, file: h5py.File, box: Box) -> np.ndarray:
        found = node(file, self.dataset)
        where: list[Any] = [slice(None)] * found.ndim
        for axis, part, start in zip(self.axes, box, self.starts, strict=True):
            if axis is not None:
                where[axis] = slice(part.start + start, part.stop + start)
        own = [a for a in self.axes if a is not None]
        made = np.asarray(found[tuple(where)]).transpose(own)
        return made[tuple(None if a is None else slice(None) for a in self.axes)]

    def _cheapest(self, dataset: h5py.Dataset) -> tuple[int, int]:
        """The axis of which a block needs fewest chunks read that others need too; the length of a chunk."""
        found = []
        for axis in [k for k in range(min(2, self.ndim)) if self.axes[k] is not None]:
            own = self.axes[axis]
            assert own is not None
            chunk = 1 if dataset.chunks is None else dataset.chunks[own]
            entry = 4 * self.size // max(self.shape[axis], 1)
            found.append((max(1.0, chunk / max(1, BLOCK // max(entry, 1))), own, axis, chunk))
        _, _, axis, chunk = min(found)  # at equal cost along the dataset's own slowest axis
        return axis, chunk


class Predicted(BlockArray):
    """H(x; θ), what the model makes of an object, in the blocks of the ``data`` that it is compared with."""

    def __init__(self, operator: Operator, x: Any, theta: Theta | None, data: BlockArray) -> None:
        super().__init__(data.shape, np.float64 if data.dtype == np.float64 else np.float32)
        self.sections = operator.sections(x, theta)
        self.name, self.axis, self.multiple = f"the model of {data.name}", data.axis, data.multiple

    def box(self, box: Box) -> np.ndarray:
        return self.sections(box)


def blocks(array: np.ndarray | BlockArray) -> Iterator[tuple[Box, np.ndarray]]:
    """(index, ``array[index]``) of parts that make up the whole: of an array in memory itself, in one."""
    if isinstance(array, BlockArray):
        yield from array.blocks()
    else:
        whole = np.asarray(array)
        yield tuple(slice(0, n) for n in whole.shape), whole


def too_large(shape: tuple[int, ...]) -> bool:
    """Whether a reader leaves an array of this shape in its file: in single precision it passes `limit`."""
    return 4 * math.prod(shape) > limit()


def limit() -> float:
    """Bytes of data that are read into memory: a quarter of what is free."""
    return available() / 4


def available() -> float:
    """Bytes of memory that are free for this process: of the machine, its container and its own limit."""
    free = [memory()]
    with contextlib.suppress(OSError, ValueError, KeyError):
        free.append(1024.0 * _table("/proc/meminfo")["MemAvailable"])
    with contextlib.suppress(OSError, ValueError, KeyError):  # a container's limit; caches are given up first
        most = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        free.append(most - used + _table("/sys/fs/cgroup/memory.stat")["inactive_file"])
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError, KeyError):
            free.append(allowed - 1024.0 * _table("/proc/self/status")["VmSize"])
    return max(min(free), 0.0)


def _table(path: str) -> dict[str, int]:
    """The numbers of a table of the kernel's, a name and a number a line."""
    rows = (line.replace(":", " ").split() for line in Path(path).read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _completed(index: tuple[Any, ...], ndim: int) -> list[Any]:
    """One index an axis."""
    if sum(_listed(i) for i in index) > 1 or any(i is None for i in index):
        raise IndexError("an array in a file takes one list of indices at most, and no new axes")
    at = [k for k, i in enumerate(index) if i is Ellipsis]
    missing = ndim - len(index) + len(at)
    if missing < 0 or len(at) > 1:
        raise IndexError(f"too many indices for an array of {ndim} axes")
    cut = at[0] if at else len(index)
    return [*index[:cut], *[slice(None)] * missing, *index[cut + len(at) :]]


def _listed(index: Any) -> bool:
    return isinstance(index, (list, np.ndarray)) and np.ndim(index) == 1


def _span(index: Any, length: int) -> tuple[slice, Any]:
    """The shortest slice of step 1 that holds all that is asked for, and the index into that."""
    if isinstance(index, slice):
        chosen = range(*index.indices(length))
        if not chosen:
            return slice(0, 0), slice(None)
        if chosen.step == 1:
            return slice(chosen.start, chosen.stop), slice(None)
        return slice(min(chosen), max(chosen) + 1), slice(None, None, chosen.step)
    at = np.arange(length)[index]
    if np.ndim(at) == 0:
        return slice(int(at), int(at) + 1), 0
    low, high = (int(at.min()), int(at.max())) if len(at) else (0, -1)
    return slice(low, high + 1), at - low
