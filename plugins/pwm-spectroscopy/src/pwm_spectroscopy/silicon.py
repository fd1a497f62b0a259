"""What a silicon detector does to photons: efficiency, escape and width, as functions of energy."""

from __future__ import annotations

import functools
import math

from .instruments import SiliconDetector
from .xraydata import attenuation, tabulated, xraylib

MN_KA = 5.895  # keV: where the resolution of detectors is stated
PAIR, FANO = 3.85e-3, 0.114  # keV an electron-hole pair in silicon; Fano factor
SILICON_K = 1.740  # keV: what an escaping photon takes away
_SILICON_DENSITY, _SILICON_EDGE = 2.33, 1.839  # g/cm³, keV
FWHM = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian of unit rms width
SPREAD = FWHM**2 * PAIR * FANO  # keV: FWHM² = noise² + SPREAD · energy


def efficiency(detector: SiliconDetector, energy: float) -> float:
    """Part of the photons of this energy (keV) on the detector that it counts."""
    um = 1e-4  # cm
    silicon = attenuation("Si", energy) * _SILICON_DENSITY * um
    window = attenuation(detector.window, energy) * detector.window_density * um
    through = math.exp(-window * detector.window_thickness - silicon * detector.dead_layer)
    return -through * math.expm1(-silicon * detector.thickness)


@functools.cache
def escape(energy: float) -> float:
    """Part of the photons whose silicon Kα escapes: they are counted 1.740 keV too low.

    Reed & Ware 1972, doi:10.1088/0022-3735/5/6/029, for photons that enter through the flat face.
    """
    if energy <= _SILICON_EDGE:
        return 0.0
    shell = xraylib().K_SHELL
    ratio = attenuation("Si", SILICON_K) / attenuation("Si", energy)
    jump = 1 - 1 / tabulated("JumpFactor", 14, shell)  # part of the absorption that is in the K shell
    omega = tabulated("FluorYield", 14, shell)
    return 0.5 * omega * jump * (1 - ratio * math.log1p(1 / ratio))


def width(resolution: float, energy: float) -> float:
    """FWHM (keV) of a line at ``energy`` keV for a detector with this resolution (eV at Mn Kα)."""
    return math.sqrt(max(0.0, (1e-3 * resolution) ** 2 + SPREAD * (energy - MN_KA)))
