"""The methods of this repository, in the form that the peers' adapters have."""

from __future__ import annotations

from functools import partial

import numpy as np
from peers import Reconstruct, Watch
from pwm_epie.pie import EPIE, RPIE
from scan import Scan

from pwm_core import Iterate, run


def reconstruct(kind: type[EPIE] | type[RPIE], scan: Scan, sweeps: int, watch: Watch) -> None:
    def look(step: int, iterate: Iterate) -> None:
        watch(lambda: np.asarray(iterate.x))

    run(kind(iterations=sweeps), scan.problem, device="cpu", threads=1, watch=[look])


METHODS: dict[str, Reconstruct] = {
    "pwm epie": partial(reconstruct, EPIE),
    "pwm rpie": partial(reconstruct, RPIE),
}
