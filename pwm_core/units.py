"""Numbers with units as people type them: ``3.65mm``, ``12.7 keV``, ``5%``."""

from __future__ import annotations

import functools
import re
from typing import Any

from .errors import BadValue


@functools.cache
def _units() -> Any:
    import pint

    units: Any = pint.UnitRegistry()
    units.define("pixel = [pixel_length] = px")
    return units


def quantity(text: str, unit: str) -> float:
    """The number that ``text`` states, in ``unit``; a bare number is taken to be in ``unit`` already.

    Raises BadValue when the text is no number, or its unit measures something else.
    """
    word = text.strip()
    try:
        return float(word)
    except ValueError:
        pass
    match = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\s\d.].*)", word)
    if match is None:
        raise BadValue(f"{text!r} is not a number with a unit, such as 3.65mm")
    if not unit:
        raise BadValue(f"{text!r} has a unit, but a plain number is expected here")
    if match[2] == unit:
        return float(match[1])
    import pint

    units = _units()
    try:
        return float(units.Quantity(float(match[1]), _pint_name(match[2])).to(_pint_name(unit)).magnitude)
    except pint.errors.DimensionalityError:
        raise BadValue(f"{text!r} cannot be expressed in {unit}") from None
    except Exception:  # over what is no unit pint's parser stumbles in many ways
        raise BadValue(f"{text!r}: {match[2]!r} is not a unit that is known; expected {unit}") from None


def _pint_name(unit: str) -> str:
    return {"%": "percent", "Å": "angstrom", "µm": "micrometer", "μm": "micrometer"}.get(unit, unit)
