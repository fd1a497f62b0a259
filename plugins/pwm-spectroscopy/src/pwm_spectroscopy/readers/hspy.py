"""HyperSpy's own HDF5 files, .hspy, with an EDS spectrum image; read by h5py alone.

/Experiments/<title>/data        (y, x, E)
/Experiments/<title>/axis-<i>    attributes name, scale, offset, units, navigate
.../metadata/Acquisition_instrument/TEM   beam_energy (keV); Detector/EDS: elevation_angle (°), live_time
.../metadata/Sample                       elements
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pwm_core.errors import BadFile
from pwm_core.hdf5 import looks_like, node, opened

from .base import EDXReader
from .found import Found
from .hdf5 import cube, dataset
from .signals import Signal, found_in


class Hspy(EDXReader):
    """Spectrum images saved by HyperSpy."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return looks_like(path, lambda file: any(True for _ in _signals(file)))

    def contents(self, path: Path) -> Found:
        with opened(path) as file:
            group = next(_signals(file), None)
            if group is None:
                raise BadFile(f"{path.name} holds no spectrum image (y, x, energy)")
            return found_in(_signal(path, group), path.name)


def _signals(file: h5py.File) -> Iterator[h5py.Group]:
    """Every three-dimensional experiment of the file."""
    top = node(file, "Experiments")
    for key in top if isinstance(top, h5py.Group) else ():
        group = node(top, key)
        data = dataset(group, "data") if isinstance(group, h5py.Group) else None
        if data is not None and data.ndim == 3:
            yield group


def _signal(path: Path, group: h5py.Group) -> Signal:
    data = dataset(group, "data")
    assert data is not None
    axes = [_attributes(node(group, f"axis-{i}")) for i in range(3)]
    return Signal(cube(path, data, (2, 0, 1)), axes, _tree(node(group, "metadata")))


def _tree(group: Any, depth: int = 6) -> dict[str, Any]:
    """Nested groups and their attributes as dictionaries; names lose HyperSpy's underscores and blanks."""
    if not isinstance(group, h5py.Group) or depth == 0:
        return {}
    inner = {k.strip().strip("_"): _tree(node(group, k), depth - 1) for k in group}
    return {**inner, **_attributes(group)}


def _attributes(group: Any) -> dict[str, Any]:
    if not isinstance(group, h5py.Group):
        return {}
    return {k.strip(): _plain(v) for k, v in group.attrs.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value
