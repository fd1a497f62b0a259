"""HDF5 files of MAPS and XRF-Maps (Argonne), file versions 9 and 10.

Version 10   /MAPS/Spectra/{mca_arr (E, y, x), Energy, Energy_Calibration, Elapsed_Livetime},
             /MAPS/Scan/{x_axis, y_axis}
Version 9    /MAPS/{mca_arr, energy, energy_calib, x_axis, y_axis}

Energies in keV, axes in mm. The beam's energy and the elements come from MAPS' override file beside it.
Layout: hdf5_io.cpp in github.com/AdvancedPhotonSource/XRF-Maps.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import looks_like, opened

from .base import XRFReader
from .found import Found, checked
from .hdf5 import cube, dataset, line, numbers, step
from .maps_settings import certified_densities, fit_parameters

SPECTRA = ("MAPS/Spectra/mca_arr", "MAPS/mca_arr")


class MAPS(XRFReader):
    """Maps with their spectra as MAPS and XRF-Maps write them."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return looks_like(path, lambda file: dataset(file, *SPECTRA) is not None)

    def contents(self, path: Path) -> Found:
        with opened(path) as file:
            return self._found(file, path)

    def _found(self, file: h5py.File, path: Path) -> Found:
        spectra = dataset(file, *SPECTRA)
        if spectra is None or spectra.ndim != 3:
            raise BadFile(f"{path.name} has no spectra (energy, y, x) at {SPECTRA[0]} or {SPECTRA[1]}")
        counts = cube(path, spectra, (0, 1, 2))
        said = fit_parameters(path)
        zero, gain = _calibration(file, counts.shape[0])
        live = numbers(file, "MAPS/Spectra/Elapsed_Livetime")
        y, x = (step(numbers(file, f"MAPS/Scan/{a}_axis", f"MAPS/{a}_axis")) for a in "yx")
        return Found(
            counts=checked(counts, path.name),
            zero=zero if gain is not None else said.zero,
            gain=gain if gain is not None else said.gain,
            beam_energy=said.beam_energy,
            pixel_size=(1e3 * y, 1e3 * x) if y and x else None,
            live_time=live[None] if live is not None and live.shape == counts.shape[1:] else None,
            low=said.low,
            high=said.high,
            elements=said.elements,
            certified=certified_densities(path),
        )


def _calibration(file: h5py.File, channels: int) -> tuple[float | None, float | None]:
    """(zero, gain) in keV from the energy axis, or from the calibration's offset and slope."""
    zero, gain = line(_of_length(numbers(file, "MAPS/Spectra/Energy", "MAPS/energy"), channels))
    if gain is not None:
        return zero, gain
    fit = numbers(file, "MAPS/Spectra/Energy_Calibration", "MAPS/energy_calib")
    if fit is not None and fit.size >= 2 and np.isfinite(fit).all() and fit.ravel()[1] > 0:
        return float(fit.ravel()[0]), float(fit.ravel()[1])
    return None, None


def _of_length(values: np.ndarray | None, n: int) -> np.ndarray | None:
    return values if values is not None and values.size == n else None
