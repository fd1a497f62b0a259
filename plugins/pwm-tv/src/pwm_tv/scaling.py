"""Where an iteration starts, and the units in which the data are equally sensitive to all of an object."""

from __future__ import annotations

import numpy as np
import torch

from pwm_core.channels import CHANNELS
from pwm_core.operator import Operator
from pwm_core.problem import Problem

from .axes import unit_maps
from .fit import Fit, Point

_LEVEL_STEPS = 8  # of Gauss–Newton for a nonlinear operator
_WEIGHINGS = 3  # for a linear one: the precision of the data follows from the levels


def starting_object(problem: Problem, fit: Fit) -> torch.Tensor:
    """The problem's own start; without one the uniform object, not below zero, that fits best.

    Each component has a level of its own. They are found by Gauss–Newton steps from zero.
    """
    if problem.initial is not None:
        return problem.start
    components = tuple(i for i, name in enumerate(problem.axes) if name == CHANNELS)
    maps = list(unit_maps(problem.like, components))
    operator, x = problem.operator, problem.like
    mean = operator(x)
    weight = fit.precision(fit.data.mean().expand(mean.shape))
    for _ in range(
        _WEIGHINGS if operator.linear and len(maps) > 1 else 1 if operator.linear else _LEVEL_STEPS
    ):
        columns = [_push(operator, x, m) for m in maps]
        target = fit.data - mean + _push(operator, x, x)
        level = _not_negative(
            torch.tensor([[inner(a, weight * b) for b in columns] for a in columns]),
            torch.tensor([inner(a, weight * target) for a in columns]),
        )
        x = sum((float(c) * m for c, m in zip(level, maps, strict=True)), torch.zeros_like(x))
        mean = operator(x)
        weight = fit.precision(mean) if len(maps) > 1 else weight
    return x


def _not_negative(matrix: torch.Tensor, right: torch.Tensor) -> np.ndarray:
    """argmin ½cᵀAc − bᵀc over c ≥ 0; a component that is not seen stays at zero."""
    from scipy.optimize import nnls

    a, b = matrix.double().numpy(), right.double().numpy()
    size = np.sqrt(np.diag(a))
    unit = np.where(size > 0, size, 1)
    factor = np.linalg.cholesky(a / np.outer(unit, unit) + 1e-6 * np.eye(len(a)))
    return np.where(size > 0, nnls(factor.T, np.linalg.solve(factor, b / unit))[0] / unit, 0)


def push(point: Point, dx: torch.Tensor) -> torch.Tensor:
    """J dx, J being the derivative of H at the point."""
    return _push(point.fit.operator, point.x, dx)


def _push(operator: Operator, x: torch.Tensor, dx: torch.Tensor) -> torch.Tensor:
    if operator.linear:
        with torch.no_grad():
            return operator(dx.contiguous())
    return operator.jvp(x, dx.contiguous())


def sensitivity(point: Point, rng: np.random.Generator, probes: int = 8) -> torch.Tensor:
    """The diagonal of the Fisher information Jᴴ W J of the object, W being the precision of the data.

    Estimated by pulling random signs u back: the square of Jᴴ W^½ u has just this diagonal as its
    mean, with a relative error of √(2/probes), in whatever units a component of the object is.
    """
    root = point.fit.precision(point.mean).sqrt()
    total = torch.zeros_like(point.x.real)
    for _ in range(probes):
        signs = 2 * rng.integers(0, 2, tuple(root.shape), dtype=np.int8) - 1
        total += point.pull(root * torch.from_numpy(signs).to(root)).abs() ** 2
    return total / probes


def smoothed(diagonal: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Half its own value and half the mean over the image, so that what is hardly seen hardly moves."""
    if axes:
        diagonal = 0.5 * (diagonal + diagonal.mean(axes, keepdim=True))
    return _positive(diagonal)


def levels(diagonal: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """The mean over the image, one number for each map of the object."""
    return _positive(diagonal.mean(axes, keepdim=True) if axes else diagonal)


def _positive(diagonal: torch.Tensor) -> torch.Tensor:
    """What no datum depends on gets the largest value; its gradient is zero anyway."""
    top = float(diagonal.max())
    return torch.where(diagonal > 0, diagonal, top if top > 0 else 1.0)


def inner(a: torch.Tensor, b: torch.Tensor) -> float:
    """Re⟨a, b⟩, summed in double precision."""
    return float((a.conj() * b).real.sum(dtype=torch.float64))
