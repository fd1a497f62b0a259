"""Atomic data in this package's terms: lines, absorption and composition, all of it from xraylib.

Energies in keV, mass coefficients in cm²/g. xraylib (Schoonjans et al. 2011, doi:10.1016/j.sab.2011.09.011)
is imported at the first use.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from pwm_core.errors import BadValue

SHELLS = ("K", "L1", "L2", "L3", "M1", "M2", "M3", "M4", "M5")
_SIEGBAHN = {
    "KL3": "Kα1", "KL2": "Kα2", "KM3": "Kβ1", "KM2": "Kβ3", "KN3": "Kβ2",
    "L3M5": "Lα1", "L3M4": "Lα2", "L2M4": "Lβ1", "L3N5": "Lβ2", "L1M3": "Lβ3", "L1M2": "Lβ4",
    "L2N4": "Lγ1", "L1N3": "Lγ3", "L3M1": "Lℓ", "L2M1": "Lη",
    "M5N7": "Mα1", "M5N6": "Mα2", "M4N6": "Mβ", "M3N5": "Mγ", "M5N3": "Mζ",
}  # fmt: skip


class Transition(NamedTuple):
    """A radiative transition: its usual ``name``, the ``shell`` of the vacancy, xraylib's ``code``."""

    name: str
    shell: str
    code: int


@functools.cache
def xraylib() -> Any:
    import xraylib

    return xraylib


@functools.cache
def transitions() -> tuple[Transition, ...]:
    """All radiative transitions to the K, L and M shells."""
    found = []
    for constant in dir(xraylib()):
        match = re.fullmatch(r"((K|L[123]|M[1-5])[L-Q]\d*)_LINE", constant)
        if match:
            iupac = match[1]
            name = _SIEGBAHN.get(iupac, iupac)
            found.append(Transition(name, match[2], getattr(xraylib(), constant)))
    return tuple(found)


@functools.cache
def atomic_number(symbol: str) -> int:
    """Z of an element's symbol; BadValue if there is no such element."""
    try:
        return int(xraylib().SymbolToAtomicNumber(symbol))
    except ValueError:
        raise BadValue(f"there is no element {symbol!r}; give a symbol such as Fe") from None


def atomic_weight(z: int) -> float:
    """g/mol."""
    return float(xraylib().AtomicWeight(z))


def tabulated(function: str, *arguments: Any) -> float:
    """A value of xraylib's; 0 where its tables have none, such as a line that the element does not emit."""
    try:
        return float(getattr(xraylib(), function)(*arguments))
    except ValueError:
        return 0.0


@functools.cache
def composition(compound: str) -> tuple[tuple[int, float], ...]:
    """(Z, mass fraction) of a chemical formula such as ``SrTiO3``; BadValue if it is none."""
    try:
        parsed = xraylib().CompoundParser(compound)
    except ValueError:
        raise BadValue(f"{compound!r} is no chemical formula; write it like SiO2 or Ca5(PO4)3F") from None
    return tuple(zip(parsed["Elements"], parsed["massFractions"], strict=True))


def attenuation(compound: str, energy: float) -> float:
    """Mass attenuation coefficient μ/ρ (cm²/g) of a compound, scattering included."""
    return sum(w * tabulated("CS_Total", z, float(energy)) for z, w in composition(compound))
