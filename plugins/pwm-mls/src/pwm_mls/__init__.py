"""Spectrum images for pwm: multiple least squares, and quantification by fundamental parameters."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"

_NEEDS = frozenset({"linear", "spectral"})


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "mls",
            "pwm_mls.mls:MultipleLeastSquares",
            "reconstructor",
            "Weighted multiple least squares of the spectra of all pixels at once, free or non-negative",
            _NEEDS,
            licence="BSD-3-Clause",
            cite="10.1016/j.sab.2006.12.002",
            variant="one column a component, background modelled, weights from the mean spectrum",
        ),
        Card(
            "fp-quantify",
            "pwm_mls.fp:FundamentalParameters",
            "reconstructor",
            "Fundamental parameters: areal densities with each pixel's own absorption, and mass fractions",
            _NEEDS,
            licence="BSD-3-Clause",
            cite="10.1016/j.sab.2006.12.002",
            variant="the operator's mean absorption is replaced by that of what is found in each pixel",
        ),
    ]
