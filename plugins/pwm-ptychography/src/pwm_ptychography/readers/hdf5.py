"""HDF5 read with care: nothing outside the file is followed, nothing is read before its size is checked."""

from __future__ import annotations

import h5py
import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import memory, name_of, node

LENGTHS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "nm": 1e-9, "pm": 1e-12}
LENGTHS |= {
    "meter": 1.0,
    "metre": 1.0,
    "millimeter": 1e-3,
    "micrometer": 1e-6,
    "micron": 1e-6,
    "microns": 1e-6,
}
LENGTHS |= {"meters": 1.0, "metres": 1.0, "Å": 1e-10, "angstrom": 1e-10, "Angstrom": 1e-10, "A": 1e-10}
EV = 1.602176634e-19  # J
ENERGIES = {"J": 1.0, "joule": 1.0, "eV": EV, "keV": 1e3 * EV, "MeV": 1e6 * EV}


def group(file: h5py.File, path: str) -> bool:
    """Whether there is a group at ``path`` inside the file itself."""
    return isinstance(node(file, path), h5py.Group)


def dataset(file: h5py.File, *paths: str) -> h5py.Dataset | None:
    """The first of these datasets that exists, checked to be numbers kept inside the file; still unread."""
    for path in paths:
        found = node(file, path)
        if isinstance(found, h5py.Dataset):
            _check_dataset(file, found, path)
            return found
    return None


def numbers(file: h5py.File, *paths: str) -> np.ndarray | None:
    """The first of these datasets that exists, read; None if there is none."""
    found = dataset(file, *paths)
    return None if found is None else read(found)


def read(found: h5py.Dataset) -> np.ndarray:
    """All of a dataset that :func:`dataset` has checked."""
    if found.size * found.dtype.itemsize > memory():
        raise BadFile(
            f"{name_of(found.file)}: {found.name} of shape {found.shape} is more than the memory holds"
        )
    return np.asarray(found[()])


def frames_at(file: h5py.File, *paths: str) -> h5py.Dataset | None:
    """The first of these datasets, as :func:`dataset`, checked to have been written and not just declared."""
    found = dataset(file, *paths)
    if found is not None and found.size and not found.is_virtual and found.id.get_storage_size() == 0:
        raise BadFile(f"{name_of(file)}: {found.name} declares a shape of {found.shape} but holds no data")
    return found


def unit_of(found: h5py.Dataset, default: str) -> str:
    """The dataset's ``units`` attribute, or the format's own unit where it has none."""
    for key in ("units", "unit"):
        value = found.attrs.get(key)
        value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if isinstance(value, str) and value.strip():
            return value.strip()
    return default


def scalar(file: h5py.File, units: dict[str, float], default: str, *paths: str) -> float | None:
    """One number in SI units from the first of these that exists; an array must hold one value throughout."""
    found = dataset(file, *paths)
    if found is None or found.size == 0 or found.attrs.get("type") == "None":
        return None
    values = np.asarray(read(found), dtype=np.float64).ravel()
    unit = unit_of(found, default)
    if unit not in units:
        raise BadFile(f"{name_of(file)}: {found.name} is in {unit!r}; known are {', '.join(units)}")
    if not np.all(np.isfinite(values)) or np.ptp(values) > 1e-3 * abs(values[0]):
        raise BadFile(f"{name_of(file)}: {found.name} is not one finite value for all frames")
    return float(values[0]) * units[unit]


def text(file: h5py.File, path: str) -> str:
    """The string at ``path``, empty if there is none."""
    found = node(file, path)
    if not isinstance(found, h5py.Dataset) or found.size != 1 or _kind(found) not in "OS":
        return ""
    if h5py.check_string_dtype(found.dtype) is None:
        return ""
    value = found.asstr("utf-8", "replace")[()]
    return str(value if isinstance(value, str) else np.ravel(value)[0])


def _check_dataset(file: h5py.File, found: h5py.Dataset, path: str) -> None:
    name = name_of(file)
    if _kind(found) not in "biufc" or found.shape is None:
        raise BadFile(f"{name}: {path} does not hold plain numbers")
    if found.external:
        raise BadFile(f"{name} keeps {path} in another file, which is not followed")
    if found.is_virtual:
        for source in found.virtual_sources():
            if source.file_name != "." or dataset(file, source.dset_name) is None:
                raise BadFile(f"{name}: {path} is a virtual dataset over another file, which is not followed")


def _kind(found: h5py.Dataset) -> str:
    """The kind of number as NumPy names it; "?" for types that NumPy does not know."""
    try:
        return str(found.dtype.kind)
    except (TypeError, ValueError):
        return "?"
