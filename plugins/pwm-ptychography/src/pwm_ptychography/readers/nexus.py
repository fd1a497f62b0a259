"""NeXus, application definition NXcxi_ptycho (first called NXptycho): NeXus files that are CXI files as well.

Entry       the NXentry whose ``definition`` is NXcxi_ptycho or NXptycho, usually entry_1
Frames      NXdetector/data, (n, y, x) or, for a raster, (ny, nx, y, x)
Positions   NXdetector/translation, (n, 3), of the sample; or sample_1/transformations/{x, y}: one value a
            frame or, for a raster, one a row and one a column; ``vector`` is their direction (usual: x, y)
Detector    x_pixel_size, y_pixel_size, distance, beam_center_x, beam_center_y; pixel_mask or mask, zero where
            valid. Rows are taken to run down (-y) and columns along -x, as CXI does by default.
Beam        NXbeam/incident_beam_energy, incident_energy, energy or incident_wavelength. NXsource/energy is
            the storage ring's and not looked at.

The ``units`` attributes count; a number without one is taken in SI units, a beam centre in pixels.
Definition: NXcxi_ptycho.nxdl.xml in github.com/nexusformat/definitions.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import looks_like, node, opened

from .base import PtychoReader
from .found import Found
from .frames import Stack
from .hdf5 import ENERGIES, LENGTHS, dataset, frames_at, numbers, read, scalar, text, unit_of

log = logging.getLogger("pwm.ptychography")

DEFINITIONS = ("NXcxi_ptycho", "NXptycho")


class NXcxiPtycho(PtychoReader):
    """NeXus files that follow NXcxi_ptycho."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return looks_like(path, lambda file: entry(file) is not None) or path.name.lower().endswith(".nxs")

    @contextlib.contextmanager
    def contents(self, path: Path) -> Iterator[Found]:
        with opened(path) as file:
            top = entry(file)
            if top is None:
                raise BadFile(f"{path.name} has no NXentry whose definition is NXcxi_ptycho")
            yield self._found(file, top, path.name)

    def _found(self, file: h5py.File, top: str, name: str) -> Found:
        instrument = _child(file, top, "NXinstrument", "instrument_1") or top
        detector = _child(file, instrument, "NXdetector", "detector_1")
        beam = _child(file, instrument, "NXbeam", "beam_1") or _child(file, top, "NXbeam", "beam_1")
        data = frames_at(file, f"{detector}/data", f"{top}/data_1/data", f"{top}/data/data")
        if data is None:
            raise BadFile(f"{name} has no diffraction frames in its NXdetector")
        stack = Stack(name, [data])
        positions, unit = _positions(file, top, detector, data.shape[:-2], name)
        y, x = (scalar(file, LENGTHS, "m", f"{detector}/{axis}_pixel_size") for axis in "yx")
        pixel = self.square_pixel(y, x, name)
        return Found(
            frames=stack,
            positions=positions,
            positions_unit=unit,
            wavelength=self._stated_wavelength(file, beam, name),
            distance=scalar(file, LENGTHS, "m", f"{detector}/distance"),
            detector_pixel=pixel,
            mask=_mask(file, detector, name),
            center=_center(file, detector, self.detector_pixel or pixel),
        )

    def _stated_wavelength(self, file: h5py.File, beam: str | None, name: str) -> float | None:
        if beam is None:
            return None
        direct = scalar(file, LENGTHS, "m", f"{beam}/incident_wavelength", f"{beam}/wavelength")
        if direct is not None:
            return direct
        names = ("incident_beam_energy", "incident_energy", "energy")
        return self.photon(
            scalar(file, ENERGIES, "J", *(f"{beam}/{n}" for n in names)), name, f"the energy in {beam}"
        )


def entry(file: h5py.File) -> str | None:
    """The path of the first entry that follows the definition; None if there is none."""
    for key in sorted(file):
        inside = not isinstance(file.get(key, getlink=True), h5py.ExternalLink)
        if inside and text(file, f"{key}/definition") in DEFINITIONS:
            return str(key)
    return None


def _child(file: h5py.File, parent: str, nx_class: str, usual: str) -> str | None:
    """The group of this NeXus class in ``parent``, or the one with the definition's own name."""
    here = node(file, parent)
    if not isinstance(here, h5py.Group):
        return None
    for key in [usual, *sorted(here)]:
        if isinstance(here.get(key, getlink=True), h5py.ExternalLink):
            continue
        child = node(file, f"{parent}/{key}")
        kind = child.attrs.get("NX_class") if isinstance(child, h5py.Group) else None
        if kind in (nx_class, nx_class.encode()) or (key == usual and isinstance(child, h5py.Group)):
            return f"{parent}/{key}"
    return None


def _positions(
    file: h5py.File, top: str, detector: str | None, raster: tuple[int, ...], name: str
) -> tuple[np.ndarray | None, str]:
    """Where the beam was: at minus the sample's shift, along rows and columns that run along -y and -x."""
    geometry = f"{top}/sample_1/geometry_1/translation"
    found = dataset(file, f"{detector}/translation", geometry, f"{top}/data_1/translation")
    if found is not None and found.ndim >= 2 and found.shape[-1] in (2, 3):
        shifts = read(found).astype(np.float64).reshape(-1, found.shape[-1])
        return shifts[:, [1, 0]], unit_of(found, "m")
    sample = _child(file, top, "NXsample", "sample_1")
    moves = f"{sample}/transformations"
    x, y = dataset(file, f"{moves}/x", f"{top}/data/x"), dataset(file, f"{moves}/y", f"{top}/data/y")
    if x is None or y is None:
        return None, "m"
    units = {unit_of(x, "m"), unit_of(y, "m")}
    if len(units) != 1:
        raise BadFile(f"{name}: the positions' x and y are in different units, {' and '.join(sorted(units))}")
    along = _per_frame(read(x).astype(np.float64), read(y).astype(np.float64), raster, name)
    shift = along[0][:, None] * _vector(x, (1, 0, 0)) + along[1][:, None] * _vector(y, (0, 1, 0))
    return shift[:, [1, 0]], units.pop()


def _per_frame(
    x: np.ndarray, y: np.ndarray, raster: tuple[int, ...], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """One x and one y for every frame, in the frames' order."""
    frames = int(np.prod(raster))
    if x.size == y.size == frames:
        return x.ravel(), y.ravel()
    if len(raster) == 2 and (x.size, y.size) in (raster, raster[::-1]):
        slow_x = (x.size, y.size) == raster
        log.info("raster of %dx%d: %s taken as the slow axis", *raster, "x" if slow_x else "y")
        if slow_x:
            return np.repeat(x.ravel(), y.size), np.tile(y.ravel(), x.size)
        return np.tile(x.ravel(), y.size), np.repeat(y.ravel(), x.size)
    raise BadFile(f"{name} holds {frames} frames but {x.size} positions in x and {y.size} in y")


def _vector(axis: h5py.Dataset, usual: tuple[int, int, int]) -> np.ndarray:
    vector = np.asarray(axis.attrs.get("vector", usual))
    if vector.dtype.kind not in "iuf" or vector.size != 3 or not np.isfinite(vector).all():
        return np.array(usual, dtype=np.float64)
    return vector.ravel().astype(np.float64)


def _mask(file: h5py.File, detector: str | None, name: str) -> np.ndarray | None:
    bits = numbers(file, f"{detector}/pixel_mask", f"{detector}/mask")
    if bits is None:
        return None
    if bits.dtype.kind not in "iub" or bits.ndim < 2:
        raise BadFile(
            f"{name}: the detector mask must hold integers per element, found {bits.dtype} {bits.shape}"
        )
    return bits == 0


def _center(file: h5py.File, detector: str | None, pixel: float | None) -> tuple[float, float] | None:
    """(row, column) of the direct beam; lengths are turned into pixels, bare numbers are pixels."""
    values = []
    for key in ("beam_center_y", "beam_center_x"):
        found = dataset(file, f"{detector}/{key}")
        if found is None or found.size != 1:
            return None
        value, unit = float(np.ravel(found[()])[0]), unit_of(found, "pixel")
        if unit in LENGTHS and pixel:
            value *= LENGTHS[unit] / pixel
        values.append(value)
    return (values[0], values[1]) if np.isfinite(values).all() else None
