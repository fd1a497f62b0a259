"""A calibration at hand: the parameters and their ranges, the object at a θ, hints from the data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from pwm_core.errors import BadValue
from pwm_core.method import Iterate, Reconstructor
from pwm_core.problem import Problem
from pwm_core.settings import params

from .identify import PRIOR, log
from .linear import State

_FAR = 2.0  # standard errors by which an estimate may lie outside its range
_CONTRADICTS = 2.0  # standard errors from the nominal value
_CLEAR = 3  # times the information of the range: .58 of the standard error of a number anywhere in it


class Task:
    """What calibrators share. Parameters are vectors u in the unit cube of the allowed ranges."""

    def __init__(
        self,
        problem: Problem,
        reconstructor: Reconstructor,
        rng: np.random.Generator,
        iterations: int,
        held: bool = False,
    ) -> None:
        if not problem.ranges:
            raise BadValue(
                "there is nothing to calibrate: the problem gives no ranges of parameters; a file may "
                "need more said about the instrument first (--assume)"
            )
        self.problem, self.reconstructor, self.rng = problem, reconstructor, rng
        self.held = held  # the method retrieves nothing but the object
        self.brief = _at_most(reconstructor, iterations)
        self.names = tuple(problem.ranges)
        self.low, high = np.array([problem.ranges[n] for n in self.names], float).T
        self.widths = high - self.low
        if not (self.widths > 0).all():
            empty = self.names[int(np.argmin(self.widths > 0))]
            raise BadValue(f"the range of {empty} is empty: {problem.ranges[empty]}; leave it out to fix it")
        nominal = np.array([float(problem.operator.theta[n]) for n in self.names])
        self.nominal = np.clip(self.unit(nominal), 0, 1)
        self.hint, self.trust = self._hints(problem.operator.estimate(np.asarray(problem.y), problem.mask))
        self.start = np.where(self.trust > 0, np.clip(self.hint, 0, 1), self.nominal)
        self._last: torch.Tensor | None = None

    def unit(self, values: np.ndarray) -> np.ndarray:
        """Parameters as parts of their ranges."""
        return (values - self.low) / self.widths

    def theta(self, u: np.ndarray) -> dict[str, float]:
        """Parameters in their own units, never outside the ranges."""
        values = self.low + np.clip(u, 0, 1) * self.widths
        return {
            n: float(np.clip(v, *self.problem.ranges[n])) for n, v in zip(self.names, values, strict=True)
        }

    def at(self, u: np.ndarray) -> Problem:
        """The problem with the operator at these parameters."""
        return self.problem.replace(operator=self.problem.operator.at(self.theta(u)))

    def object(self, u: np.ndarray, y: np.ndarray | None = None) -> State:
        """The object, of the data or of ``y``, by a few iterations that start where the last ones ended."""
        problem = self.at(u) if y is None else self.at(u).replace(y=y)
        if self._last is not None:
            problem = problem.replace(initial=self._last.cpu().numpy())
        last = None
        for step in self.brief.solve(problem, self.rng):
            last = step
        if last is None:
            raise BadValue(f"{type(self.brief).__name__} ended without a single step")
        self._last = self._object(last.x)
        stated = {} if self.held else last.theta or {}
        free = {k: v for k, v in stated.items() if k not in self.names}
        return State(self._last, {k: self._array(v) for k, v in free.items()})

    def iterate(self, state: State, u: np.ndarray, info: dict[str, float] | None = None) -> Iterate:
        """What there is on the way, whole: an interrupted run keeps it."""
        return Iterate(state.x, None, {**state.arrays, **self.theta(u)}, info or {})

    def tell(self, u: np.ndarray, misfit: float) -> None:
        """Where the calibration is, through the log."""
        units = self.units()
        where = ", ".join(f"{name} = {v:.4g} {units[name]}".rstrip() for name, v in self.theta(u).items())
        log.info(f"calibrating: {where}, χ² {misfit:.4g}")

    def final(
        self, reconstructor: Reconstructor, rng: np.random.Generator, u: np.ndarray, info: dict[str, float]
    ) -> Iterator[Iterate]:
        """A method's own run, whole and with nothing held, with the operator at these parameters."""
        theta = self.theta(u)
        for step in reconstructor.solve(self.at(u), rng):
            yield Iterate(step.x, step.loss, {**(step.theta or {}), **theta}, {**step.info, **info})

    def units(self) -> dict[str, str]:
        return {n: self.problem.operator.parameters[n].unit for n in self.names}

    def pull(self, u: np.ndarray) -> float:
        """The hints' part of the misfit."""
        return float(np.sum(self.trust * (u - self.hint) ** 2))

    def _hints(self, found: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Estimates from the data alone and their inverse variances, 0 where there is none.

        One that lies far outside the allowed range is not believed: something else may have made it. A vague
        one counts only if it contradicts the nominal value, which stands otherwise: with what noise seems to
        tell it would pass for knowledge. Those that do not count are told through the log.
        """
        hint, trust = np.full(len(self.names), 0.5), np.zeros(len(self.names))
        for k, name in enumerate(self.names):
            error = found.get(f"std:{name}", math.inf)
            if name not in found or not 0 < error < math.inf:
                continue
            value, (low, high) = found[name], self.problem.ranges[name]
            place, weight = float((value - self.low[k]) / self.widths[k]), (self.widths[k] / error) ** 2
            contradicts = (place - self.nominal[k]) ** 2 * weight > _CONTRADICTS**2
            told = f"{name}: the data alone suggest {value:.3g} ± {error:.2g}"
            if not low - _FAR * error <= value <= high + _FAR * error:
                log.info(f"{told}, outside its range; not used")
            elif weight <= (PRIOR if contradicts else _CLEAR * PRIOR):
                log.info(f"{told}, too vague to leave the nominal value; not used")
            else:
                hint[k], trust[k] = place, weight
        return hint, trust

    def _object(self, x: Any) -> torch.Tensor:
        return torch.as_tensor(x).detach().to(self.problem.like).clone()

    def _array(self, value: Any) -> torch.Tensor:
        return torch.as_tensor(value).detach().to(self.problem.device).clone()


def _at_most(reconstructor: Reconstructor, iterations: int) -> Reconstructor:
    """The same method with fewer iterations, if it has a number of them."""
    own = getattr(reconstructor, "iterations", None)
    known = any(f.name == "iterations" for f in params(type(reconstructor)))
    return reconstructor.replace(iterations=min(own, iterations)) if known and own else reconstructor
