"""PtyPy's prepared data, .ptyd: frames already cut, centred and oriented by PtyPy's own loaders.

    meta/        energy (keV), distance (m), psize (m), center (row, column)
    info/        what the loader was given; read where meta is silent (positions_scan, weight2d, propagation)
    chunks/0...  data (k, y, x); positions (k, 2) as (y, x) in metres; weights like data or empty, 0: invalid

Positions are where the beam was on the sample, along rows and columns. For a near-field scan PtyPy wants
distance and psize as they are *at the sample* (a parallel beam), unless a focus_to_sample is given here.
Layout: ptypy/core/data.py in github.com/ptycho/ptypy.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import looks_like, node, opened

from .base import PtychoReader
from .found import Found
from .frames import Stack
from .hdf5 import EV, LENGTHS, frames_at, group, numbers, scalar, text

log = logging.getLogger("pwm.ptychography")

KEV = {"keV": 1e3 * EV}


class Ptyd(PtychoReader):
    """Files that PtyPy prepares from a beamline's raw data."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        known = looks_like(path, lambda file: group(file, "chunks") and group(file, "meta"))
        return known or path.name.lower().endswith(".ptyd")

    @contextlib.contextmanager
    def contents(self, path: Path) -> Iterator[Found]:
        with opened(path) as file:
            yield self._found(file, path.name)

    def _found(self, file: h5py.File, name: str) -> Found:
        chunks = _chunks(file, name)
        stack = Stack(name, [_frames(file, c, name) for c in chunks])
        geometry = _geometry(file)
        if geometry == "near":
            log.info(
                "near field: distance and pixel taken as effective ones in a parallel beam, as PtyPy does"
            )
        pixel = numbers(file, "meta/psize", "info/psize")
        pixel = np.ravel(pixel) if pixel is not None and pixel.size in (1, 2) else np.full(1, np.nan)
        joules = scalar(file, KEV, "keV", "meta/energy", "info/energy")
        center = numbers(file, "meta/center", "info/center")
        return Found(
            frames=stack,
            positions=_positions(file, chunks),
            geometry=geometry,
            wavelength=self.photon(joules, name, "meta/energy"),
            distance=scalar(file, LENGTHS, "m", "meta/distance", "info/distance"),
            detector_pixel=None
            if np.isnan(pixel).any()
            else self.square_pixel(float(pixel[0]), float(pixel[-1]), name),
            focus_to_sample=math.inf if geometry == "near" else None,
            mask=_weights(file, chunks, stack),
            center=tuple(np.ravel(center)) if center is not None and center.size == 2 else None,
        )


def _chunks(file: h5py.File, name: str) -> list[str]:
    """Paths of the chunks in the order of their numbers."""
    top = node(file, "chunks")
    keys = [k for k in top if k.isdigit()] if isinstance(top, h5py.Group) else []
    if not keys:
        raise BadFile(f"{name} holds no chunks of data: its preparation by PtyPy was not finished or failed")
    return [f"chunks/{k}" for k in sorted(keys, key=int)]


def _frames(file: h5py.File, chunk: str, name: str) -> h5py.Dataset:
    data = frames_at(file, f"{chunk}/data")
    if data is None:
        raise BadFile(f"{name}: {chunk} has no data")
    return data


def _positions(file: h5py.File, chunks: list[str]) -> np.ndarray | None:
    """Chunk by chunk; or for the whole scan, from what the loader was given."""
    parts = [numbers(file, f"{c}/positions") for c in chunks]
    found = [p for p in parts if p is not None and p.ndim == 2 and p.shape[1] == 2]
    if len(found) == len(chunks):
        return np.concatenate(found)
    for key in ("info/positions_theory", "info/positions_scan", "common/positions_scan"):
        whole = numbers(file, key)
        if whole is not None and whole.ndim == 2 and whole.shape[1] == 2:
            log.info("positions from %s", key)
            return whole
    return None


def _weights(file: h5py.File, chunks: list[str], stack: Stack) -> np.ndarray | None:
    parts = [numbers(file, f"{c}/weights") for c in chunks]
    each = [p > 0 for p in parts if p is not None and p.ndim == 3 and p.size]
    if len(each) == len(chunks):
        return np.concatenate(each)
    whole = numbers(file, "meta/weight2d", "common/weight2d", "info/weight2d")
    return whole > 0 if whole is not None and whole.shape == stack.shape else None


def _geometry(file: h5py.File) -> Literal["far", "near"] | None:
    word = text(file, "meta/propagation") or text(file, "info/propagation")
    return {"farfield": "far", "nearfield": "near"}.get(word)  # type: ignore[return-value]
