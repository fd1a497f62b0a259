"""What the methods of this package share: their first settings, and sweeps of rPIE to start from."""

from __future__ import annotations

from typing import Self

import numpy as np
from pwm_ptychography.engine import Engine

from pwm_core import Reconstructor, param


class Ptychographic(Reconstructor):
    """The settings that all methods here have."""

    iterations: int = param(100, low=1, doc="sweeps over all frames")
    modes: int | None = param(
        None, low=1, doc="incoherent probe modes (none: as many as the assumed probe has)"
    )
    update_probe: bool = param(True, doc="retrieve the probe; otherwise it is taken as known")

    def held(self) -> Self | None:
        return self.replace(update_probe=False) if self.update_probe else self


def warm_up(engine: Engine, rng: np.random.Generator, update_probe: bool) -> float:
    """One sweep of rPIE (Maiden, Johnson & Li 2017, doi:10.1364/OPTICA.4.000736); returns its misfit.

    Large steps of the probe, which must find its form first.
    """
    misfit = engine.pie_sweep(
        engine.random_order(rng),
        alpha=0.85,
        beta=1.0,
        object_step=0.9,
        probe_step=0.9 if update_probe else 0.0,
    )
    if update_probe:
        engine.settle_probe()
    return misfit
