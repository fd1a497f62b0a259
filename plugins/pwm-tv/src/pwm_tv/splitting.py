"""Accelerated forward–backward splitting for a misfit with total variation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .axes import Axes
from .fit import Point
from .information import bound_of
from .scaling import inner
from .variation import Dual, Variation

_PATIENCE = 3  # short steps, before they are taken for the end
_RENEWALS = (4, 10, 25, 60)  # steps before which the metric is brought up to date
_RELAX = 0.9  # a curvature that was met once need not last
_LONGEST = 160  # steps on the dual


@dataclass(frozen=True)
class Plan:
    """How is regularised, and how exactly.

    ``noise``    standard deviation of each component, in the object's shape
    ``axes``     of the object
    ``steps``    weights of the differences along image and time axes
    ``inner``    steps on the dual in each step
    """

    noise: torch.Tensor
    axes: Axes
    steps: tuple[float, ...]
    nonnegative: bool
    vectorial: bool
    inner: int
    tolerance: float


class ForwardBackward:
    """FISTA in a diagonal metric: monotone, with backtracking, and restarted where momentum overshoots."""

    def __init__(self, here: Point, plan: Plan, strength: float, dual: Dual | None = None) -> None:
        self.here, self.plan = here, plan
        self.curvature = 1.0  # of the misfit, in units of the metric
        self.inner = plan.inner
        together = plan.axes.components if plan.vectorial else ()
        self.variation = Variation(strength / plan.noise, plan.axes.across, plan.steps, together)
        self.metric = bound_of(here, plan.axes, plan.noise, here.fit.precision(here.mean))
        self.dual = dual or self.variation.start(here.x)  # that of another strength is a good start
        self.objective = here.loss + self.variation.of(here.x)
        self.count, self.small_steps, self.change = 0, 0, float("inf")
        self.momentum, self.ahead, self.previous = 1.0, 0.0, here

    @property
    def info(self) -> dict[str, float]:
        return {"change": self.change, "misfit": self.here.loss, "variation": self.objective - self.here.loss}

    def step(self) -> bool:
        """One step; whether it was the last."""
        self.count += 1
        if self.count in _RENEWALS and (self.here.fit.reweighted or not self.here.fit.operator.linear):
            self._renew_metric()
        before = self.here
        point, objective = self._forward_backward()
        while objective > self.objective:
            if self.momentum > 1:
                self._restart()
            elif self.inner < _LONGEST:  # the proximal point was not exact enough
                self.inner *= 2
            else:
                point, objective = before, self.objective
                break
            point, objective = self._forward_backward()
        t = (1 + (1 + 4 * self.momentum**2) ** 0.5) / 2
        self.ahead, self.momentum = (self.momentum - 1) / t, t
        self.previous, self.here, self.objective = before, point, objective
        return self._at_rest()

    def _renew_metric(self) -> None:
        """Measure steps by the curvature of the misfit at the present object."""
        self.metric = bound_of(
            self.here, self.plan.axes, self.plan.noise, self.here.fit.curvature(self.here.mean)
        )
        self.curvature = 1.0

    def _restart(self) -> None:
        self.momentum, self.ahead, self.previous = 1.0, 0.0, self.here

    def _forward_backward(self) -> tuple[Point, float]:
        """The next point from the extrapolated one, and its objective."""
        y, misfit, gradient = self._extrapolated()
        self.curvature = max(_RELAX * self.curvature, 1.0)
        while True:
            metric = self.metric if self.curvature == 1 else self.curvature * self.metric
            x = self.variation.prox(
                y - gradient / metric, metric, self.dual, self.inner, self.plan.nonnegative
            )
            moved, point = x - y, self.here.fit.at(x)
            model = misfit + inner(gradient, moved) + 0.5 * inner(moved, metric * moved)
            if point.loss <= model + 1e-6 * abs(misfit):
                return point, point.loss + self.variation.of(x)
            self.curvature *= 2

    def _extrapolated(self) -> tuple[torch.Tensor, float, torch.Tensor]:
        """Where the step starts, with misfit and gradient; data of a linear operator are extrapolated too."""
        here, fit = self.here, self.here.fit
        if self.ahead == 0:
            return here.x, here.loss, here.gradient()
        y = here.x + self.ahead * (here.x - self.previous.x)
        if not fit.operator.linear:
            point = fit.at(y)
            return y, point.loss, point.gradient()
        mean = here.mean + self.ahead * (here.mean - self.previous.mean)
        return y, fit.misfit(mean), here.pull(fit.slope(mean))

    def _at_rest(self) -> bool:
        moved, x = self.here.x - self.previous.x, self.here.x
        size = inner(x, self.metric * x)
        # a short step in a strongly curved place is no rest
        self.change = self.curvature * (inner(moved, self.metric * moved) / size) ** 0.5 if size else 0.0
        self.small_steps = self.small_steps + 1 if self.change <= self.plan.tolerance else 0
        return self.small_steps >= _PATIENCE
