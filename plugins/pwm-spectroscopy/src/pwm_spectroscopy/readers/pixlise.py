"""PIXLISE dataset.bin: maps of the PIXL family of X-ray fluorescence instruments, a protocol buffer.

Experiment        3 names of the metadata, 5 locations
Location          3 beam (x, y, z of its fields 1, 2, 3 in mm), 5 detectors' spectra
DetectorSpectrum  1 metadata (1 its name's number; 2, 3 or 4 its value), 2 the spectrum: packed integers
                  in which every zero is followed by the number of zeros it stands for

Spectra of READTYPE Normal are read. XPERCHAN and OFFSET (eV) give the energy axis, LIVETIME seconds, and the
tube's voltage is looked for in COMMENT ("28 kV"). The tube's anode is not in the file; PIXL's is rhodium.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from pwm_core.errors import BadFile

from .base import XRFReader
from .found import Found, checked_counts, raster
from .protobuf import Malformed, fields, packed, without_runs

Spectra = list[tuple[dict[str, Any], np.ndarray]]


class Pixlise(XRFReader):
    """Datasets of PIXLISE with their bulk spectra at points on a raster."""

    def contents(self, path: Path) -> Found:
        try:
            points = _points(path.read_bytes())
        except (Malformed, UnicodeDecodeError, IndexError, AttributeError, TypeError) as error:
            raise BadFile(f"{path.name} is truncated or is no PIXLISE dataset: {error}") from None
        if not points:
            raise BadFile(f"{path.name} holds no point with both a position and a normal spectrum")
        return _found(points, path.name)


def _points(data: bytes) -> list[tuple[np.ndarray, Spectra]]:
    """The position (x, y, z) in mm and the spectra of every point that has both."""
    top = list(fields(data))
    labels = [v.decode() for k, v in top if k == 3 and isinstance(v, bytes)]
    points = []
    for location in (list(fields(v)) for k, v in top if k == 5 and isinstance(v, bytes)):
        beam = [dict(fields(v)) for k, v in location if k == 3 and isinstance(v, bytes)]
        spectra = [_spectrum(v, labels) for k, v in location if k == 5 and isinstance(v, bytes)]
        normal = [s for s in spectra if s[0].get("READTYPE") == "Normal" and len(s[1])]
        if beam and normal:
            position = np.array([float(beam[0].get(axis, 0.0)) for axis in (1, 2, 3)])
            points.append((position, sorted(normal, key=lambda s: str(s[0].get("DETECTOR_ID")))))
    return points


def _spectrum(message: bytes, labels: list[str]) -> tuple[dict[str, Any], np.ndarray]:
    facts: dict[str, Any] = {}
    coded = b""
    for key, value in fields(message):
        if key == 1 and isinstance(value, bytes):
            item = dict(fields(value))
            content = item.get(2, item.get(3, item.get(4, 0)))
            number = item.get(1, 0)
            label = labels[number] if isinstance(number, int) else ""
            facts[label] = content.decode() if isinstance(content, bytes) else content
        elif key == 2 and isinstance(value, bytes):
            coded += value
    return facts, without_runs(packed(coded))


def _found(points: list[tuple[np.ndarray, Spectra]], name: str) -> Found:
    detectors, channels = len(points[0][1]), len(points[0][1][0][1])
    if any(len(s) != detectors or any(len(c) != channels for _, c in s) for _, s in points):
        raise BadFile(f"{name}: not every point has {detectors} spectra of {channels} channels")
    positions = np.array([p for p, _ in points])
    rows, columns, steps = raster(positions[:, 1], positions[:, 0], name)
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    counts = np.zeros((detectors, channels, *shape), np.float32)
    live = np.zeros((detectors, *shape))
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    for k in range(detectors):
        counts[k][:, rows, columns] = np.stack([s[k][1] for _, s in points], 1)
        live[k, rows, columns] = [_number(s[k][0], "LIVETIME", name) or 0.0 for _, s in points]
    facts = points[0][1][0][0]
    zero, gain = _number(facts, "OFFSET", name), _number(facts, "XPERCHAN", name)
    volts = re.search(r"(\d+(?:\.\d+)?)\s*kV", str(facts.get("COMMENT", "")))
    return Found(
        counts=checked_counts(counts, name),
        zero=None if zero is None else 1e-3 * zero,
        gain=1e-3 * gain if gain else None,
        beam_energy=float(volts[1]) if volts else None,
        tube=True,
        pixel_size=(1e3 * steps[0], 1e3 * steps[1]),
        live_time=live if live.any() else None,
        mask=None if mask.all() else mask,
    )


def _number(facts: dict[str, Any], key: str, name: str) -> float | None:
    """A metadata value that may be written as text."""
    if key not in facts:
        return None
    try:
        value = float(facts[key])
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise BadFile(f"{name}: {key} is {facts[key]!r}, a number is expected")
    return value
