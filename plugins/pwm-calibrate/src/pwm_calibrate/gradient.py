"""Gauss-Newton on the parameters of the forward model, with the object profiled."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
import torch

from pwm_core.method import Calibrator, Iterate, Reconstructor
from pwm_core.problem import Problem
from pwm_core.settings import param

from .identify import Report, log, tell_misfit
from .linear import Linearised, Projection, weights
from .task import Task
from .view import (
    SUSPECT,
    View,
    excess,
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
_HOPELESS = 1.5  # times the misfit to expect, with the first weights: what is held cannot be right


class _Found(NamedTuple):
    """Where a descent has ended, and under which weights."""

    task: Task
    view: View
    weight: torch.Tensor
    expected: float
    allowed: np.ndarray  # bool: the parameters that were free in the end

    @property
    def excess(self) -> float:
        """How far the misfit is beyond the expected one, in standard deviations."""
        return excess(self.view, self.expected)


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
        """Iterates with θ and the misfit; then those of the method at the final θ, with the report.

        First with all but the object as the model has it, if the method can: an illumination that is
        retrieved too hides its own errors and part of a drift. Where the data contradict the model, the
        method retrieves what it does.
        """
        held = reconstructor.held()
        found: _Found | None = None
        if held is not None and held is not reconstructor:
            apart, other = rng.spawn(2)
            found = yield from self._find(
                Task(problem, held, apart, self.iterations, held=True), 1, _HOPELESS
            )
            if not _explains(found, Task(problem, reconstructor, other, self.iterations)):
                log.info("with all but the object held, the model does not explain the data; not held")
                found = None
        task = Task(problem, reconstructor, rng, self.iterations, held=held is reconstructor)
        found = found or (yield from self._find(task, self.starts, math.inf))
        best, weight, count, free = found.view, found.weight, found.expected, found.allowed
        known = final_report(found.task, best, weight, count, free, lambda at: sensitivities(found.task, at))
        kept = np.where(known.determined, best.u, task.start)
        tell_misfit(_misfit(found.task, task.start, weight), best.misfit, count)
        known.tell(task.theta(kept), task.units(), kept)
        yield from task.final(kept, known.info())

    def _find(self, task: Task, starts: int, hopeless: float) -> Generator[Iterate, None, _Found]:
        """The best view from so many starts; none goes on whose misfit is ``hopeless`` times the expected."""
        yield task.iterate(task.object(task.start), task.start)
        best: _Found | None = None
        for start in self._starts(task, starts):
            allowed, near = np.ones(len(task.names), bool), None
            for close in (_NEAR, _CLOSE):  # weights are right only where the object is: once more from there
                own, expected, first = _first(task, np.where(allowed, start, task.start), near)
                for view in self._descend(task, first, own, expected, allowed, close):
                    task.tell(view.u, view.misfit / expected)
                    yield task.iterate(view.state, view.u, {"profile": view.misfit})
                start, near, allowed = view.u, view, report(task, view, allowed).determined
                if not allowed.any() or view.misfit > hopeless * expected:
                    break
            found = _Found(task, view, own, expected, allowed)
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


def _explains(found: _Found, whole: Task) -> bool:
    """Whether the data are explained with all but the object held, hardly worse than by the ``whole`` method.

    By no more than what the method's further unknowns fit of the noise.
    """
    if found.view.misfit > _HOPELESS * found.expected:
        return False
    u = found.view.u
    state = whole.object(u)
    further = sum(a.numel() * (2 if a.is_complex() else 1) for a in state.arrays.values())
    left = _left(whole, u, Linearised(whole.problem.operator, state, whole.theta(u)), found.weight)
    fitted = (further + SUSPECT * math.sqrt(2 * further)) * max(1.0, left / found.expected)
    log.info(
        f"χ² with all but the object held is {found.view.misfit / found.expected:.4g}, else "
        f"{left / found.expected:.4g}; fitting noise takes off {fitted / found.expected:.2g} at most"
    )
    return found.view.misfit - left <= fitted


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


def _misfit(task: Task, u: np.ndarray, weight: torch.Tensor) -> float:
    """That of a view at ``u``, with weights that were made elsewhere."""
    return _left(task, u, Linearised(task.problem.operator, task.object(u), task.theta(u)), weight)


def _left(task: Task, u: np.ndarray, at: Linearised, weight: torch.Tensor) -> float:
    """What the object leaves unexplained at a linearisation, and the hints' part."""
    project = Projection(at, weight, np.random.default_rng(0))
    return project.energy(project(task.problem.data - at.mean)) + task.pull(u)


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
