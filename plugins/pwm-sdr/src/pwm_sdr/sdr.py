"""sDR: semi-implicit relaxed Douglas–Rachford, frame after frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pwm_ptychography.engine import Reflection, make_engine

from pwm_core import Iterate, Problem, param

from .common import Ptychographic


class SDR(Ptychographic):
    """Semi-implicit relaxed Douglas–Rachford (Pham, Rana, Miao & Osher 2019, doi:10.1364/OE.27.031246).

    Each frame keeps its wave z, and with ψ = PO and the projection Π on its measured moduli

        z ← (1−w) Π((1+σ)ψ − σz) + (w − σ + wσ) ψ + (1−w)σ z
        O ← O + β_O P*(z − ψ) / ((1−β_O) max|P|² + β_O |P|²)       (semi-implicit step)
        P ← P + β_P O*(z − ψ) / max|O|²                            (explicit step, from the old O)

    σ is 0 at first, since reflections need an object to reflect at. The loss is Σ(|Φ| − √I)²/ΣI of the
    reflected waves Φ met during the sweep; it is the data's misfit where σ = 0.
    """

    sigma: float = param(0.6, low=0.0, high=1.0, symbol="σ", doc="strength of the reflection at first")
    sigma_end: float = param(0.0, low=0.0, high=1.0, doc="strength in the last sweep; it falls linearly")
    sigma_start: int = param(20, low=0, doc="first sweeps, without reflection")
    relaxation: float = param(0.1, low=0.0, high=1.0, symbol="w", doc="how far the moduli may differ")
    object_step: float = param(0.3, low=0.0, high=1.0, symbol="β_O", doc="semi-implicit step of the object")
    probe_step: float = param(0.3, low=0.0, high=1.5, symbol="β_P", doc="step of the probe after the warm-up")
    warmup: int = param(
        20, low=0, doc="first sweeps, with a probe step of 0.9, while the probe finds its form"
    )
    anneal: int | None = param(
        50,
        low=1,
        doc="sweeps after the warm-up in which steps fall to a half, as 1/(1 + k/anneal); none: never",
    )

    momentum: float = param(0.9, low=0.0, high=0.99, doc="friction of the object's momentum; 0: none")
    feedback: float = param(0.5, low=0.0, high=1.0, doc="part of the momentum that is added after a sweep")

    @torch.no_grad()
    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        engine = make_engine(problem, self.modes)
        waves = engine.exit_waves()
        for sweep in range(self.iterations):
            fall = 1.0 if self.anneal is None else 1 / (1 + max(0, sweep - self.warmup) / self.anneal)
            probe_step = 0.9 if sweep < self.warmup else fall * self.probe_step
            misfit = engine.pie_sweep(
                engine.random_order(rng),
                alpha=1 - fall * self.object_step,
                beta=1.0,
                object_step=fall * self.object_step,
                probe_step=probe_step if self.update_probe else 0.0,
                reflection=Reflection(waves, self._sigma(sweep), 1 - self.relaxation),
            )
            if self.momentum and sweep >= self.warmup:
                engine.accelerate(self.momentum, fall * self.feedback)
            if self.update_probe and self._free(sweep):
                engine.settle_probe()
            yield Iterate(engine.object, loss=misfit / engine.power, theta=engine.theta())

    def _free(self, sweep: int) -> bool:
        """Whether modes may be mixed after this sweep: not while their waves are needed again."""
        return sweep + 1 < self.sigma_start or sweep + 1 == self.iterations

    def _sigma(self, sweep: int) -> float:
        """Nothing at first, then from ``sigma`` to ``sigma_end`` in the last sweep."""
        if sweep < self.sigma_start:
            return 0.0
        part = (sweep - self.sigma_start + 1) / (self.iterations - self.sigma_start)
        return self.sigma + part * (self.sigma_end - self.sigma)
