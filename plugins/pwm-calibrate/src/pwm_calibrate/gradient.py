"""Gauss-Newton on the parameters of the forward model, with the object profiled."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator

import numpy as np
import torch

from pwm_core.method import Calibrator, Iterate, Reconstructor
from pwm_core.problem import Problem
from pwm_core.settings import param

from .held import HOPELESS, Found, held_first
from .identify import Report, tell_misfit
from .linear import Linearised, weights
from .task import Task
from .view import (
    SUSPECT,
    View,
    final_report,
    inflation,
    look,
    look_if_better,
    promise,
    report,
    resolved,
    sensitivities,
)

_NEAR, _CLOSE = 1.0, 0.1  # standard errors: a shorter step is none, with the first weights and the last
_TELLING, _LEAST = 3.0, 0.1  # standard errors of a step that tells the bend, and the least that is believed


class Gradient(Calibrator):
    """Variable projection: θ by Gauss–Newton (Fisher scoring), the object by any method.

    At each θ the method gives an object x. About it the model is linearised in both, and what a change of the
    object explains is projected out of the residual and out of the sensitivities to θ: the misfit that
    remains has no memory of the θ that the object was made with. (Golub & Pereyra 2003,
    doi:10.1088/0266-5611/19/2/201; for the weights and the information Osborne 1992, doi:10.2307/1403504.)
    Steps that raise this misfit are halved. Parameters that the data cannot determine stay where they were.
    """

    steps: int = param(12, low=1, high=1000, doc="Gauss–Newton steps at most")
    iterations: int = param(30, low=1, doc="iterations that the method gets for each object on the way")
    starts: int = param(3, low=1, high=100, doc="points to start from at most, if the data stay unexplained")

    def solve(
        self, problem: Problem, reconstructor: Reconstructor, rng: np.random.Generator
    ) -> Iterator[Iterate]:
        """Iterates with θ and the misfit; then those of the method at the final θ, with the report."""
        found = yield from held_first(problem, reconstructor, rng, self.iterations, self._find)
        task, best = found.task, found.view
        known = final_report(
            task, best, found.weight, found.expected, found.allowed, lambda at: sensitivities(task, at)
        )
        kept = np.where(known.determined, best.u, task.start)
        tell_misfit(found.misfit(task.start), best.misfit, found.expected)
        known.tell(task.theta(kept), task.units(), kept)
        yield from task.final(reconstructor, rng, kept, known.info())

    def _find(self, task: Task, trial: bool) -> Generator[Iterate, None, Found]:
        """The best view from one start or several; a ``trial`` ends where the misfit is hopeless."""
        yield task.iterate(task.object(task.start), task.start)
        best: Found | None = None
        for start in self._starts(task, 1 if trial else self.starts):
            allowed, near = np.ones(len(task.names), bool), None
            for close in (_NEAR, _CLOSE):  # weights are right only where the object is: once more from there
                own, expected, view = _first(task, np.where(allowed, start, task.start), near)
                if trial and view.misfit - _reach(view) > HOPELESS * expected:
                    break
                for better in self._descend(task, view, own, expected, allowed, close):
                    view = better
                    task.tell(view.u, view.misfit / expected)
                    yield task.iterate(view.state, view.u, {"profile": view.misfit})
                start, near, allowed = view.u, view, report(task, view, allowed).determined
                if not allowed.any():
                    break
            found = Found(task, view, own, expected, allowed)
            if best is None or found.excess < best.excess:
                best = found
            if best.excess <= SUSPECT or _reach(best.view) < best.view.misfit - best.expected:
                break
        assert best is not None
        return best

    def _starts(self, task: Task, count: int) -> Iterator[np.ndarray]:
        """The best guess first, then points that fill the ranges evenly."""
        from scipy.stats import qmc

        yield task.start
        yield from qmc.Halton(len(task.names), scramble=True, rng=task.rng).random(count - 1)

    def _descend(
        self,
        task: Task,
        best: View,
        weight: torch.Tensor,
        expected: float,
        allowed: np.ndarray,
        close: float,
    ) -> Iterator[View]:
        """Views of ever smaller misfit, until steps are ``close`` or two in a row only follow the scatter.

        The weights are those at the start: misfits can be compared.
        """
        yield best
        length, idle, least = 1.0, 0, math.inf
        for _ in range(self.steps):
            known = report(task, best, allowed)
            step = length * _step(best, known)
            error = np.sqrt(np.maximum(np.diag(known.covariance) * inflation(best, expected), 1e-300))
            if np.max(np.abs(step) / error) < close:
                return
            least = min(least, promise(best, known.determined))
            trial = _trial(task, np.clip(best.u + step / best.bend, 0, 1), weight, best, known.determined)
            if trial is None:
                length, idle = length / 2, idle + 1
            else:
                idle = 0 if promise(trial, known.determined) < least / 2 else idle + 1
                best, length = trial._replace(bend=_bend(best, trial, error)), min(1.0, 2 * length)
                yield best
            if idle == 2 and least < resolved(best):
                return


def _first(task: Task, u: np.ndarray, near: View | None) -> tuple[torch.Tensor, float, View]:
    """Weights, the misfit to expect with them, and the view; one that is ``near`` saves work."""
    at = Linearised(task.problem.operator, task.object(u), task.theta(u))
    weight, expected = weights(task.problem, at.operator, at.mean)
    return weight, expected, look(task, u, at, weight, lambda at: sensitivities(task, at), near)


def _trial(task: Task, u: np.ndarray, weight: torch.Tensor, best: View, free: np.ndarray) -> View | None:
    at = Linearised(task.problem.operator, task.object(u), task.theta(u))
    return look_if_better(task, u, at, weight, lambda at: sensitivities(task, at), best, free)


def _reach(view: View) -> float:
    """The misfit that all parameters together can make, or explain, over their whole ranges.

    To first order. What is beyond that has causes that no other start finds.
    """
    return float(np.trace(view.information))


def _bend(before: View, after: View, error: np.ndarray) -> float:
    """How much the slope has changed over a step, as part of what the information says.

    It is less where noise in the object makes up much of the information. Short steps tell nothing new.
    """
    step = after.u - before.u
    if np.max(np.abs(step) / error) < _TELLING:
        return before.bend
    expected = float(step @ before.information @ step)
    return float(np.clip((before.slope - after.slope) @ step / expected, _LEAST, 1.0))


def _step(view: View, known: Report) -> np.ndarray:
    """The Gauss–Newton step of what is determined; what would leave the cube stays at its face."""
    free, step = known.determined.copy(), np.zeros(len(view.u))
    while free.any():
        step[:] = 0.0
        step[free] = np.linalg.solve(view.information[np.ix_(free, free)], view.slope[free])
        out = free & (((view.u <= 0) & (step < 0)) | ((view.u >= 1) & (step > 0)))
        if not out.any():
            return step
        free &= ~out
    return np.zeros(len(view.u))
