"""Calibration of forward models from the data themselves, for pwm."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "gradient",
            "pwm_calibrate.gradient:Gradient",
            "calibrator",
            "Gauss-Newton on the likelihood with the object profiled, through the operator's derivatives",
            gpu=True,
            licence="BSD-3-Clause",
            cite="10.1088/0266-5611/19/2/201",
            variant="variable projection about any method's object, by conjugate gradients",
        ),
        Card(
            "search",
            "pwm_calibrate.search:Search",
            "calibrator",
            "Derivative-free search of the profile likelihood",
            gpu=True,
            licence="BSD-3-Clause",
            cite="10.1007/s12532-024-00273-5",
            variant="COBYQA as in SciPy",
        ),
    ]
