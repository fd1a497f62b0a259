"""HDF5 files of PyXRF (NSLS-II): maps of the summed detector and of its elements.

/xrfmap/detsum/counts, /xrfmap/det1/counts ...   (y, x, E)
/xrfmap/positions/pos                            (2, y, x) as PyXRF names them, x_pos and y_pos in µm
/xrfmap/scan_metadata                            attribute instrument_mono_incident_energy, keV

The energy axis is not in the file: 10 eV channels from zero, as the beamlines set them up, unless given.
Layout: pyxrf/model/fileio.py in github.com/NSLS-II/PyXRF.
"""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import looks_like, node, opened
from pwm_core.stored import StoredArray, too_large

from .base import XRFReader
from .found import Found, checked_counts
from .hdf5 import dataset, numbers, read, step, words

log = logging.getLogger("pwm.spectroscopy")


class PyXRF(XRFReader):
    """Maps as PyXRF saves them; the elements one by one where they are kept, else their sum."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return looks_like(path, lambda file: bool(_detectors(file)))

    def contents(self, path: Path) -> Found:
        with opened(path) as file:
            return self._found(file, path)

    def _found(self, file: h5py.File, path: Path) -> Found:
        name = path.name
        spectra = [dataset(file, f"xrfmap/{key}/counts") for key in _detectors(file)]
        if not spectra or any(s is None or s.ndim != 3 or s.shape != spectra[0].shape for s in spectra):  # type: ignore[union-attr]
            raise BadFile(f"{name} has no spectra (y, x, energy) of one shape at /xrfmap/det*/counts")
        each = [s for s in spectra if s is not None]
        counts: np.ndarray | list[StoredArray]
        if too_large((len(each), *each[0].shape)):
            counts = _left(file, path, each)
        else:
            counts = checked_counts(np.stack([np.moveaxis(read(s), -1, 0) for s in each]), name)
        if self.gain is None:
            log.warning("the energy axis is not in the file, taken as 10 eV a channel from 0; see gain, zero")
        return Found(
            counts=counts,
            zero=0.0,
            gain=0.01,
            beam_energy=_beam_energy(file),
            pixel_size=_steps(file, each[0].shape[:2]),
        )


def _left(file: h5py.File, path: Path, each: list[h5py.Dataset]) -> list[StoredArray]:
    """Spectra that would fill the memory, left in the file: the sum that it holds, or the elements."""
    total = dataset(file, "xrfmap/detsum/counts")
    if len(each) > 1 and total is not None and total.shape == each[0].shape:
        log.info("the detector elements would fill the memory: the file's own sum of them is used")
        each = [total]
    log.info("the spectra stay in their file and are read in blocks")
    return [checked_counts(StoredArray(path, s, (2, 0, 1)), path.name) for s in each]


def _detectors(file: h5py.File) -> list[str]:
    top = node(file, "xrfmap")
    keys = sorted(top) if isinstance(top, h5py.Group) else []
    there = [
        k for k in keys if k.startswith("det") and isinstance(node(file, f"xrfmap/{k}/counts"), h5py.Dataset)
    ]
    return [k for k in there if k != "detsum"] or there


def _beam_energy(file: h5py.File) -> float | None:
    facts = node(file, "xrfmap/scan_metadata")
    value = facts.attrs.get("instrument_mono_incident_energy") if isinstance(facts, h5py.Group) else None
    return float(value) if isinstance(value, (float, np.floating)) and 0.1 < value < 1e3 else None


def _steps(file: h5py.File, shape: tuple[int, ...]) -> tuple[float, float] | None:
    positions = numbers(file, "xrfmap/positions/pos")
    if positions is None or positions.shape != (2, *shape):
        return None
    names = words(node(file, "xrfmap/positions/name"))
    x, y = positions[::-1] if names[:1] == ["y_pos"] else positions
    dy, dx = step(y[:, 0]), step(x[0])
    return (dy, dx) if dy and dx else None
