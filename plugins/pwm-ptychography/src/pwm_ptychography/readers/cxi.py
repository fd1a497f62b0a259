"""CXI, the format of the Coherent X-ray Imaging Data Bank (versions 1.3 to 1.6).

Frames      entry_1/data_1/data or entry_1/instrument_1/detector_1/data, (n, y, x)
Positions   translation of entry_1/data_1, sample_1/geometry_1 or detector_1, (n, 3) as (x, y, z) in metres:
            where the *sample* was in the laboratory (x horizontal, y up, z along the beam). On the sample the
            beam was at minus that, resolved along the detector's rows and columns by basis_vectors; without
            them rows run down (-y) and columns along -x, as the standard says. PyNX writes (3, n).
Detector    distance, x_pixel_size, y_pixel_size (m); corner_position; data_dark; mask, whose bits say what is
            wrong with an element: any but 0x1000 (signal above background) makes it invalid
Source      beam_1/incident_wavelength, source_1/wavelength (m), beam_1/incident_energy, source_1/energy (J);
            illumination, where a program has left one: the probe at the sample, (y, x) or (mode, y, x)

CXI has no word for near field: writers.write_cxi keeps geometry, and focus_to_sample unless the
beam is parallel, under entry_1/pwm.
Specification: F. Maia, cxi_file_format.tex in github.com/cxidb/CXI.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import looks_like, opened

from .base import PtychoReader
from .found import Found
from .frames import Stack
from .hdf5 import ENERGIES, LENGTHS, dataset, frames_at, group, numbers, read, scalar, text, unit_of
from .nexus import entry as nexus_entry

log = logging.getLogger("pwm.ptychography")

DETECTOR = "entry_1/instrument_1/detector_1"
SOURCE = "entry_1/instrument_1/source_1"
BEAM = "entry_1/instrument_1/beam_1"
FRAMES = ("entry_1/data_1/data", f"{DETECTOR}/data", "entry_1/image_1/data")
POSITIONS = (
    "entry_1/data_1/translation",
    "entry_1/sample_1/geometry_1/translation",
    f"{DETECTOR}/translation",
)
DOWN_AND_LEFT = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
HAS_SIGNAL = 0x1000


class CXI(PtychoReader):
    """Coherent X-ray Imaging files, far and near field."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        if looks_like(path, lambda file: nexus_entry(file) is not None):
            return False  # NXcxi_ptycho is a CXI file too, and has a reader of its own
        known = looks_like(path, lambda file: any(group(file, p.rsplit("/", 1)[0]) for p in FRAMES))
        return known or path.name.lower().endswith(".cxi")

    @contextlib.contextmanager
    def contents(self, path: Path) -> Iterator[Found]:
        with opened(path) as file:
            yield self._found(file, path.name)

    def _found(self, file: h5py.File, name: str) -> Found:
        data = frames_at(file, *FRAMES)
        if data is None:
            raise BadFile(f"{name} has no diffraction frames: none of {', '.join(FRAMES)} is there")
        axes, geometry = basis(file, name), _geometry(file)
        parallel = np.inf if geometry == "near" else None
        positions, unit = _positions(file, axes)
        pixel = (
            scalar(file, LENGTHS, "m", f"{DETECTOR}/y_pixel_size"),
            scalar(file, LENGTHS, "m", f"{DETECTOR}/x_pixel_size"),
        )
        if pixel == (None, None):
            vectors = numbers(file, f"{DETECTOR}/basis_vectors")
            pixel = (None, None) if vectors is None else tuple(np.linalg.norm(_rows(vectors, name), axis=1))
        side = self.square_pixel(*pixel, name)
        stack = Stack(name, [data])
        return Found(
            frames=stack,
            positions=positions,
            positions_unit=unit,
            geometry=geometry,
            wavelength=self._stated_wavelength(file, name),
            distance=scalar(file, LENGTHS, "m", f"{DETECTOR}/distance") or _corner_distance(file),
            detector_pixel=side,
            focus_to_sample=scalar(file, LENGTHS, "m", "entry_1/pwm/focus_to_sample") or parallel,
            probe=numbers(file, f"{SOURCE}/illumination"),
            mask=cxi_mask(file, name, f"{DETECTOR}/mask"),
            background=_dark(file, stack),
            center=_center(file, axes, side, stack),
        )

    def _stated_wavelength(self, file: h5py.File, name: str) -> float | None:
        direct = scalar(file, LENGTHS, "m", f"{BEAM}/incident_wavelength", f"{SOURCE}/wavelength")
        if direct is not None:
            return direct
        joules = scalar(file, ENERGIES, "J", f"{BEAM}/incident_energy", f"{SOURCE}/energy")
        return self.photon(joules, name, f"the energy in {SOURCE}")


def basis(file: h5py.File, name: str) -> np.ndarray:
    """Unit vectors (2, 3) in the laboratory along the detector's rows' and columns' running index."""
    vectors = numbers(file, f"{DETECTOR}/basis_vectors")
    if vectors is None:
        log.info("no basis_vectors: detector rows taken to run down, columns along -x, as CXI's default")
        return DOWN_AND_LEFT
    rows = _rows(vectors, name)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if np.abs(rows[:, 2]).max() > 0.1 or abs(rows[0] @ rows[1]) > 0.01:
        raise BadFile(f"{name}: the detector is tilted against the beam; only transmission scans are read")
    return rows


def cxi_mask(file: h5py.File, name: str, path: str) -> np.ndarray | None:
    """True where valid, from bits that say what is wrong with an element."""
    bits = numbers(file, path)
    if bits is None:
        return None
    if bits.dtype.kind not in "iub" or bits.ndim < 2:
        raise BadFile(
            f"{name}: the mask {path} must hold integers per element, found {bits.dtype} {bits.shape}"
        )
    return (bits.astype(np.uint32) & ~np.uint32(HAS_SIGNAL)) == 0


def _rows(vectors: np.ndarray, name: str) -> np.ndarray:
    """Basis vectors as (2, 3); cdtools writes them as (3, 2)."""
    vectors = vectors.T if vectors.shape == (3, 2) else vectors
    if vectors.shape != (2, 3) or not np.isfinite(vectors).all() or not np.linalg.norm(vectors, axis=1).all():
        raise BadFile(f"{name}: basis_vectors must be two vectors in space, found shape {vectors.shape}")
    return vectors.astype(np.float64)


def _positions(file: h5py.File, axes: np.ndarray) -> tuple[np.ndarray | None, str]:
    found = dataset(file, *POSITIONS)
    if found is None:
        return None, "m"
    shifts = read(found).astype(np.float64)
    if shifts.ndim == 2 and shifts.shape[0] in (2, 3) and shifts.shape[1] > 3:
        shifts = shifts.T
    shifts = shifts.reshape(-1, shifts.shape[-1]) if shifts.ndim >= 2 else np.zeros((0, 3))
    if shifts.shape[1] not in (2, 3):
        raise BadFile(f"{Path(file.filename).name}: {found.name} must be (n, 3), found {found.shape}")
    return -shifts[:, :2] @ axes[:, :2].T, unit_of(found, "m")


def _geometry(file: h5py.File) -> Literal["far", "near"] | None:
    words: dict[str, Literal["far", "near"]] = {"far": "far", "near": "near"}
    return words.get(text(file, "entry_1/pwm/geometry"))


def _corner_distance(file: h5py.File) -> float | None:
    corner = numbers(file, f"{DETECTOR}/corner_position")
    return float(abs(corner.ravel()[2])) if corner is not None and corner.size == 3 else None


def _center(
    file: h5py.File, axes: np.ndarray, pixel: float | None, stack: Stack
) -> tuple[float, float] | None:
    """Where the beam meets the detector, from the position of its corner; None if outside of it."""
    corner = numbers(file, f"{DETECTOR}/corner_position")
    if corner is None or corner.size != 3 or not pixel:
        return None
    row, col = (float(-(corner.ravel() @ axis) / pixel - 0.5) for axis in axes)
    inside = 0 <= row < stack.shape[0] and 0 <= col < stack.shape[1]
    return (row, col) if inside else None


def _dark(file: h5py.File, stack: Stack) -> np.ndarray | None:
    dark = numbers(file, f"{DETECTOR}/data_dark", f"{DETECTOR}/dark")
    if dark is None or dark.shape[-2:] != stack.shape:
        return None
    return dark.reshape(-1, *stack.shape).mean(0, dtype=np.float64)
