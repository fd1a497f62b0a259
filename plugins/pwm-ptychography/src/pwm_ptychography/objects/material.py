"""X-ray optical constants of a few materials, and the transmission of a thin layer made of them."""

from __future__ import annotations

import difflib
import math
from typing import NamedTuple

import numpy as np

from pwm_core.errors import BadValue, UnknownName

REFERENCE_ENERGY = 8.8e3  # eV, where the table below holds
ENERGY_RANGE = (5e3, 20e3)  # eV, how far the power laws are trusted

_HC = 1.239841984e-6  # eV m
_ELECTRON_RADIUS = 2.8179403205e-15  # m
_AVOGADRO = 6.02214076e23  # 1/mol


class Material(NamedTuple):
    """What the optical constants follow from; the last two hold at 8.8 keV."""

    density: float  # g/cm³
    z_over_a: float  # electrons per nucleon, mol/g
    scattering: float  # f₁/Z: the share of the electrons that scatter as if free
    absorption_length: float  # m, 1/μ for the intensity


# Density and Z/A are the usual handbook values; f₁/Z and the photoelectric absorption length come from the
# tables of Chantler, doi:10.1063/1.555974 and doi:10.1063/1.1321055. Protein is C100 H159 N27 O32 S.
MATERIALS = {
    "ceria": Material(7.22, 0.4299, 0.985, 5.85e-6),
    "copper": Material(8.96, 0.4564, 0.878, 28.05e-6),
    "gold": Material(19.30, 0.4011, 0.936, 3.26e-6),
    "magnetite": Material(5.17, 0.4751, 0.986, 11.06e-6),
    "osmium dioxide": Material(11.4, 0.4140, 0.939, 7.21e-6),
    "protein": Material(1.35, 0.5343, 1.003, 1333.5e-6),
    "silica": Material(2.20, 0.4993, 1.010, 168.4e-6),
    "silicon": Material(2.329, 0.4985, 1.016, 89.18e-6),
    "silver": Material(10.49, 0.4357, 1.001, 5.75e-6),
    "tungsten": Material(19.25, 0.4025, 0.913, 3.97e-6),
    "water": Material(1.00, 0.5551, 1.004, 1329.4e-6),
}


def wavenumber(energy: float) -> float:
    """k = 2π/λ in 1/m of X-rays of ``energy`` (eV). BadValue outside 5 to 20 keV."""
    low, high = ENERGY_RANGE
    if not low <= energy <= high:
        raise BadValue(
            f"an X-ray energy of {energy:g} eV is outside the table of materials: {low:g} to {high:g} eV"
        )
    return 2 * math.pi * energy / _HC


def optical_constants(material: str, energy: float = REFERENCE_ENERGY) -> tuple[float, float]:
    """δ and β of the refractive index n = 1 − δ + iβ at ``energy`` (eV).

    δ = r_e λ² n_e / 2π with the electron density n_e = N_A ρ Z/A · f₁/Z, hence δ ∝ λ². β = λ μ / 4π with the
    absorption length 1/μ of the table at 8.8 keV, from where β ∝ λ⁴ (Als-Nielsen & McMorrow, Elements of
    Modern X-ray Physics, doi:10.1002/9781119998365). Both laws ignore absorption edges: at 8.8 keV the
    constants are the tabulated ones; across an edge (Fe K at 7.1 keV, Cu K at 9.0, W and Au L at 10.2 and
    11.9) β is wrong by the edge's jump.

    Raises UnknownName for a material that is not in MATERIALS, BadValue outside 5 to 20 keV.
    """
    if material not in MATERIALS:
        close = difflib.get_close_matches(material, MATERIALS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(MATERIALS)}"
        raise UnknownName(f"no material called {material!r}; {hint}")
    m = MATERIALS[material]
    wavelength = 2 * math.pi / wavenumber(energy)
    electrons = _AVOGADRO * m.density * 1e6 * m.z_over_a * m.scattering  # per m³
    delta = _ELECTRON_RADIUS * wavelength**2 * electrons / (2 * math.pi)
    beta = _HC / REFERENCE_ENERGY / (4 * math.pi * m.absorption_length) * (REFERENCE_ENERGY / energy) ** 4
    return delta, beta


def exponent(thickness: np.ndarray, material: str, energy: float = REFERENCE_ENERGY) -> np.ndarray:
    """ln of :func:`transmission`: −k (β + iδ) t, complex; the exponents of stacked layers add up."""
    delta, beta = optical_constants(material, energy)
    return np.asarray(thickness) * complex(-wavenumber(energy) * beta, -wavenumber(energy) * delta)


def transmission(thickness: np.ndarray, material: str, energy: float = REFERENCE_ENERGY) -> np.ndarray:
    """The complex factor that ``thickness`` (any shape, m) of ``material`` puts on a wave of ``energy`` (eV).

    exp(−k β t) · exp(−i k δ t), complex128: with waves as exp(ikz − iωt) and n = 1 − δ + iβ, matter changes
    the phase by −kδt. The intensity falls to exp(−t/L), L the absorption length. A negative thickness is
    material that is missing from a surrounding whose own, constant factor is left out.

    Raises UnknownName for a material that is not in MATERIALS, BadValue outside 5 to 20 keV.
    """
    return np.exp(exponent(thickness, material, energy))
