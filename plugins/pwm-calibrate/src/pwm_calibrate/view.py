"""What the data say at one θ with the object free: misfit, slope, Fisher information."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from .identify import Report, identify
from .linear import GAIN, Linearised, Projection, State, Vector, inner, parts
from .task import Task

SUSPECT = 5.0  # standard deviations beyond which χ² is not noise's alone
_LEAST = 8  # batches: the scatter of fewer tells little


class View(NamedTuple):
    """Parameters are parts of their allowed ranges; the misfit is −2 log likelihood, up to a constant."""

    u: np.ndarray
    state: State
    misfit: float
    slope: np.ndarray
    information: np.ndarray
    left: list[torch.Tensor]  # what each parameter changes in the data and the object does not explain
    explanations: list[Vector | None]  # and the change of the object that does the rest, if anything is left
    scores: np.ndarray  # what each part of the data along their first axis adds to the slope
    bend: float = 1.0  # how much the slope is seen to change, as part of what the information says


def look(
    task: Task,
    u: np.ndarray,
    at: Linearised,
    weight: torch.Tensor,
    changes_at: Callable[[Linearised], list[torch.Tensor]],
    near: View | None = None,
) -> View:
    """The view at ``u``; ``changes_at`` gives what each parameter changes in the data over its whole range.

    Both that and the residual have what the object explains projected out. A view that is ``near``, with
    other weights, saves work.
    """
    found = _view(_Glance(task, u, at, weight), changes_at, near.explanations if near else [None] * len(u))
    return found._replace(bend=near.bend) if near else found


def look_if_better(
    task: Task,
    u: np.ndarray,
    at: Linearised,
    weight: torch.Tensor,
    changes_at: Callable[[Linearised], list[torch.Tensor]],
    best: View,
    free: np.ndarray,
) -> View | None:
    """The view at ``u``, close to the ``best`` so far; None if it is no better.

    Its misfit must be less. Methods that never come to rest leave misfits that scatter by far more than a
    step changes them: where the difference is none that the projection resolves, the slope to the parameters
    that are ``free`` (bool) tells.
    """
    glance = _Glance(task, u, at, weight)
    if glance.misfit > best.misfit + resolved(best):
        return None
    view = _view(glance, changes_at, best.explanations)
    return view if view.misfit < best.misfit or promise(view, free) < promise(best, free) else None


def resolved(view: View) -> float:
    """Differences of misfits that mean something: the projection leaves so much unexplained."""
    return GAIN * view.misfit


def promise(view: View, free: np.ndarray) -> float:
    """What a Gauss–Newton step of the ``free`` parameters would take off the misfit, were it quadratic."""
    free = free & (np.diag(view.information) > 0)  # the object may explain here what it did not elsewhere
    slope = view.slope[free]
    return float(slope @ np.linalg.solve(view.information[np.ix_(free, free)], slope))


class _Glance:
    """What is known before any sensitivity: the residual without what the object explains."""

    def __init__(self, task: Task, u: np.ndarray, at: Linearised, weight: torch.Tensor) -> None:
        self.task, self.u, self.at, self.weight = task, u, at, weight
        self.project = Projection(at, weight, np.random.default_rng(0))
        self.left = self.project(task.problem.data - at.mean)
        self.misfit = self.project.energy(self.left) + task.pull(u)


def _view(
    glance: _Glance,
    changes_at: Callable[[Linearised], list[torch.Tensor]],
    guesses: Sequence[Vector | None],
) -> View:
    task, weight = glance.task, glance.weight
    changes = zip(changes_at(glance.at), guesses, strict=True)
    reduced = [glance.project.sensitivity(change, guess) for change, guess in changes]
    columns, explanations = [left for left, _ in reduced], [part for _, part in reduced]
    information = np.array([[inner(a, weight, b) for b in columns] for a in columns])
    slope = np.array([inner(a, weight, glance.left) for a in columns])
    return View(
        glance.u,
        glance.at.state,
        glance.misfit,
        slope - task.trust * (glance.u - task.hint),
        information + np.diag(task.trust),
        columns,
        explanations,
        np.stack([parts(a, weight, glance.left) for a in columns], 1),
    )


def sensitivities(task: Task, at: Linearised) -> list[torch.Tensor]:
    """The operator's own derivatives to all parameters, per allowed range."""
    return [at.sensitivity(n, w) for n, w in zip(task.names, task.widths, strict=True)]


def differences(task: Task, at: Linearised, u: np.ndarray, reach: float) -> list[torch.Tensor]:
    """The same by differences over a part ``reach`` of the range on either side, never outside of it."""
    found = []
    for k in range(len(u)):
        above, below = u.copy(), u.copy()
        above[k], below[k] = min(u[k] + reach, 1.0), max(u[k] - reach, 0.0)
        change = _data(task, at, above) - _data(task, at, below)
        found.append(change / (above[k] - below[k]))
    return found


def report(task: Task, view: View, allowed: np.ndarray | None = None) -> Report:
    """What is determined at this view, as if its object were free of noise."""
    return identify(task.names, task.widths, view.information, allowed)


def inflation(view: View, expected: float) -> float:
    """What variances are multiplied by: data that the model explains worse than noise would tell less.

    The reduced χ², never less than 1 (Birge 1932, doi:10.1103/PhysRev.40.207).
    """
    return max(1.0, view.misfit / max(expected, 1e-30))


def excess(view: View, expected: float) -> float:
    """How far the misfit is beyond ``expected``, in standard deviations; a free object leaves less."""
    return (view.misfit - expected) / math.sqrt(2 * expected + 1)


def _scattered(view: View, found: Report, inflated: float) -> np.ndarray:
    """What the errors in ``found``, ``inflated`` by χ², are multiplied by where the model is wrong.

    What it lacks moves many data alike, such as frames taken one after the other: these tell less than as
    many numbers with that misfit would. How much less is seen in what √n batches of the data along their
    first axis add to the slope (batch means, Flegal & Jones 2010, doi:10.1214/09-AOS735), with the covariance
    of an M-estimator for data in clusters (Liang & Zeger 1986, doi:10.1093/biomet/73.1.13). At least 1.
    """
    count = max(_LEAST, math.isqrt(len(view.scores)))
    if len(view.scores) < count:
        return np.ones(len(view.u))
    batches = np.stack([batch.sum(0) for batch in np.array_split(view.scores, count)])
    batches = (batches - batches.mean(0)) * found.determined
    covariance = found.covariance / inflated
    variance = np.diag(covariance @ (batches.T @ batches) @ covariance) * count / (count - 1)
    return np.sqrt(np.maximum(1.0, variance / np.diag(found.covariance)))


def final_report(
    task: Task,
    view: View,
    weight: torch.Tensor,
    expected: float,
    allowed: np.ndarray,
    changes_at: Callable[[Linearised], list[torch.Tensor]],
) -> Report:
    """The report with errors that allow for noise in the object, and for a misfit beyond ``expected``.

    Noise makes the sensitivities, and with them the information, larger than they are, though it does not
    move the root of the slope. How much, N, is seen in the object that the method makes of data simulated at
    the solution. With I − N as the information the covariance is that of an M-estimator,
    (I − N)⁻¹ I (I − N)⁻¹ (Huber 1967).
    """
    known = report(task, view, allowed)
    if not known.determined.any():
        return known
    theta = task.theta(view.u)
    at = Linearised(task.problem.operator, view.state, theta)
    again = Linearised(task.problem.operator, task.object(view.u, _simulated(task, at, weight)), theta)
    changes = changes_at(again)
    if view.state.arrays:  # what the object explains then depends on the arrays, and is noisy too
        project = Projection(again, weight, np.random.default_rng(0))
        kept = zip(changes, view.left, view.explanations, strict=True)
        columns = [project.sensitivity(c, guess)[0] - left for c, left, guess in kept]
    else:
        project = Projection(at, weight, np.random.default_rng(0))
        columns = [project(c - old) for c, old in zip(changes, changes_at(at), strict=True)]
    noisy = np.array([[inner(a, weight, b) for b in columns] for a in columns])
    inflated = inflation(view, expected)
    information = _corrected(view.information, noisy, known.determined) / inflated
    found = identify(task.names, task.widths, information, known.determined)
    if excess(view, expected) <= SUSPECT:
        return found
    factors = _scattered(view, found, inflated)
    return identify(task.names, task.widths, information / np.outer(factors, factors), known.determined)


def _corrected(information: np.ndarray, noise: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The inverse of the covariance; none in ``free`` parameters where noise is all that there is.

    Their ties to the others lessen with it, so that it stays a covariance's.
    """
    part = np.ix_(free, free)
    whole, signal = information[part], (information - noise)[part]
    size = np.sqrt(np.maximum(np.diag(whole), 1e-12))
    values, vectors = np.linalg.eigh(signal / np.outer(size, size))
    signal = (vectors * np.maximum(values, 0)) @ vectors.T * np.outer(size, size)
    change = np.eye(len(information))
    change[part] = np.linalg.solve(whole, signal).T
    return change @ information @ change.T


def _simulated(task: Task, at: Linearised, weight: torch.Tensor) -> np.ndarray:
    """Data as they might come again, where the model is right."""
    noise, mean, rng = at.operator.noise(), at.mean.cpu().numpy(), np.random.default_rng(1)
    if noise is not None:
        return noise.sample(mean, rng)
    error = np.where(weight.cpu().numpy() > 0, 1 / np.sqrt(np.maximum(weight.cpu().numpy(), 1e-30)), 0)
    return mean + error * rng.standard_normal(mean.shape)


def _data(task: Task, at: Linearised, u: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return at.operator(at.state.x, task.theta(u))
