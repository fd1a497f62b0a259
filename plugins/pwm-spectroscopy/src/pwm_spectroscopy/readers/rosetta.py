"""Formats of electron microscopes' makers, opened by RosettaSciIO, which is GPL-3 and therefore optional.

Bruker .bcf; Velox and other .emd; Gatan .dm3, .dm4; JEOL .pts; EDAX .spd; Oxford .h5oina, Ripple .rpl
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pwm_core.errors import BadFile

from .base import EDXReader
from .found import Found
from .signals import Signal, found_in

MODULES = {
    ".bcf": "bruker",
    ".emd": "emd",
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".pts": "jeol",
    ".spd": "edax",
    ".rpl": "ripple",
    ".h5oina": "oxfordinstruments",
}


class Rosetta(EDXReader):
    """Spectrum images in the formats of Bruker, Thermo Fisher, Gatan, JEOL, EDAX and Oxford."""

    def contents(self, path: Path) -> Found:
        signals = [s for s in _signals(path) if s.counts.ndim == 3]
        spectral = [s for s in signals if _is_energy(s.axes[-1])]
        if not spectral:
            raise BadFile(f"{path.name} holds no spectrum image (y, x, energy)")
        return found_in(max(spectral, key=lambda s: s.counts.size), path.name)


def _signals(path: Path) -> list[Signal]:
    read = _reader(path)
    try:
        return [Signal(np.moveaxis(s["data"], -1, 0), s["axes"], s["metadata"]) for s in read(str(path))]
    except MemoryError:
        raise BadFile(f"{path.name} does not fit into this machine's memory") from None
    except Exception as error:  # over damaged files the formats' readers stumble in any way
        raise BadFile(f"{path.name} is damaged or of another kind than its name says ({error})") from error


def _reader(path: Path) -> Any:
    import importlib

    try:
        module = importlib.import_module(f"rsciio.{MODULES[path.suffix.lower()]}")
    except ImportError as error:
        raise BadFile(
            f"{path.name} is opened by RosettaSciIO, which is missing ({error}); "
            'pip install "pwm-spectroscopy[formats]" brings it'
        ) from None
    return module.file_reader


def _is_energy(axis: dict[str, Any]) -> bool:
    return str(axis.get("name", "")).lower() in ("energy", "energy loss", "x-ray energy") or str(
        axis.get("units", "")
    ) in ("eV", "keV")
