"""Projections of all exit waves at once: difference map and RAAR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pwm_ptychography.engine import ALTERNATING, Engine, Projection, Sums, make_engine

from pwm_core import Iterate, Problem, param

from .common import Ptychographic


class _Projections(Ptychographic):
    """What the two share: the projection Q on waves that overlap consistently, and how they end.

    Q makes O = Σ P*ψ / Σ|P|² and P = Σ O*ψ / Σ|O|² in turn (Thibault et al. 2009); Π puts the measured
    moduli in. The loss is Σ(|Φ| − √I)²/ΣI of the waves Φ that Π was applied to.
    """

    probe_start: int = param(2, low=0, doc="sweep after which the probe is retrieved")
    rounds: int = param(1, low=1, high=20, doc="times that object and probe are found in turn in each sweep")
    floor: float = param(
        1e-3,
        low=0.0,
        high=1.0,
        doc="weight of the former values of object and probe, in parts of the largest illumination",
    )
    settle: float = param(
        0.3, low=0.0, high=1.0, doc="part of the sweeps, the last, that are alternating projections"
    )

    @torch.no_grad()
    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        engine = make_engine(problem, self.modes)
        waves = engine.exit_waves()
        reflecting = self.iterations - round(self.settle * self.iterations)
        for sweep in range(self.iterations):
            projection = self._projection() if sweep < reflecting else ALTERNATING
            sums = engine.gather(waves=waves, projection=projection, weights=True)
            self._overlap(engine, waves, sums, self.update_probe and sweep >= self.probe_start)
            yield Iterate(engine.object, loss=sums.misfit / engine.power, theta=engine.theta())

    def _projection(self) -> Projection:
        raise TypeError(f"{type(self).__name__} does not define its projection")

    def _overlap(self, engine: Engine, waves: Any, sums: Sums, update_probe: bool) -> None:
        """Object and probe that come closest to the exit waves; ``sums`` are those of the present pair."""
        for turn in range(self.rounds):
            if turn:
                sums = engine.overlap(waves)
            engine.set_object(self._quotient(sums.object, sums.object_weight, engine.object))
            if update_probe:
                sums = engine.overlap(waves)
                engine.set_probe(self._quotient(sums.probe, sums.probe_weight, engine.probe))

    def _quotient(
        self, total: torch.Tensor, weight: torch.Tensor | None, former: torch.Tensor
    ) -> torch.Tensor:
        assert weight is not None
        kept = self.floor * weight.max() + torch.finfo(weight.dtype).tiny
        return (total + kept * former) / (weight + kept)


class DifferenceMap(_Projections):
    """Difference map (Thibault et al. 2009, doi:10.1016/j.ultramic.2008.12.011).

    ψ ← ψ + α [Π(2Qψ − ψ) − Qψ]
    """

    rounds: int = param(2, low=1, high=20, doc="times that object and probe are found in turn in each sweep")
    settle: float = param(
        0.5, low=0.0, high=1.0, doc="part of the sweeps, the last, that are alternating projections"
    )
    step: float = param(1.0, low=0.01, high=1.0, symbol="α", doc="part of the difference that is added")

    def _projection(self) -> Projection:
        return Projection(entry=2.0, keep=1.0, mix=-self.step, replace=self.step)


class RAAR(_Projections):
    """Relaxed averaged alternating reflections (Luke 2005, doi:10.1088/0266-5611/21/1/004).

    ψ ← ½β (R_Π R_Q + 1) ψ + (1−β) Qψ with reflections R = 2·projection − 1, which is
    β ψ + (1−2β) Qψ + β Π(2Qψ − ψ)
    """

    beta: float = param(0.9, low=0.5, high=1.0, symbol="β", doc="relaxation; 1 is the difference map")

    def _projection(self) -> Projection:
        return Projection(entry=2.0, keep=self.beta, mix=1 - 2 * self.beta, replace=self.beta)
