"""HDF5 read with care: nothing outside the file is followed, nothing is read before its size is checked."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import memory, name_of, node
from pwm_core.stored import StoredArray, too_large

log = logging.getLogger("pwm.spectroscopy")

MICROMETRES = {"um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "m": 1e6}
KEV = {"keV": 1.0, "kev": 1.0, "eV": 1e-3, "ev": 1e-3, "kV": 1.0}


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
        raise BadFile(f"{name_of(found)}: {found.name} of shape {found.shape} is more than the memory holds")
    return np.asarray(found[()])


def cube(path: Path, found: h5py.Dataset, axes: tuple[int | None, ...]) -> np.ndarray | StoredArray:
    """Spectra (energy, y, x) from a dataset, whose own axes ``axes`` names (None: one of length 1).

    They are left in the file where they would fill the memory.
    """
    if too_large(found.shape):
        log.info("the spectra stay in their file and are read in blocks: they would fill the memory")
        return StoredArray(path, found, axes)
    whole = read(found).transpose([a for a in axes if a is not None])
    return whole[tuple(None if a is None else slice(None) for a in axes)]


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
        raise BadFile(f"{name_of(found)}: {found.name} is in {word!r}; known are {', '.join(units)}")
    return units[word]


def _check(found: h5py.Dataset) -> None:
    try:
        kind = found.dtype.kind
    except (TypeError, ValueError):
        kind = "?"
    if kind not in "biuf" or found.shape is None:
        raise BadFile(f"{name_of(found)}: {found.name} does not hold plain numbers")
    if found.external or found.is_virtual:
        raise BadFile(f"{name_of(found)} keeps {found.name} in another file, which is not followed")
    if found.size and found.id.get_storage_size() == 0:
        raise BadFile(f"{name_of(found)}: {found.name} declares a shape of {found.shape} but holds no data")
