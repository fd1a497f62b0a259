"""The spectrum of an X-ray tube, and elements excited by all of it instead of by one energy."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .ionisation import line_production
from .operator import SpectrumImage
from .xraydata import atomic_number, atomic_weight, attenuation, tabulated, transitions

_KRAMERS = 2.2e-6  # photons an electron makes per keV and unit of Z(E₀ − E)/E; Green & Cosslett 1968
_WINDOW = ("Be", 1.848, 0.0125)  # g/cm³, cm: beryllium of 125 µm, usual for side windows
_GRID = 0.5  # keV


class TubeSpectrum(NamedTuple):
    """``photons`` (energy,) with which a tube excites at ``energies`` keV, summing to one.

    The last ``lines`` entries are the anode's characteristic lines, the others its continuum.
    """

    energies: np.ndarray
    photons: np.ndarray
    lines: int


def tube_spectrum(anode: str, voltage: float) -> TubeSpectrum:
    """Photons of a tube with this target behind a beryllium window of 125 µm, for ``voltage`` kV.

    Kramers' continuum Z(E₀ − E)/E with the constant of Green & Cosslett (1968,
    doi:10.1088/0022-3727/1/4/304); lines from the ionisation cross-section along the way of an electron
    that slows down by Bethe's law. Absorption in the anode is left out: its depth and the angle of the
    target are not known.
    """
    z = atomic_number(anode)
    middle = np.arange(1.0 + _GRID / 2, voltage, _GRID)
    continuum = _KRAMERS * z * (voltage - middle) / middle * _GRID
    found = [x for family in "KL" for x in _characteristic(z, family, voltage)]
    energies = np.r_[middle, [e for e, _ in found]]
    photons = np.r_[continuum, [n for _, n in found]] * [_through_window(e) for e in energies]
    return TubeSpectrum(energies, photons / photons.sum(), len(found))


def excited_by(operator: SpectrumImage, tube: TubeSpectrum) -> SpectrumImage:
    """The operator with its elements' lines as strong as the tube makes them, for one photon of it.

    The absorption on the way in stays that at the operator's nominal energy.
    """
    emission = operator.emission
    codes = {t.name: t.code for t in transitions()}
    yields = np.array(emission.yields)
    for row, name in enumerate(emission.line_names):
        element, _, line = name.partition(" ")
        if line in codes and emission.continuum[row] == 0:
            z = atomic_number(element)
            alone = tabulated("CS_FluorLine_Kissel_Cascade", z, codes[line], emission.energy)
            yields[row] *= _production(z, codes[line], tube) / alone
    slopes = np.zeros_like(emission.slopes)
    return SpectrumImage(
        outer=operator.detector,
        inner=emission.replace(yields=yields, slopes=slopes) @ operator.beam,
        label=operator.label,
    )


def _production(z: int, code: int, tube: TubeSpectrum) -> float:
    """cm²/g, the mean over the tube's photons."""
    return sum(
        p * tabulated("CS_FluorLine_Kissel_Cascade", z, code, float(e))
        for e, p in zip(tube.energies, tube.photons, strict=True)
    )


def _characteristic(z: int, family: str, voltage: float) -> list[tuple[float, float]]:
    """(energy, photons for one electron) of the stronger lines of a family."""
    found = []
    for _, shell, code in transitions():
        energy = tabulated("LineEnergy", z, code)
        if shell[0] == family and 1.0 < energy < voltage:
            found.append((energy, _thick_target(z, shell, code, voltage)))
    strongest = max((n for _, n in found), default=0.0)
    return [(e, n) for e, n in found if n > 0.02 * strongest]


def _thick_target(z: int, shell: str, code: int, voltage: float) -> float:
    """∫ N_A/A σ(E) ω p / S(E) dE with Bethe's stopping power S (keV cm²/g) for 11.5 eV·Z."""
    weight = atomic_weight(z)
    energies = np.linspace(voltage, 1.0, 60)
    stopping = [78500 * z / (weight * e) * math.log(1.166 * e / (0.0115 * z) + 1) for e in energies]
    made = [line_production(z, shell, code, float(e)) / s for e, s in zip(energies, stopping, strict=True)]
    return float(-np.trapezoid(made, energies))


def _through_window(energy: float) -> float:
    material, density, thickness = _WINDOW
    return math.exp(-attenuation(material, float(energy)) * density * thickness)
