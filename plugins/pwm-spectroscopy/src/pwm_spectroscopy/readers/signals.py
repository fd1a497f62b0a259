"""HyperSpy's description of a spectrum image, which its files and RosettaSciIO's readers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pwm_core.errors import BadFile, BadValue
from pwm_core.stored import StoredArray

from .found import Found, checked
from .hdf5 import KEV, MICROMETRES
from .symbols import symbols_in


@dataclass(frozen=True)
class Signal:
    """``counts`` (energy, y, x), a dictionary for each of y, x and energy (name, scale, offset, units), and
    nested metadata."""

    counts: np.ndarray | StoredArray
    axes: list[dict[str, Any]]
    metadata: dict[str, Any]


def found_in(signal: Signal, name: str) -> Found:
    """The spectrum image (y, x, energy) as a reader's finding; BadFile if an axis makes no sense."""
    zero, gain = _energy_axis(signal.axes[-1], name)
    instrument = _inside(signal.metadata, "Acquisition_instrument", "TEM") or _inside(
        signal.metadata, "Acquisition_instrument", "SEM"
    )
    eds = _inside(instrument, "Detector", "EDS")
    counts = signal.counts
    if not isinstance(counts, StoredArray):
        counts = np.ascontiguousarray(counts)
    seconds = _number(eds, "live_time") or _number(eds, "real_time")
    pixels = counts.shape[1] * counts.shape[2]
    return Found(
        counts=checked(counts, name),
        zero=zero,
        gain=gain,
        beam_energy=_number(instrument, "beam_energy"),
        pixel_size=_steps(signal.axes),
        live_time=np.full((1, *counts.shape[1:]), seconds / pixels) if seconds else None,
        take_off=_number(eds, "elevation_angle"),
        tilt=_number(_inside(instrument, "Stage"), "tilt_alpha") or 0.0,
        elements=_elements(signal.metadata),
    )


def _energy_axis(axis: dict[str, Any], name: str) -> tuple[float | None, float | None]:
    scale, offset = _number(axis, "scale"), _number(axis, "offset")
    unit = KEV.get(str(axis.get("units", "keV")))
    if scale is None or unit is None:
        return None, None
    if scale <= 0:
        raise BadFile(f"{name}: its energy axis falls ({scale:g} a channel); the file is damaged")
    return (offset or 0.0) * unit, scale * unit


def _steps(axes: list[dict[str, Any]]) -> tuple[float, float] | None:
    steps = [(_number(a, "scale"), MICROMETRES.get(str(a.get("units", "")))) for a in axes[:2]]
    (y, unit_y), (x, unit_x) = steps
    return (abs(y) * unit_y, abs(x) * unit_x) if y and x and unit_y and unit_x else None


def _elements(metadata: dict[str, Any]) -> tuple[str, ...]:
    words = _inside(metadata, "Sample").get("elements", [])
    try:
        return symbols_in(",".join(str(w) for w in words))
    except BadValue:
        return ()


def _inside(tree: Any, *path: str) -> dict[str, Any]:
    for key in path:
        tree = tree.get(key, {}) if isinstance(tree, dict) else {}
    return tree if isinstance(tree, dict) else {}


def _number(tree: dict[str, Any], key: str) -> float | None:
    value = tree.get(key)
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if plain and np.isfinite(value) else None  # type: ignore[arg-type]
