"""LSQ-ML: groups of frames, and the best step of object and probe for every frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pwm_ptychography.engine import Engine, Projection, make_engine

from pwm_core import Iterate, Problem, param

from .common import Ptychographic

CHANGE = Projection(entry=1.0, keep=0.0, mix=-1.0, replace=1.0)  # χ = Π(PO) − PO in the place of ψ


class LSQML(Ptychographic):
    """Least-squares maximum likelihood (Odstrčil, Menzel & Guizar-Sicairos 2018, doi:10.1364/OE.26.003108).

    For each group of frames, from the changes χ of their exit waves that the amplitude likelihood asks for:

        ΔO = Σ P*χ / (Σ|P|² + δ max),   ΔP = Σ O*χ / (Σ|O|² + δ max)
        α_O, α_P of every frame minimise |χ − α_O ΔO P − α_P ΔP O|²
        O += β⟨α_O⟩ ΔO,   P += β⟨α_P⟩ ΔP

    The loss is Σ(|Ψ| − √I)²/ΣI met during the sweep.
    """

    groups: int = param(4, low=1, doc="groups of frames in a sweep; fewer are faster, more converge sooner")
    damping: float = param(0.5, low=0.0, high=1.0, symbol="δ", doc="regularisation of weakly lit pixels")
    step: float = param(0.9, low=0.01, high=1.5, symbol="β", doc="part of the best step that is taken")
    anneal: int | None = param(
        50, low=1, doc="sweeps in which steps fall to a half, as 1/(1 + k/anneal); none: never"
    )
    probe_start: int = param(0, low=0, doc="sweep from which the probe is retrieved")
    momentum: float = param(0.9, low=0.0, high=0.99, doc="friction of the object's momentum; 0: none")
    feedback: float = param(0.5, low=0.0, high=1.0, doc="part of the momentum that is added after a sweep")
    warmup: int = param(20, low=0, doc="first sweeps, without momentum and at full steps")

    @torch.no_grad()
    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        engine = make_engine(problem, self.modes)
        changes = engine.exit_waves()
        for sweep in range(self.iterations):
            fall = 1.0 if self.anneal is None else 1 / (1 + max(0, sweep - self.warmup) / self.anneal)
            update_probe = self.update_probe and sweep >= self.probe_start
            groups = engine.random_order(rng).tensor_split(min(self.groups, engine.frames))
            misfit = sum(self._group(engine, changes, g, fall * self.step, update_probe) for g in groups)
            if self.momentum and sweep >= self.warmup:
                engine.accelerate(self.momentum, fall * self.feedback)
            if self.update_probe:
                engine.settle_probe()
            yield Iterate(engine.object, loss=misfit / engine.power, theta=engine.theta())

    def _group(
        self, engine: Engine, changes: Any, frames: torch.Tensor, step: float, update_probe: bool
    ) -> float:
        sums = engine.gather(waves=changes, projection=CHANGE, weights=True, frames=frames)
        towards = self._direction(sums.object, sums.object_weight)
        direction = self._direction(sums.probe, sums.probe_weight)
        if not update_probe:
            direction = torch.zeros_like(direction)
        products = engine.products(changes, towards, direction, frames).double()
        of_object, of_probe = _best_steps(products)
        engine.set_object(engine.object + step * float(of_object) * towards)
        if update_probe:
            engine.set_probe(engine.probe + step * float(of_probe) * direction)
        return sums.misfit

    def _direction(self, total: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        assert weight is not None
        return total / (weight + self.damping * weight.max())


def _best_steps(products: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean best steps of object and probe from `Engine.products` (frame, 5), damped as in the paper."""
    right, (oo, pp, op) = products[:, :2], products[:, 2:].T
    oo, pp = oo + 0.1 * oo.mean() + 1e-30, pp + 0.1 * pp.mean() + 1e-30
    determinant = oo * pp - op * op
    of_object = (pp * right[:, 0] - op * right[:, 1]) / determinant
    of_probe = (oo * right[:, 1] - op * right[:, 0]) / determinant
    return of_object.clamp(min=0).mean(), of_probe.clamp(min=0).mean()
