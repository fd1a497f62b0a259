"""Maximum likelihood: Poisson, and the automatic method that stops at the noise level."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from pwm_ptychography.engine import Engine, make_engine

from pwm_core import Iterate, Problem, param

from .common import Ptychographic, warm_up
from .lbfgs import minimise
from .likelihood import Likelihood, Positions
from .sweeping import settle_positions


class _Maximum(Ptychographic):
    """Sweeps of rPIE, then L-BFGS on the likelihood of object, probe and, if asked for, positions."""

    warmup: int = param(10, low=0, doc="first sweeps, by rPIE, from which the likelihood is maximised")
    positions: bool = param(False, doc="refine the scan positions; takes the data for counts of quanta")

    poisson = False

    def held(self) -> Self | None:
        return None if self.positions else super().held()

    @torch.no_grad()
    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        engine = make_engine(problem, self.modes, stabilised=self.positions and not self.poisson)
        positions = Positions(engine) if self.positions else None
        done = 0
        for misfit in self._start(engine, positions, rng):
            done += 1
            yield _iterate(engine, positions, misfit / engine.power)
        if done < self.iterations:
            yield from self._climb(engine, positions, self.iterations - done)

    def _start(
        self, engine: Engine, positions: Positions | None, rng: np.random.Generator
    ) -> Iterator[float]:
        if positions is not None:
            sweeps = min(3 * self.warmup, self.iterations)
            yield from settle_positions(engine, positions, rng, sweeps, self.update_probe)
            return
        for _ in range(min(self.warmup, self.iterations)):
            yield warm_up(engine, rng, self.update_probe)

    def _climb(self, engine: Engine, positions: Positions | None, steps: int) -> Iterator[Iterate]:
        likelihood = Likelihood(engine, self.poisson, self.update_probe, positions)
        values: list[float] = []
        for value, _ in zip(minimise(likelihood), range(steps), strict=False):
            yield _iterate(engine, positions, 2 * value / engine.power)
            values.append(2 * value)
            if self._finished(values):
                return

    def _finished(self, misfits: list[float]) -> bool:
        return False


class PoissonML(_Maximum):
    """Maximum likelihood under Poisson noise (Thibault & Guizar-Sicairos 2012).

    doi:10.1088/1367-2630/14/6/063004

    Minimises Σ |Ψ|² − I log|Ψ|² over object and probe together. The loss is half the deviance over ΣI.
    """

    poisson = True


class PtychoAuto(_Maximum):
    """rPIE to begin with, then the likelihood of the amplitudes, until only noise is left to fit.

    Roots of counts have nearly the variance ¼ whatever their mean, so Σ(|Ψ| − √I)² is the likelihood of
    the counts, and better conditioned than Poisson's. It is minimised by L-BFGS with the preconditioner
    of :class:`~pwm_sdr.likelihood.Likelihood`, and ends when ten sweeps lower it by less than ``noise``
    of the standard deviation √(misfit/2) that it has by itself. The loss is that misfit over ΣI.
    """

    iterations: int = param(100, low=1, doc="sweeps over all frames, at most")
    noise: float = param(
        0.3, low=0.0, high=100.0, doc="gain in ten sweeps, in standard deviations, that ends the search"
    )

    def _finished(self, misfits: list[float]) -> bool:
        if len(misfits) <= 10:
            return False
        return misfits[-11] - misfits[-1] < self.noise * math.sqrt(misfits[-1] / 2)


def _iterate(engine: Engine, positions: Positions | None, loss: float) -> Iterate:
    theta: dict[str, Any] = engine.theta()
    return Iterate(engine.object, loss=loss, theta=theta if positions is None else theta | positions.theta())
