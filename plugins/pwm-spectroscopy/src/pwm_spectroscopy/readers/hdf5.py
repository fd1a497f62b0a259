"""HDF5 read with care: nothing outside the file is followed, nothing is read before its size is checked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pwm_core.errors import BadFile, PwmError

MICROMETRES = {"um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "m": 1e6}
KEV = {"keV": 1.0, "kev": 1.0, "eV": 1e-3, "ev": 1e-3, "kV": 1.0}


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file open for reading; whatever the HDF5 library finds wrong with it becomes a BadFile."""
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  (registers the compression filters that detectors write)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except PwmError:
        raise
    except MemoryError:
        raise BadFile(f"{path.name} does not fit into this machine's memory; try --assume bin=2") from None
    except (OSError, RuntimeError, KeyError) as error:
        reason = str(error).strip("'\"")
        if "filter" in reason:
            reason += "; pip install hdf5plugin brings the usual filters"
        raise BadFile(f"{path.name} is damaged or is no HDF5 file: {reason}") from error


def looks_like(path: Path, test: Callable[[h5py.File], Any]) -> bool:
    """Whether the file is HDF5 and ``test(file)`` holds; False where it cannot be opened."""
    try:
        with opened(path) as file:
            return bool(test(file))
    except BadFile:
        return False


def node(file: h5py.File | h5py.Group, path: str, hops: int = 8) -> Any:
    """The group or dataset at ``path``, None if absent; BadFile if any link on the way leaves the file."""
    here: Any = file
    for part in filter(None, path.split("/")):
        link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise BadFile(
                f"{_name(file)} keeps {path} in another file ({link.filename}), which is not followed; "
                "copy the data into one file, for example with h5repack"
            )
        if isinstance(link, h5py.SoftLink):
            if hops == 0:
                raise BadFile(f"{_name(file)}: the soft links at {path} go round in a circle")
            target = link.path if link.path.startswith("/") else f"{here.name}/{link.path}"
            here = node(file.file, target, hops - 1)
        else:
            here = here.get(part)
    return here


def dataset(file: h5py.File | h5py.Group, *paths: str) -> h5py.Dataset | None:
    """The first of these datasets that exists, checked to be numbers kept inside the file; still unread."""
    for path in paths:
        found = node(file, path)
        if isinstance(found, h5py.Dataset):
            _check(found)
            return found
    return None


def numbers(file: h5py.File | h5py.Group, *paths: str) -> np.ndarray | None:
    """The first of these datasets that exists, read as float64; None if there is none."""
    found = dataset(file, *paths)
    return None if found is None or found.size == 0 else read(found).astype(np.float64)


def read(found: h5py.Dataset) -> np.ndarray:
    """All of a dataset that :func:`dataset` has checked."""
    if found.size * found.dtype.itemsize > memory():
        raise BadFile(f"{_name(found)}: {found.name} of shape {found.shape} is more than the memory holds")
    return np.asarray(found[()])


def step(values: np.ndarray | None) -> float | None:
    """The spacing of an axis' values; None if there are fewer than two or they do not advance."""
    if values is None or values.size < 2 or not np.isfinite(values).all():
        return None
    spacing = abs(float(values.ravel()[-1] - values.ravel()[0])) / (values.size - 1)
    return spacing or None


def line(values: np.ndarray | None) -> tuple[float | None, float | None]:
    """(zero, gain) of an energy axis given by its values; Nones where they are no rising line."""
    if values is None or values.size < 2:
        return None, None
    values = values.ravel()
    gain = (values[-1] - values[0]) / (values.size - 1)
    if not np.isfinite(values).all() or gain <= 0:
        return None, None
    return float(values[0]), float(gain)


def text(file: h5py.File | h5py.Group, path: str) -> str:
    """The string at ``path``, empty if there is none."""
    found = node(file, path)
    if not isinstance(found, h5py.Dataset) or found.size != 1 or h5py.check_string_dtype(found.dtype) is None:
        return ""
    value = found.asstr("utf-8", "replace")[()]
    return str(value if isinstance(value, str) else np.ravel(value)[0])


def words(found: Any) -> list[str]:
    """An array of strings as a list; empty if it is none."""
    if not isinstance(found, h5py.Dataset) or h5py.check_string_dtype(found.dtype) is None:
        return []
    return [str(w) for w in np.ravel(found.asstr("utf-8", "replace")[()])]


def unit_of(found: h5py.Dataset, units: dict[str, float], default: str) -> float:
    """The factor of the dataset's ``units`` attribute to the base unit of ``units``; BadFile if unknown."""
    value = found.attrs.get("units", default)
    word = (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip() or default
    if word not in units:
        raise BadFile(f"{_name(found)}: {found.name} is in {word!r}; known are {', '.join(units)}")
    return units[word]


def memory() -> float:
    """Bytes of this machine's memory; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _check(found: h5py.Dataset) -> None:
    try:
        kind = found.dtype.kind
    except (TypeError, ValueError):
        kind = "?"
    if kind not in "biuf" or found.shape is None:
        raise BadFile(f"{_name(found)}: {found.name} does not hold plain numbers")
    if found.external or found.is_virtual:
        raise BadFile(f"{_name(found)} keeps {found.name} in another file, which is not followed")
    if found.size and found.id.get_storage_size() == 0:
        raise BadFile(f"{_name(found)}: {found.name} declares a shape of {found.shape} but holds no data")


def _name(found: Any) -> str:
    return Path(found.file.filename).name
