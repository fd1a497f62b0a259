"""A derivative-free search of the same misfit, as a check on the calibration by derivatives."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import numpy as np

from pwm_core.method import Calibrator, Iterate, Reconstructor
from pwm_core.problem import Problem
from pwm_core.settings import param

from .held import Found, held_first
from .identify import identify, tell_misfit
from .linear import Linearised, Projection, weights
from .task import Task
from .view import View, differences, final_report, look, report

_TOLERANCE = 3e-3  # the misfit must be known better here: it is all that there is to go by
_STEPS = 150
_REACH = 0.01  # of the range, over which sensitivities are differences
_FIRST, _LAST = 0.15, 1e-3  # radii of the trust region, of the range


class Search(Calibrator):
    """COBYQA (Ragonneau 2022; doi:10.1007/s12532-024-00273-5 for the library) on the profile misfit.

    The misfit of θ is what of the data no change of the object explains; its bounded minimum is found
    by quadratic models of evaluations alone, from the best of a few points that fill the ranges. Which
    parameters are determined, and how well, follows from differences of the model. COBYQA needs the fewest
    evaluations of SciPy's bounded methods, never leaves the bounds, and knows no randomness.
    """

    evaluations: int = param(60, low=5, high=100000, doc="of the misfit at most, for the minimum")
    iterations: int = param(30, low=1, doc="iterations that the method gets for each object on the way")
    scan: int = param(6, low=1, high=10000, doc="points that are tried first, the nominal one among them")

    def solve(
        self, problem: Problem, reconstructor: Reconstructor, rng: np.random.Generator
    ) -> Iterator[Iterate]:
        """Iterates for the θ at the start and the best one; then the method's own there, with the report."""
        found = yield from held_first(
            problem, reconstructor, rng, self.iterations, lambda task, trial: self._find(task)
        )
        task, view = found.task, found.view
        known = final_report(
            task,
            view,
            found.weight,
            found.expected,
            found.allowed,
            lambda at: differences(task, at, view.u, _REACH),
        )
        kept = np.where(known.determined, view.u, task.start)
        tell_misfit(found.misfit(task.start), view.misfit, found.expected)
        known.tell(task.theta(kept), task.units(), kept)
        yield from task.final(reconstructor, rng, kept, known.info())

    def _find(self, task: Task) -> Generator[Iterate, None, Found]:
        """The view at the least misfit."""
        misfit = _Misfit(task)
        view = misfit.view(task.start)
        yield task.iterate(view.state, view.u, {"profile": view.misfit})
        known = report(task, view).determined
        # of what only an estimate beforehand tells, misfits know no more than how far their solver came
        own = identify(task.names, task.widths, view.information - np.diag(task.trust)).determined
        free = known & own
        if free.any():
            best = self._minimum(misfit, self._first(task, misfit, free), free)
            view = misfit.view(best)
            yield task.iterate(view.state, best, {"profile": view.misfit})
        return Found(task, view, misfit.weight, misfit.expected, known)

    def _first(self, task: Task, misfit: Callable[[np.ndarray], float], free: np.ndarray) -> np.ndarray:
        """The best of the start and of points that fill the ranges of the ``free`` parameters."""
        from scipy.stats import qmc

        spread = qmc.Halton(len(task.names), scramble=False).random(self.scan)[1:]  # the first is a corner
        return min([task.start, *np.where(free, spread, task.start)], key=misfit)

    def _minimum(
        self, misfit: Callable[[np.ndarray], float], start: np.ndarray, free: np.ndarray
    ) -> np.ndarray:
        """The least misfit over the ``free`` parameters, the others staying at ``start``."""
        from scipy.optimize import Bounds, minimize

        def cost(part: np.ndarray) -> float:
            u = start.copy()
            u[free] = part
            return misfit(u)

        count = int(free.sum())
        found = minimize(
            cost,
            start[free],
            method="COBYQA",
            bounds=Bounds(np.zeros(count), np.ones(count)),
            options={
                "maxfev": self.evaluations,
                "initial_tr_radius": _FIRST,
                "final_tr_radius": _LAST,
            },
        )
        best = start.copy()
        best[free] = np.clip(found.x, 0, 1)
        return best


class _Misfit:
    """The misfit at a point of the unit cube, the object being free; the weights never change."""

    def __init__(self, task: Task) -> None:
        self.task, self.state = task, task.object(task.start)
        at = Linearised(task.problem.operator, self.state, task.theta(task.start))
        self.weight, self.expected = weights(task.problem, at.operator, at.mean)
        self.fixed = at.operator.linear and not self.state.arrays  # then any object is as good a start

    def __call__(self, u: np.ndarray) -> float:
        at = self._linearised(u)
        project = Projection(at, self.weight, np.random.default_rng(0), steps=_STEPS, gain=_TOLERANCE)
        return project.energy(project(self.task.problem.data - at.mean)) + self.task.pull(u)

    def view(self, u: np.ndarray) -> View:
        at = self._linearised(u)
        return look(self.task, u, at, self.weight, lambda at: differences(self.task, at, u, _REACH))

    def _linearised(self, u: np.ndarray) -> Linearised:
        state = self.state if self.fixed else self.task.object(u)
        return Linearised(self.task.problem.operator, state, self.task.theta(u))
