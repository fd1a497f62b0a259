"""NeXus and PyMca HDF5 maps: spectra in an NXdetector, or an NXdata whose last axis is the energy.

Spectra      NXdetector/data with ``interpretation="spectrum"``, or an NXdata's signal: (y, x, channel)
Energy axis  NXdetector/calibration, (zero, gain, ...) in keV as PyMca writes it; or the NXdata's last axis
Live time    NXdetector/live_time or preset_time, s
Beam         NXmonochromator/energy or NXbeam/incident_energy, in their units

A stack kept as one row (points, channel) needs its width: it is read as one row of pixels.
Source: NeXus definitions, and PyMca's "HDF5 XRF stack".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import looks_like, node, opened

from .base import XRFReader
from .found import Found, checked
from .hdf5 import KEV, MICROMETRES, cube, dataset, line, numbers, read, step, unit_of

DEPTH = 6  # groups below the root that are looked into


class NeXusXRF(XRFReader):
    """Maps in the layouts that PyMca reads and writes."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return looks_like(path, lambda file: _spectra(file) is not None)

    def contents(self, path: Path) -> Found:
        with opened(path) as file:
            where = _spectra(file)
            if where is None:
                raise BadFile(f"{path.name} has no NXdetector or NXdata with a spectrum at every point")
            return _found(file, *where, path)


def _found(file: h5py.File, group: h5py.Group, spectra: h5py.Dataset, path: Path) -> Found:
    counts = cube(path, spectra, (2, 0, 1) if spectra.ndim == 3 else (1, None, 0))
    zero, gain = _energy_axis(group, counts.shape[0])
    live = numbers(group, "live_time", "preset_time")
    shape = counts.shape[1:]
    fits = live is not None and live.size == shape[0] * shape[1]
    return Found(
        counts=checked(counts, path.name),
        zero=zero,
        gain=gain,
        beam_energy=_beam_energy(file),
        pixel_size=_steps(group),
        live_time=live.reshape(1, *shape) if live is not None and fits else None,
    )


def _spectra(file: h5py.File) -> tuple[h5py.Group, h5py.Dataset] | None:
    """The first group with spectra and the spectra themselves; detectors before plots of them."""
    found = []
    for group in _groups(file, DEPTH):
        kind = _word(group.attrs.get("NX_class"))
        signal = _word(group.attrs.get("signal")) or "data"
        if kind not in ("NXdetector", "NXdata") or not isinstance(node(group, signal), h5py.Dataset):
            continue
        data = dataset(group, signal)
        if data is not None and data.ndim in (2, 3) and data.shape[-1] >= 128 and _is_spectral(group, data):
            found.append((kind != "NXdetector", group, data))
    return min(found, key=lambda f: f[0])[1:] if found else None


def _is_spectral(group: h5py.Group, data: h5py.Dataset) -> bool:
    """Whether the last axis is said to be one of energies or channels."""
    axes = [_word(a).lower() for a in np.ravel(group.attrs.get("axes", []))]
    said = axes[-1:] and any(w in axes[-1] for w in ("energy", "channel"))
    calibrated = any(isinstance(node(group, k), h5py.Dataset) for k in ("calibration", "channels", "energy"))
    return _word(data.attrs.get("interpretation")) == "spectrum" or bool(said) or calibrated


def _energy_axis(group: h5py.Group, channels: int) -> tuple[float | None, float | None]:
    fit = numbers(group, "calibration")
    if fit is not None and fit.size >= 2 and np.isfinite(fit).all() and fit.ravel()[1] > 0:
        return float(fit.ravel()[0]), float(fit.ravel()[1])
    names = [_word(a) for a in np.ravel(group.attrs.get("axes", []))]
    axis = dataset(group, "energy", *(names[-1:]))
    if axis is None or axis.size != channels or "channel" in str(axis.name).lower():
        return None, None
    zero, gain = line(read(axis).astype(np.float64) * unit_of(axis, KEV, "keV"))
    return zero, gain


def _beam_energy(file: h5py.File) -> float | None:
    for group in _groups(file, DEPTH):
        if _word(group.attrs.get("NX_class")) in ("NXmonochromator", "NXbeam"):
            found = dataset(group, "energy", "incident_energy", "incident_beam_energy")
            if found is not None and found.size:
                return float(np.ravel(read(found))[0]) * unit_of(found, KEV, "keV")
    return None


def _steps(group: h5py.Group) -> tuple[float, float] | None:
    """The pixel size, from the first two of an NXdata's three axes where they are lengths."""
    names = [_word(a) for a in np.ravel(group.attrs.get("axes", []))]
    steps = []
    for name in names[:2] if len(names) == 3 else []:
        axis = dataset(group, name)
        spacing = None if axis is None else step(read(axis).astype(np.float64))
        if axis is None or spacing is None:
            return None
        steps.append(spacing * unit_of(axis, MICROMETRES, "mm"))
    return (steps[0], steps[1]) if steps else None


def _groups(group: h5py.Group, depth: int) -> Iterator[h5py.Group]:
    """All groups below, in order, by hard links alone."""
    for key in group:
        if isinstance(group.get(key, getlink=True), h5py.HardLink):
            child = group.get(key)
            if isinstance(child, h5py.Group):
                yield child
                if depth > 1:
                    yield from _groups(child, depth - 1)


def _word(value: object) -> str:
    return (
        value.decode("utf-8", "replace")
        if isinstance(value, bytes)
        else str(value)
        if value is not None
        else ""
    )
