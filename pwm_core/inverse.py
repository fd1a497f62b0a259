"""Undo an operator on data that are nearly free of noise, without making the rest of their errors large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .operator import Operator

Linear = Callable[[torch.Tensor], torch.Tensor]

ERROR = 0.02  # mean square error of denoised data, in units of the noise that they had
_STEPS, _INNER = 3, 25


def invert(
    operator: Operator,
    y: torch.Tensor,
    weight: torch.Tensor,
    x: torch.Tensor,
    information: torch.Tensor | None = None,
    error: float = ERROR,
) -> torch.Tensor:
    """The images x (..., y, x) whose data H(x) are ``y``, as far as errors allow.

    Minimises Σ weight (H(x) − y)² / error + Σ |∇x|² / s², ``weight`` being the inverse variance of the
    measurement that ``y`` was made from, by Gauss–Newton steps with conjugate gradients. s², the mean square
    gradient of each image, comes from the estimate itself, from step to step (empirical Bayes). So a blur is
    undone where the data say something, and not where they do not: at frequencies that it took away, in
    shadows where no quanta came. ``x`` is the first estimate; ``information`` the curvature of each element
    of the misfit (default: from the operator). ``error`` is what is left in ``y`` of the variance that
    ``weight`` stands for.
    """
    for _ in range(_STEPS):
        forward, backward = derivative(operator, x)
        known = backward(weight * forward(torch.ones_like(x))) if information is None else information
        known = known.clamp(min=0) + torch.zeros_like(x)
        rough = (x * _laplacian(x)).mean((-2, -1), keepdim=True)
        level = known.mean((-2, -1), keepdim=True)
        prior = (error / rough.clamp(min=1e-30)).minimum(100 * level)  # a featureless image is not singular
        prior = torch.where(rough > 0, prior, 1e-3 * level)

        matrix = _Curvature(forward, backward, weight, prior)
        right = backward(weight * (y - operator(x))) - prior * _laplacian(x)
        step = conjugate_gradients(matrix, right, _INNER, 1e-3, 1 / (known + 4 * prior).clamp(min=1e-30))
        x = x + _length(operator, y, weight, prior, x, step) * step
    return x


def element_by_element(
    operator: Operator, y: torch.Tensor, weight: torch.Tensor, x: torch.Tensor
) -> torch.Tensor:
    """The object of a linear operator as if nothing were blurred: each datum over the gain of its element."""
    slope = operator(torch.ones_like(x))
    known = (weight > 0) & (slope.abs() > 1e-6 * slope.abs().max())
    return torch.where(known, y / torch.where(known, slope, 1), 0)


def derivative(operator: Operator, x: torch.Tensor) -> tuple[Linear, Linear]:
    """The derivative of H at x and its adjoint."""
    forward, backward = operator.derivative(x)
    return forward, lambda v: backward(v)[0]


def conjugate_gradients(
    matrix: Linear, b: torch.Tensor, steps: int, tolerance: float, scale: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """Solve matrix(x) = b for a symmetric positive matrix (Hestenes & Stiefel 1952).

    ``scale`` is a diagonal preconditioner; it stops when the preconditioned residual has fallen by
    ``tolerance``.
    """
    x, r = torch.zeros_like(b), b
    z = scale * r
    p, rz = z, float((r * z).sum())
    goal = tolerance**2 * rz
    for _ in range(steps):
        if rz <= goal:
            break
        q = matrix(p)
        a = rz / float((p * q).sum())
        x, r = x + a * p, r - a * q
        z = scale * r
        before, rz = rz, float((r * z).sum())
        p = z + (rz / before) * p
    return x


@dataclass(frozen=True)
class _Curvature:
    """Jᵀ W J plus the prior's curvature, as a map."""

    forward: Linear
    backward: Linear
    weight: torch.Tensor
    prior: torch.Tensor

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        return self.backward(self.weight * self.forward(u)) + self.prior * _laplacian(u)


def _length(
    operator: Operator,
    y: torch.Tensor,
    weight: torch.Tensor,
    prior: torch.Tensor,
    x: torch.Tensor,
    step: torch.Tensor,
) -> float:
    """The longest of 1, 1/2, … of a step that lowers the sum; 1 at once for a linear operator."""
    if operator.linear:
        return 1.0

    def cost(x: torch.Tensor) -> float:
        return float((weight * (operator(x) - y) ** 2).sum() + (prior * x * _laplacian(x)).sum())

    now, length = cost(x), 1.0
    while length > 1e-3 and not cost(x + length * step) < now:
        length /= 2
    return length if length > 1e-3 else 0.0


def _laplacian(u: torch.Tensor) -> torch.Tensor:
    """−Δu with free edges, so that the sum of u · (−Δu) is that of |∇u|²."""
    out = torch.zeros_like(u)
    dy, dx = u[..., 1:, :] - u[..., :-1, :], u[..., :, 1:] - u[..., :, :-1]
    out[..., 1:, :] += dy
    out[..., :-1, :] -= dy
    out[..., :, 1:] += dx
    out[..., :, :-1] -= dx
    return out
