"""EPICS MDA files of microprobe maps, as the APS writes them: a scan of rows, of points, of channels.

Spectra     the innermost scan's detectors, one a detector element, by name usually ``...:mca1.VAL``
Positions   the positioners of the two outer scans, in mm unless they say otherwise
Live time   the ``.ELTM`` of each element's multichannel analyser, s

What the file lacks (energy axis, beam energy, elements) comes from MAPS' override file beside it, the
certified densities of a reference material from its standards' file. Layout: EPICS synApps, saveData.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pwm_core.errors import BadFile

from .base import XRFReader
from .found import Found, checked_counts
from .hdf5 import MICROMETRES, step
from .maps_settings import certified_densities, fit_parameters
from .xdr import Scan, read_mda


class MDA(XRFReader):
    """Step scans with full spectra in the file itself; fly scans keep theirs elsewhere."""

    def contents(self, path: Path) -> Found:
        rank, top = read_mda(path)
        if rank != 3 or not top.inner or not top.inner[0].inner:
            raise BadFile(
                f"{path.name} is a scan of rank {rank} without a spectrum at every point; a step scan of "
                "rows, points and channels is expected"
            )
        counts, mask = _spectra(top, path.name)
        said = fit_parameters(path)
        return Found(
            counts=checked_counts(counts, path.name),
            zero=said.zero,
            gain=said.gain,
            beam_energy=said.beam_energy,
            pixel_size=_steps(top),
            live_time=_live_time(top, mask.shape),
            low=said.low,
            high=said.high,
            elements=said.elements,
            mask=None if mask.all() else mask,
            certified=certified_densities(path),
        )


def _spectra(top: Scan, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(detector, energy, y, x) counts and the (y, x) mask of the points that were reached."""
    first = top.inner[0].inner[0]
    shape = (max(len(top.inner), 1), top.inner[0].planned)
    detectors, channels = len(first.detectors), first.planned
    if detectors == 0 or channels < 64:
        raise BadFile(f"{name}: {detectors} detectors of {channels} channels are no spectra")
    counts = np.zeros((detectors, channels, *shape), np.float32)
    mask = np.zeros(shape, bool)
    for i, row in enumerate(top.inner):
        for j, point in enumerate(row.inner[: shape[1]]):
            spectra = list(point.detectors.values())
            if len(spectra) != detectors or any(len(s) != channels for s in spectra):
                raise BadFile(f"{name}: the spectrum at row {i}, column {j} is incomplete")
            counts[:, :, i, j] = spectra
            mask[i, j] = True
    return counts, mask


def _steps(top: Scan) -> tuple[float, float] | None:
    found = []
    for scan in (top, top.inner[0]):
        name = next(iter(scan.positioners), None)
        spacing = None if name is None else step(scan.positioners[name])
        if name is None or spacing is None:
            return None
        found.append(spacing * MICROMETRES.get(scan.positioner_units[name] or "mm", 1e3))
    return found[0], found[1]


def _live_time(top: Scan, shape: tuple[int, ...]) -> np.ndarray | None:
    names = [n for n in top.inner[0].detectors if n.endswith(".ELTM")]
    if not names:
        return None
    live = np.zeros((len(names), *shape))
    for i, row in enumerate(top.inner):
        for k, name in enumerate(names):
            values = row.detectors.get(name, np.zeros(0))
            live[k, i, : len(values)] = values[: shape[1]]
    return live
