"""What the data say at one θ with the object free: misfit, slope, Fisher information."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from .identify import Report, identify
from .linear import Linearised, Projection, State, inner
from .task import Task


class View(NamedTuple):
    """Parameters are parts of their allowed ranges; the misfit is −2 log likelihood, up to a constant."""

    u: np.ndarray
    state: State
    misfit: float
    slope: np.ndarray
    information: np.ndarray


def look(
    task: Task, u: np.ndarray, at: Linearised, weight: torch.Tensor, changes: Sequence[torch.Tensor]
) -> View:
    """The view at ``u``; ``changes`` of the data are those that each parameter makes over its whole range.

    Both they and the residual have what the object explains projected out.
    """
    project = Projection(at, weight, np.random.default_rng(0))
    left = project(task.problem.data - at.mean)
    columns = [project.sensitivity(c) for c in changes]
    information = np.array([[inner(a, weight, b) for b in columns] for a in columns])
    slope = np.array([inner(a, weight, left) for a in columns])
    return View(
        u,
        at.state,
        project.energy(left) + task.pull(u),
        slope - task.trust * (u - task.hint),
        information + np.diag(task.trust),
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


def final_report(
    task: Task,
    view: View,
    weight: torch.Tensor,
    allowed: np.ndarray,
    changes_at: Callable[[Linearised], list[torch.Tensor]],
) -> Report:
    """The report with errors that allow for noise in the object.

    Noise makes the sensitivities, and with them the information, larger than they are, though it does not
    move the root of the slope. How much, N, is seen in the object that the method makes of data simulated at
    the solution. With I − N as the information the covariance is that of an M-estimator,
    (I − N)⁻¹ I (I − N)⁻¹ (Huber 1967).
    """
    known = report(task, view, allowed)
    if not known.determined.any():
        return known
    at = Linearised(task.problem.operator, view.state, task.theta(view.u))
    again = Linearised(
        task.problem.operator, task.object(view.u, _simulated(task, at, weight)), task.theta(view.u)
    )
    project = Projection(at, weight, np.random.default_rng(0))
    pairs = zip(changes_at(again), changes_at(at), strict=True)
    columns = [project(b - a) for a, b in pairs]
    noisy = np.array([[inner(a, weight, b) for b in columns] for a in columns])
    return identify(
        task.names, task.widths, _corrected(view.information, noisy, known.determined), known.determined
    )


def _corrected(information: np.ndarray, noise: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The inverse of the covariance, in the determined parameters; none where noise is all that there is."""
    whole = information[np.ix_(free, free)]
    signal = whole - noise[np.ix_(free, free)]
    size = np.sqrt(np.maximum(np.diag(whole), 1e-12))
    values, vectors = np.linalg.eigh(signal / np.outer(size, size))
    signal = (vectors * np.maximum(values, 0)) @ vectors.T * np.outer(size, size)
    found = information.copy()
    found[np.ix_(free, free)] = signal @ np.linalg.solve(whole, signal)
    return found


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
