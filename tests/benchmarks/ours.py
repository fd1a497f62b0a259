"""The methods of this repository, in the form that the peers' adapters have."""

from __future__ import annotations

from functools import partial

import numpy as np
from peers import Reconstruct, Watch
from pwm_epie.pie import EPIE, RPIE
from pwm_sdr.common import Ptychographic
from pwm_sdr.lsqml import LSQML
from pwm_sdr.maximum import PoissonML, PtychoAuto
from pwm_sdr.projections import RAAR, DifferenceMap
from pwm_sdr.sdr import SDR
from scan import Scan

from pwm_core import Iterate, run


def reconstruct(
    kind: type[EPIE] | type[RPIE] | type[Ptychographic], scan: Scan, sweeps: int, watch: Watch
) -> None:
    def look(step: int, iterate: Iterate) -> None:
        watch(lambda: np.asarray(iterate.x))

    run(kind(iterations=sweeps), scan.problem, device="cpu", threads=1, watch=[look])


METHODS: dict[str, Reconstruct] = {
    "pwm epie": partial(reconstruct, EPIE),
    "pwm rpie": partial(reconstruct, RPIE),
    "pwm sdr": partial(reconstruct, SDR),
    "pwm difference-map": partial(reconstruct, DifferenceMap),
    "pwm raar": partial(reconstruct, RAAR),
    "pwm lsq-ml": partial(reconstruct, LSQML),
    "pwm poisson-ml": partial(reconstruct, PoissonML),
    "pwm ptycho-auto": partial(reconstruct, PtychoAuto),
}
