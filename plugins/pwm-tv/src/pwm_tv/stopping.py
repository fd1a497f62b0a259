"""When a method has done enough: at the level of the noise, or when the object no longer changes."""

from __future__ import annotations

import math

import torch

from pwm_core.problem import Problem

from .fit import Point
from .scaling import inner

DISCREPANCY = (
    "stop when Pearson's χ² of a datum falls to this, by the stated noise; 0: do not; none: at 1 where the "
    "data are fewer than four times the unknowns, so that only stopping in time keeps noise out of the object"
)
_DETERMINED = 4  # data for each unknown, from which on a fit to the end is no harm
_BISECTIONS = 10
_PATIENCE = 3  # steps: a single short one may be chance


def noise_level(problem: Problem, start: Point, discrepancy: float | None) -> float:
    """The χ² of a datum at which to stop, 0 for never.

    If a uniform object lies within the stated noise already, that noise is overstated (as that of reduced
    maps of a few counts is) and its level tells nothing: then the fit goes on.
    """
    if discrepancy is not None:
        return discrepancy
    fit, unknowns = start.fit, math.prod(problem.shape) * (2 if problem.dtype.startswith("complex") else 1)
    found = fit.chi_square(start.mean)
    uniform = bool((start.x == start.x[..., :1, :1]).all()) if start.x.ndim > 1 else False
    overstated = uniform and found is not None and found <= 1.0
    return 1.0 if fit.count < _DETERMINED * unknowns and not overstated else 0.0


class Stop:
    """Watches the steps of one run.

    ``discrepancy`` is Morozov's principle (0: not used): fitted closer than the noise, an object only
    gains noise.
    ``tolerance`` is the change of a step relative to the object, in the norm of ``metric``.
    """

    def __init__(self, discrepancy: float, tolerance: float, metric: torch.Tensor) -> None:
        self.discrepancy, self.tolerance, self.metric = discrepancy, tolerance, metric
        self.small_steps = 0
        self.change = float("inf")
        self.chi_square: float | None = None

    def after(self, here: Point, there: Point, length: float = 1.0) -> tuple[Point, bool]:
        """Where the step from ``here`` to ``there`` ends, and whether it was the last one.

        One that goes past the level of the noise ends where it meets it. ``length`` is that of the
        step against a natural one: a short step is no sign of rest.
        """
        self.chi_square = there.fit.chi_square(there.mean)
        fitted = self.chi_square is not None and self.chi_square <= self.discrepancy
        if fitted:
            there = self._met(here, there)
        moved, size = there.x - here.x, inner(there.x, self.metric * there.x)
        self.change = (inner(moved, self.metric * moved) / size) ** 0.5 / min(length, 1.0) if size else 0.0
        self.small_steps = self.small_steps + 1 if self.change <= self.tolerance else 0
        return there, fitted or self.small_steps >= _PATIENCE

    def _met(self, here: Point, there: Point) -> Point:
        """The point between the two where χ² is the discrepancy, by bisection.

        If it is below already ``here``, that is a thousandth of the way: all but ``here`` itself.
        """
        low, high, end = 0.0, 1.0, there.x
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            point = here.fit.at(here.x + middle * (end - here.x))
            found = here.fit.chi_square(point.mean)
            if found is not None and found <= self.discrepancy:
                high, there, self.chi_square = middle, point, found
            else:
                low = middle
        return there

    @property
    def info(self) -> dict[str, float]:
        found = {"change": self.change}
        return found if self.chi_square is None else {**found, "chi_square": self.chi_square}
