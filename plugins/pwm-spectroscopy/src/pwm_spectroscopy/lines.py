"""Everything that a component sends to the detector, as a list of lines: peaks, scatter and continua alike.

A continuum is a comb of lines closer together than the detector can resolve, so that the one response
broadens, absorbs and calibrates it like all the rest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pwm_core.errors import BadValue

from .instruments import EDXInstrument, Instrument, XRFInstrument
from .ionisation import REST_ENERGY, bremsstrahlung, line_production
from .silicon import FWHM, efficiency, escape, width
from .xraydata import (
    atomic_number,
    atomic_weight,
    attenuation,
    composition,
    tabulated,
    transitions,
)

HOST, CONTINUUM = "matrix", "continuum"
FAMILIES = ("K", "L", "M")
_FAINT = 1e-4  # lines below this part of the component's strongest one are left out
_STEP = 1.5  # of a comb of lines, in rms widths of the detector: ripples by 3e-4
_BEYOND = 0.3  # keV: how far a comb goes on, since its last lines are broadened into the channels
_LOWEST = 0.1  # keV: no X-ray below leaves the sample or passes a window


class Line(NamedTuple):
    """Photons of one energy. ``strength`` is that of a component's unit, into all directions, unabsorbed.

    ``slope`` is d ln strength / d ln E₀ and ``follow`` dE/dE₀ with the energy E₀ of the excitation;
    ``depth`` the mass attenuation of the host (cm²/g) on the way out; ``doppler`` a FWHM (keV) beyond the
    detector's; ``free`` marks counts that neither absorption nor efficiency concern.
    """

    name: str
    energy: float
    strength: float
    slope: float = 0.0
    follow: float = 0.0
    depth: float = 0.0
    doppler: float = 0.0
    efficiency: float = 1.0
    escape: float = 0.0
    continuum: bool = False


class Component(NamedTuple):
    """A name such as ``Fe``, ``Pb-M``, ``matrix`` or ``continuum-2`` taken apart."""

    name: str
    element: str = ""
    families: tuple[str, ...] = FAMILIES
    number: int = 0  # of a free continuum, from 1

    @property
    def unit(self) -> str:
        if self.element:
            return "ug/cm^2"
        return "counts" if self.number else "mg/cm^2"


def parse(name: str) -> Component:
    """The component called ``name``; BadValue if there is none such."""
    head, _, tail = name.partition("-")
    if name == HOST:
        return Component(name)
    if head == CONTINUUM:
        if tail and not (tail.isdecimal() and int(tail) > 0):
            raise BadValue(f"{name!r} is no component: free continua are continuum or continuum-1, -2 ...")
        return Component(name, number=int(tail or 1))
    atomic_number(head)
    if tail and tail not in FAMILIES:
        raise BadValue(f"{name!r} is no component: a family of lines is K, L or M, such as {head}-K")
    return Component(name, head, (tail,) if tail else FAMILIES)


def element_lines(
    element: str, instrument: Instrument, families: tuple[str, ...] = FAMILIES, faint: float = _FAINT
) -> list[Line]:
    """The characteristic lines of 1 µg/cm² of an element, the strongest first.

    Lines that the detector sees fainter than ``faint`` times the strongest are left out. XRF strengths
    include the vacancies that a deeper shell's relaxation leaves behind (xraylib's full cascade).
    """
    found = _element_lines(element, instrument, families)
    top = max((x.strength * x.efficiency for x in found), default=0.0)
    bright = [x for x in found if x.strength * x.efficiency > faint * top]
    return sorted(bright, key=lambda x: -x.strength)


@functools.lru_cache(maxsize=512)
def _element_lines(element: str, instrument: Instrument, families: tuple[str, ...]) -> tuple[Line, ...]:
    z = atomic_number(element)
    found = []
    for name, shell, code in transitions():
        energy = tabulated("LineEnergy", z, code)
        if shell[0] not in families or not _LOWEST < energy < instrument.energy:
            continue
        if isinstance(instrument, XRFInstrument):
            strength, slope = _fluorescence(z, code, instrument.energy)
        else:
            strength, slope = line_production(z, shell, code, instrument.energy), 0.0
        if strength > 0:
            found.append(_detected(f"{element} {name}", energy, 1e-6 * strength, slope, instrument))
    return tuple(found)


def _fluorescence(z: int, code: int, energy: float) -> tuple[float, float]:
    """Photons per photon and g/cm², and their power law in E₀ on the side of any edge that E₀ is on."""
    production = "CS_FluorLine_Kissel_Cascade"
    here = tabulated(production, z, code, energy)
    if here == 0:
        return 0.0, 0.0
    step = 1.002
    below, above = (tabulated(production, z, code, e) for e in (energy / step, energy * step))
    slopes = [math.log(above / here), math.log(here / below) if below > 0 else math.inf]
    return here, min(slopes) / math.log(step)  # across an edge the production would jump up


def scatter_lines(instrument: XRFInstrument) -> list[Line]:
    """Rayleigh and Compton scatter of 1 mg/cm² of the host, and the shelf of partly collected charge."""
    e0, angle = instrument.energy, math.radians(instrument.scattering_angle)
    recoil = 1 + e0 / REST_ENERGY * (1 - math.cos(angle))
    peaks = [
        _scatter("Rayleigh", "Rayl", e0, 1.0, 0.0, instrument),
        _scatter("Compton", "Compt", e0 / recoil, recoil**-2, instrument.doppler, instrument),
    ]
    shelf = list(_shelf(peaks, instrument))
    return [p._replace(strength=p.strength * (1 - instrument.shelf)) for p in peaks] + shelf


def _scatter(
    name: str, process: str, energy: float, follow: float, doppler: float, instrument: XRFInstrument
) -> Line:
    step = 1.002
    low, here, high = (
        _differential(process, instrument, e)
        for e in (instrument.energy / step, instrument.energy, instrument.energy * step)
    )
    slope = math.log(high / low) / math.log(step**2) if here else 0.0
    line = _detected(name, energy, 1e-3 * 4 * math.pi * here, slope, instrument)
    return line._replace(follow=follow, doppler=doppler)


def _differential(process: str, instrument: XRFInstrument, energy: float) -> float:
    """dσ/dΩ (cm²/g/sr) of the host at the detector, for a beam partly polarised in its plane."""
    angle, share = math.radians(instrument.scattering_angle), instrument.polarisation
    total = 0.0
    for z, weight in composition(instrument.host):
        plain = tabulated(f"DCS_{process}", z, energy, angle)
        polarised = tabulated(f"DCSP_{process}", z, energy, angle, 0.0)
        total += weight * ((1 - share) * plain + share * polarised)
    return total


def _shelf(peaks: list[Line], instrument: XRFInstrument) -> Iterator[Line]:
    """A flat distribution up to the Compton line with the share ``shelf`` of the scattered photons."""
    compton = peaks[-1]._replace(name="", follow=0.0, doppler=0.0, escape=0.0, continuum=True)
    total = instrument.shelf * sum(p.strength for p in peaks)
    for energy, share in _comb(_LOWEST, compton.energy, instrument):
        yield compton._replace(energy=energy, strength=total * share / (compton.energy - _LOWEST))


def bremsstrahlung_lines(instrument: EDXInstrument, top: float) -> list[Line]:
    """The continuum of 1 µg/cm² of a material with Z²/M = 1 mol/g, up to ``top`` keV.

    A component has its own Z²/M times that: see :func:`bremsstrahlung_share`.
    """
    lines = []
    for energy, share in _comb(_LOWEST, min(top + _BEYOND, instrument.energy), instrument):
        hydrogen = bremsstrahlung(1, instrument.energy, energy, instrument.bremsstrahlung)
        strength = 1e-6 * hydrogen * atomic_weight(1) * share
        lines.append(_detected("", energy, strength, 0.0, instrument)._replace(continuum=True, escape=0.0))
    return lines


def bremsstrahlung_share(element: str) -> float:
    """Z²/M (mol/g)."""
    z = atomic_number(element)
    return z**2 / atomic_weight(z)


def free_continuum(index: int, count: int, span: tuple[float, float], instrument: Instrument) -> list[Line]:
    """One count spread as the ``index``-th (from 1) of ``count`` smooth bumps over ``span`` keV.

    Quadratic B-splines on uniform knots, which add up to a flat spectrum; the only one is flat.
    """
    comb = list(_comb(span[0] - _BEYOND, span[1] + _BEYOND, instrument))
    energies, shares = (np.array(a) for a in zip(*comb, strict=True))
    heights = _bump(index, count, ((energies - span[0]) / (span[1] - span[0])).clip(0, 1)) * shares
    heights = heights / heights.sum()
    pairs = zip(energies.tolist(), heights.tolist(), strict=True)
    return [Line("", e, h, continuum=True) for e, h in pairs if h > 0]


def _bump(index: int, count: int, at: np.ndarray) -> np.ndarray:
    if count < 3:
        return np.ones_like(at) if count == 1 else np.abs(at - (2 - index))
    from scipy.interpolate import BSpline

    knots = np.r_[0, 0, np.linspace(0, 1, count - 1), 1, 1]
    return np.nan_to_num(BSpline.basis_element(knots[index - 1 : index + 3], extrapolate=False)(at))


def _comb(low: float, high: float, instrument: Instrument) -> Iterator[tuple[float, float]]:
    """Energies from low to high, closer than the detector resolves, and the width each stands for; keV."""
    energy = low
    while energy < high:
        step = min(_STEP / FWHM * max(width(instrument.detector.resolution, energy), 0.03), high - energy)
        yield energy + step / 2, step
        energy += step


def _detected(name: str, energy: float, strength: float, slope: float, instrument: Instrument) -> Line:
    detector = instrument.detector
    return Line(
        name,
        energy,
        strength,
        slope,
        depth=attenuation(instrument.host, energy),
        efficiency=efficiency(detector, energy),
        escape=escape(energy) if detector.escape else 0.0,
    )
