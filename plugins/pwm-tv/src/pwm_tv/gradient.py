"""Scaled gradient projection: steepest descent in the metric of the Fisher information."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pwm_core import Iterate, Problem, Reconstructor, param

from .axes import Axes
from .fit import Fit, Loss, Point, condensed
from .scaling import inner, sensitivity, smoothed, starting_object
from .stopping import DISCREPANCY, Stop, noise_level

_ENOUGH = 1e-4  # of the decrease that the slope promises (Armijo)
_RENEWALS = (3, 10, 30)  # steps after which the metric is brought up to date
_SHORTEST = 1e-12


class GradientDescent(Reconstructor):
    """Scaled gradient projection (Bonettini, Zanella & Zanni 2009, doi:10.1088/0266-5611/25/1/015002).

    x ← P(x − t D⁻¹∇f(x)) with D the diagonal of the Fisher information, so that neither
    the units of the object nor those of its components matter (renewed three times where noise makes it
    depend on the object); t by Barzilai and Borwein's two rules
    in turn (doi:10.1093/imanum/8.1.141; Frassoldati, Zanghirati & Zanni 2008,
    doi:10.3934/jimo.2008.4.299), shortened until the loss falls by enough. The loss never rises. It
    is the negative log-likelihood of the data, counted from that of a perfect fit.

    The object is not regularised but by stopping in time: when Pearson's χ² of the data reaches
    ``discrepancy``, the level of the noise.
    A start that is there already is all but kept: the only step is a thousandth of the natural one.

    Spectral data are first reduced to maps of unit noise by the operator, if it can do that; their least
    squares are those of the data weighted by their noise. With ``loss`` poisson all channels are fitted.
    """

    iterations: int = param(100, low=1, doc="steps at most")
    loss: Loss = param(
        "likelihood",
        doc="misfit of the data: that of the noise that the operator states (least squares if it states "
        "none), of counting noise, or of plain least squares",
    )
    nonnegative: bool = param(True, doc="keep the object at or above zero; complex objects are not touched")
    discrepancy: float | None = param(None, low=0.0, doc=DISCREPANCY)
    tolerance: float = param(1e-4, low=0.0, high=1.0, doc="stop when three steps change the object by less")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        problem = condensed(problem, self.loss)
        fit = Fit(problem, self.loss)
        here = fit.at(starting_object(problem, fit))
        axes = Axes.of(problem.axes).image
        descent = _Descent(here, smoothed(sensitivity(here, rng), axes), self.nonnegative)
        stop = Stop(noise_level(problem, here, self.discrepancy), self.tolerance, descent.metric)
        for k in range(self.iterations):
            if k in _RENEWALS and fit.reweighted and problem.operator.linear:
                descent.rescale(smoothed(sensitivity(here, rng), axes))
            there = descent.step()
            exhausted = there is here
            here, done = stop.after(here, there, descent.taken)
            yield Iterate(here.x, loss=here.loss, info=stop.info)
            if done or exhausted:
                return


class _Descent:
    """Barzilai–Borwein steps in a diagonal metric, with a line search along the projected path."""

    memory = 3  # of short steps, of which the shortest is taken

    def __init__(self, here: Point, metric: torch.Tensor, nonnegative: bool) -> None:
        self.here, self.metric, self.nonnegative = here, metric, nonnegative
        self.gradient = here.gradient()
        self.length = self.taken = 1.0
        self.short: list[float] = []
        self.switch = 0.5

    def rescale(self, metric: torch.Tensor) -> None:
        """Go on in another metric."""
        self.metric, self.length, self.short = metric, 1.0, []

    def step(self) -> Point:
        """The next point; the same one again if no step lowers the loss at this precision."""
        found = self._search()
        if found is None:
            return self.here
        self.taken = self.length
        gradient = found.gradient()
        self._adapt(found.x - self.here.x, gradient - self.gradient)
        self.here, self.gradient = found, gradient
        return found

    def _search(self) -> Point | None:
        direction = self.gradient / self.metric
        while self.length > _SHORTEST:
            x = constrained(self.here.x - self.length * direction, self.nonnegative)
            moved = x - self.here.x
            decrease = inner(moved, self.metric * moved) / self.length
            if decrease == 0:
                return None
            trial = self.here.fit.at(x)
            if trial.loss <= self.here.loss - _ENOUGH * decrease:
                return trial
            self.length /= 4
        return None

    def _adapt(self, moved: torch.Tensor, bent: torch.Tensor) -> None:
        """The length of the next step from the curvature met in the last one (ABBmin)."""
        curvature = inner(moved, bent)
        if curvature <= 0:  # not convex here: be bold
            self.length *= 4
            return
        long = inner(moved, self.metric * moved) / curvature
        short = curvature / inner(bent, bent / self.metric)
        self.short = [*self.short, short][-self.memory :]
        if short < self.switch * long:
            self.length, self.switch = min(self.short), 0.9 * self.switch
        else:
            self.length, self.switch = long, 1.1 * self.switch


def constrained(x: torch.Tensor, nonnegative: bool) -> torch.Tensor:
    """The nearest object that is allowed."""
    return x.clamp(min=0) if nonnegative and not x.is_complex() else x
