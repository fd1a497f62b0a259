"""PyMca: its fast linear fit of whole maps, with its own lines of the elements, as its users set it up."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
from PyMca5.PyMcaPhysics.xrf.ClassMcaTheory import McaTheory
from PyMca5.PyMcaPhysics.xrf.FastXRFLinearFit import FastXRFLinearFit

logging.getLogger("PyMca5").setLevel(logging.ERROR)  # it warns of every map that it is not told to save

FAMILIES = {"Ba": ["L"], "Pb": ["L", "M"]}  # of lines, the one of the map first; the others show K
_NO_BACKGROUND = {"stripflag": 0, "continuum": 0}
_POLYNOMIAL = {"stripflag": 0, "continuum": 4, "linpolorder": 5}
_SNIP = {"stripflag": 1, "stripalgorithm": 1, "snipwidth": 20, "stripfilterwidth": 4}
_AVERAGE = 1  # weights; they are nearly those of weight 0, and are the faster way through its code

VARIANTS: dict[
    str, tuple[dict[str, int], dict[str, int]]
] = {  # configuration of the fit, options of the call
    "PyMca, no background": (_NO_BACKGROUND, {"weight": _AVERAGE, "refit": 0}),
    "PyMca, polynomial": (_POLYNOMIAL, {"weight": _AVERAGE, "refit": 0}),
    "PyMca, polynomial, negatives refitted": (_POLYNOMIAL, {"weight": _AVERAGE, "refit": 1}),
    "PyMca, SNIP": (_SNIP, {"weight": 0, "refit": 0}),
}


class _Timed(FastXRFLinearFit):
    """Notes the processor time (s) that goes into the lines, which are computed anew at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[float] = []

    def _fitConfigure(self, **options: Any) -> Any:
        start = time.process_time()
        found = super()._fitConfigure(**options)
        self.lines.append(time.process_time() - start)
        return found


class FastFit:
    """One variant for the maps of an XRF instrument.

    The detector is given its true calibration and resolution, window, dead layer and thickness, the sample
    its host; escape peaks are on, elastic and Compton peak are fitted.
    """

    def __init__(self, variant: str, operator: Any, instrument: Any) -> None:
        fit, self.options = VARIANTS[variant]
        self.elements = operator.elements
        self.fit = _Timed()
        self.fit.setFitConfiguration(_configuration(operator, instrument, fit))

    def __call__(self, cube: np.ndarray) -> np.ndarray:
        """Areas of the main line families (element, y, x) of ``cube`` (y, x, channel)."""
        found = self.fit.fitMultipleSpectra(y=cube, concentrations=0, **self.options)
        names = [str(name).replace("_", " ") for name in found.labels("parameters")]
        mains = (f"{e} {FAMILIES.get(e, ['K'])[0]}" for e in self.elements)
        return np.stack([found["parameters"][names.index(name)] for name in mains])


def _configuration(operator: Any, instrument: Any, fit: dict[str, int]) -> dict[str, Any]:
    found = McaTheory().getStartingConfiguration()
    silicon, fano, mn = instrument.detector, found["detector"]["fano"], 5.8951
    noise = (1e-3 * silicon.resolution) ** 2 - 2.3548**2 * 0.00385 * fano * mn  # keV², as in PyMca's widths
    found["detector"] |= {
        "zero": operator.detector.zero,
        "gain": operator.detector.gain,
        "noise": float(np.sqrt(max(noise, 1e-9))),
        **{f"fixed{name}": 1 for name in ("zero", "gain", "noise", "fano", "sum")},
    }
    found["attenuators"] |= {
        "Matrix": [1, instrument.host, 1.0, 1e-3 * instrument.mass_thickness, instrument.incidence,
                   instrument.takeoff, 1, instrument.scattering_angle],
        "window": [1, f"{silicon.window}1", silicon.window_density, 1e-4 * silicon.window_thickness, 1.0],
        "deadlayer": [1, "Si1", 2.33, 1e-4 * silicon.dead_layer, 1.0],
        "Detector": [1, "Si1", 2.33, 1e-4 * silicon.thickness, 1.0],
    }  # fmt: skip
    found["fit"] |= {"energy": [instrument.energy], "energyweight": [1.0], "energyflag": [1],
                     "energyscatter": [1], "scatterflag": 1, "linearfitflag": 1, "use_limit": 1,
                     "xmin": 60, "xmax": operator.detector.channels - 70, **fit}  # fmt: skip
    found["peaks"] = {element: FAMILIES.get(element, ["K"]) for element in operator.elements}
    return found
