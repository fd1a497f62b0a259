"""Landweber's iteration for linear and nonlinear operators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pwm_core import Iterate, Problem, Reconstructor, param

from .axes import Axes
from .fit import Fit, Loss, Point, condensed
from .gradient import constrained
from .scaling import inner, levels, push, sensitivity, starting_object
from .stopping import DISCREPANCY, Stop, noise_level

_POWER_STEPS = 15
_HALVINGS = 30


class Landweber(Reconstructor):
    """Landweber's iteration (Hanke, Neubauer & Scherzer 1995, doi:10.1007/s002110050158).

    x ← P(x + τ S⁻¹ Jᵀ W (y − H(x))) with J the derivative of H at x, that is A itself for a linear
    operator. τ = relaxation / ‖S^−½ Jᵀ W J S^−½‖, the norm by the power method, halved where a
    nonlinear operator makes the weighted misfit rise. W is the precision of the data; under counting
    noise it follows from the model's mean and is renewed after 1, 2, 4, 8 ... steps. S gives each map
    of an object of several components its own unit; for a single map it has no effect.

    The object is regularised by stopping in time: when Pearson's χ² of the data reaches ``discrepancy``.
    A start that is there already is all but kept: the only step is a thousandth of the natural one.

    Spectral data are first reduced to maps of unit noise by the operator, if it can do that; their least
    squares are those of the data weighted by their noise. With ``loss`` poisson all channels are fitted.
    """

    iterations: int = param(200, low=1, doc="steps at most")
    loss: Loss = param(
        "likelihood",
        doc="weights: precision of the noise that the operator states (even ones if it states none), that "
        "of counting noise, or even ones",
    )
    nonnegative: bool = param(True, doc="keep the object at or above zero; complex objects are not touched")
    relaxation: float = param(1.0, low=1e-6, high=1.99, doc="step, relative to 1/norm; below 2 it converges")
    discrepancy: float | None = param(None, low=0.0, doc=DISCREPANCY)
    tolerance: float = param(1e-5, low=0.0, high=1.0, doc="stop when three steps change the object by less")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        problem = condensed(problem, self.loss)
        fit = Fit(problem, self.loss)
        here = fit.at(starting_object(problem, fit))
        scale = levels(sensitivity(here, rng, probes=4), Axes.of(problem.axes).image)
        stop = Stop(noise_level(problem, here, self.discrepancy), self.tolerance, scale)
        for k in range(self.iterations):
            if k == 0 or (fit.reweighted and k & (k - 1) == 0):
                weight = fit.precision(here.mean)
                step = self.relaxation / _norm(here, weight, scale, rng)
            there, step = self._step(here, weight, scale, step)
            here, done = stop.after(here, there)
            yield Iterate(here.x, loss=here.loss, info=stop.info)
            if done:
                return

    def _step(
        self, here: Point, weight: torch.Tensor, scale: torch.Tensor, step: float
    ) -> tuple[Point, float]:
        """The next point and the step that led there; the same point if no step lowers the misfit."""
        misfit = _weighted(here, weight)
        direction = here.pull(weight * (here.fit.data - here.mean)) / scale
        for _ in range(_HALVINGS):
            there = here.fit.at(constrained(here.x + step * direction, self.nonnegative))
            if _weighted(there, weight) <= misfit:
                return there, step
            step /= 2
        return here, step


def _weighted(point: Point, weight: torch.Tensor) -> float:
    apart = point.fit.data - point.mean
    return inner(apart, weight * apart)


def _norm(here: Point, weight: torch.Tensor, scale: torch.Tensor, rng: np.random.Generator) -> float:
    """The norm of S^−½ Jᵀ W J S^−½ by the power method."""
    root = scale.sqrt()
    v = torch.from_numpy(rng.standard_normal(tuple(here.x.shape))).to(here.x)
    norm = 0.0
    for _ in range(_POWER_STEPS):
        v = v / inner(v, v) ** 0.5
        v = here.pull(weight * push(here, v / root)) / root
        norm = inner(v, v) ** 0.5
        if norm == 0:  # the data do not depend on the object
            return 1.0
    return norm
