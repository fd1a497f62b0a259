"""The ptychographical iterative engines ePIE and rPIE for pwm."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    ptychography = frozenset({"ptychography"})
    return [
        Card(
            "epie",
            "pwm_epie.pie:EPIE",
            "reconstructor",
            "Extended ptychographical iterative engine",
            ptychography,
            gpu=True,
            licence="BSD-3-Clause",
            cite="10.1016/j.ultramic.2009.05.012",
            variant="larger probe steps in the first sweeps (warmup=0: constant); "
            "on CUDA frames are updated in groups",
        ),
        Card(
            "rpie",
            "pwm_epie.pie:RPIE",
            "reconstructor",
            "Regularised ptychographical iterative engine",
            ptychography,
            gpu=True,
            licence="BSD-3-Clause",
            cite="10.1364/OPTICA.4.000736",
            variant="momentum and falling steps (momentum=0, anneal=none, warmup=0: plain rPIE); "
            "on CUDA frames are updated in groups",
        ),
    ]
