"""The text files that MAPS and XRF-Maps keep beside the data: fit parameters and reference materials."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

from pwm_core.errors import BadFile

from .symbols import symbols_in

log = logging.getLogger("pwm.spectroscopy")

OVERRIDE, STANDARD = "maps_fit_parameters_override.txt", "maps_standardinfo.txt"


@dataclass(frozen=True)
class FitParameters:
    """What an override file says of the instrument, keV; None where it does not."""

    zero: float | None = None
    gain: float | None = None
    beam_energy: float | None = None
    low: float | None = None
    high: float | None = None
    elements: tuple[str, ...] = ()


def fit_parameters(path: Path) -> FitParameters:
    """From the override file beside the data, or in the folder above as beamlines keep it."""
    found = _beside(path, OVERRIDE)
    if found is None:
        return FitParameters()
    log.info("instrument from %s", found.name)
    lines = _entries(found)
    low, high = _number(lines, "MIN_ENERGY_TO_FIT", found), _number(lines, "MAX_ENERGY_TO_FIT", found)
    return FitParameters(
        zero=_number(lines, "CAL_OFFSET_[E_OFFSET]", found),
        gain=_number(lines, "CAL_SLOPE_[E_LINEAR]", found),
        beam_energy=_number(lines, "COHERENT_SCT_ENERGY", found),
        low=low,
        high=high,
        elements=symbols_in(lines.get("ELEMENTS_TO_FIT", "")),
    )


def certified_densities(path: Path) -> dict[str, float]:
    """µg/cm² by element, if ``path`` is the reference material of the standards' file beside it."""
    found = _beside(path, STANDARD)
    if found is None:
        return {}
    lines = _entries(found)
    if Path(lines.get("FILENAME", "")).stem != path.stem:
        return {}
    names = [w.strip() for w in lines.get("ELEMENTS_IN_STANDARD", "").split(",")]
    try:
        weights = [float(w) for w in lines.get("WEIGHT", "").split(",")]
    except ValueError:
        weights = []
    if len(names) != len(weights) or not all(math.isfinite(w) and w > 0 for w in weights):
        raise BadFile(f"{found.name}: ELEMENTS_IN_STANDARD and WEIGHT must be lists of the same length")
    return dict(zip(names, weights, strict=True))


def _beside(path: Path, name: str) -> Path | None:
    """The file of this name, also with the data's own name before it."""
    places = [path.parent / f"{path.stem}_{name}", path.parent / name, path.parent.parent / name]
    return next((p for p in places if p.is_file()), None)


def _entries(path: Path) -> dict[str, str]:
    """``KEY: value`` lines; the first of several with the same key."""
    entries: dict[str, str] = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            entries.setdefault(key.strip(), value.strip())
    return entries


def _number(lines: dict[str, str], key: str, path: Path) -> float | None:
    if key not in lines:
        return None
    try:
        value = float(lines[key])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadFile(f"{path.name}: {key} is {lines[key]!r}, a number is expected")
    return value
