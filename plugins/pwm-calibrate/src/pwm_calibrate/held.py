"""Calibration with all but the object held at the model, where the data allow it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import NamedTuple

import numpy as np
import torch

from pwm_core.method import Iterate, Reconstructor
from pwm_core.problem import Problem

from .identify import log
from .linear import Linearised, Projection
from .task import Task
from .view import SUSPECT, View, excess

HOPELESS = 1.5  # times the misfit to expect: what is held cannot be right


class Found(NamedTuple):
    """Where a search for θ has ended, and under which weights."""

    task: Task
    view: View
    weight: torch.Tensor
    expected: float
    allowed: np.ndarray  # bool: the parameters that were free in the end

    @property
    def excess(self) -> float:
        """How far the misfit is beyond the expected one, in standard deviations."""
        return excess(self.view, self.expected)

    def misfit(self, u: np.ndarray) -> float:
        """That of another place, with these weights."""
        return _left(self.task, u, self.weight)[0]


def held_first(
    problem: Problem,
    reconstructor: Reconstructor,
    rng: np.random.Generator,
    iterations: int,
    find: Callable[[Task, bool], Generator[Iterate, None, Found]],
) -> Generator[Iterate, None, Found]:
    """What ``find`` finds with all but the object as the model has it, if method and data allow that.

    An illumination that is retrieved too hides its own errors and part of a drift. Where the data contradict
    the model, the method retrieves what it does. ``find`` is told whether a task is such a trial.
    """
    held = reconstructor.held()
    if held is not None and held is not reconstructor:
        apart, other = rng.spawn(2)
        found = yield from find(Task(problem, held, apart, iterations, held=True), True)
        if _explains(found, Task(problem, reconstructor, other, iterations)):
            return found
        log.info("with all but the object held, the model does not explain the data; not held")
    task = Task(problem, reconstructor, rng, iterations, held=held is reconstructor)
    return (yield from find(task, False))


def _explains(found: Found, whole: Task) -> bool:
    """Whether the data are explained with all but the object held, hardly worse than by the ``whole`` method.

    By no more than what the method's further unknowns fit of the noise.
    """
    if found.view.misfit > HOPELESS * found.expected:
        return False
    left, further = _left(whole, found.view.u, found.weight)
    fitted = (further + SUSPECT * math.sqrt(2 * further)) * max(1.0, left / found.expected)
    log.info(
        f"χ² with all but the object held is {found.view.misfit / found.expected:.4g}, else "
        f"{left / found.expected:.4g}; fitting noise takes off {fitted / found.expected:.2g} at most"
    )
    return found.view.misfit - left <= fitted


def _left(task: Task, u: np.ndarray, weight: torch.Tensor) -> tuple[float, int]:
    """The misfit at ``u``, the hints' part among it, and the number of unknowns besides the object."""
    state = task.object(u)
    at = Linearised(task.problem.operator, state, task.theta(u))
    project = Projection(at, weight, np.random.default_rng(0))
    misfit = project.energy(project(task.problem.data - at.mean)) + task.pull(u)
    return misfit, sum(a.numel() * (2 if a.is_complex() else 1) for a in state.arrays.values())
