"""ePIE and rPIE: frame after frame, correct object and probe by the change of the exit wave."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pwm_ptychography.engine import Engine, orthogonalise

from pwm_core import Iterate, Problem, Reconstructor, param


class _PIE(Reconstructor):
    """What the two share; they differ in how a step is weighted."""

    iterations: int = param(100, low=1, doc="sweeps over all frames")
    modes: int | None = param(
        None, low=1, doc="incoherent probe modes (none: as many as the assumed probe has)"
    )
    probe_start: int = param(2, low=1, doc="sweep from which the probe is updated too")
    update_probe: bool = param(True, doc="retrieve the probe; otherwise it is taken as known")

    @torch.no_grad()
    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        engine = Engine(problem, self.modes)
        for sweep in range(1, self.iterations + 1):
            order = torch.from_numpy(rng.permutation(engine.frames)).to(problem.device)
            refine = self.update_probe and sweep >= self.probe_start
            misfit = self._sweep(engine, order, refine)
            if refine and len(engine.probe) > 1:
                engine.probe = orthogonalise(engine.probe)
            yield Iterate(engine.object, loss=misfit / engine.power, theta=engine.theta())

    def _sweep(self, engine: Engine, order: torch.Tensor, refine: bool) -> torch.Tensor:
        raise TypeError(f"{type(self).__name__} does not define its step")


class EPIE(_PIE):
    """Extended PIE (Maiden & Rodenburg 2009, doi:10.1016/j.ultramic.2009.05.012).

    Frames in random order; O += α P*χ/max|P|² and P += β O*χ/max|O|² with the change χ of the exit
    wave that the measured modulus asks for. The loss is Σ(|Ψ| − √I)²/ΣI met during the sweep.
    """

    alpha: float = param(0.9, low=0.0, high=2.0, doc="object step")
    beta: float = param(0.3, low=0.0, high=2.0, doc="probe step")

    def _sweep(self, engine: Engine, order: torch.Tensor, refine: bool) -> torch.Tensor:
        probe_step = self.beta if refine else 0.0
        return engine.pie_sweep(order, alpha=1.0, beta=1.0, object_step=self.alpha, probe_step=probe_step)


class RPIE(_PIE):
    """Regularised PIE (Maiden, Johnson & Li 2017, doi:10.1364/OPTICA.4.000736).

    Like ePIE, with the weights P*/((1−α)|P|² + α max|P|²) and O*/((1−β)|O|² + β max|O|²): small α
    takes long steps where the illumination is weak. α = β = 1 is ePIE with full steps.
    """

    alpha: float = param(0.1, low=0.0, high=1.0, doc="regularisation of the object step")
    beta: float = param(1.0, low=0.0, high=1.0, doc="regularisation of the probe step")

    def _sweep(self, engine: Engine, order: torch.Tensor, refine: bool) -> torch.Tensor:
        return engine.pie_sweep(order, alpha=self.alpha, beta=self.beta, probe_step=1.0 if refine else 0.0)
