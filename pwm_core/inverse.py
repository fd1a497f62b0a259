"""Solve H(x) = y for data that are nearly free of noise, as far as their accuracy allows."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .operator import Operator

Linear = Callable[[torch.Tensor], torch.Tensor]

_NEWTON, _OUTER, _INNER = 12, 4, 40


def invert(
    operator: Operator, y: torch.Tensor, weight: torch.Tensor, x: torch.Tensor, accuracy: float = 0.1
) -> torch.Tensor:
    """The object whose data H(x) are ``y`` to within ``accuracy`` standard deviations (rms).

    ``weight`` is the inverse variance of the measurement that ``y`` was made from, 0 where there is none;
    ``x`` is where to start. First each element is solved on its own, as if nothing were blurred; then
    Gauss–Newton steps by conjugate gradients undo blur, distortion and memory. They stop at the discrepancy
    principle (Morozov 1966), which is what keeps a blur from amplifying the errors of ``y``.
    """
    valid = float((weight > 0).sum()) or 1.0
    goal = accuracy**2 * valid

    def misfit(x: torch.Tensor) -> float:
        return float((weight * (operator(x) - y) ** 2).sum())

    if y.shape == x.shape:
        x = _element_by_element(operator, y, weight, x, misfit, goal)
    for _ in range(_OUTER):
        residual = y - operator(x)
        before = float((weight * residual**2).sum())
        if before <= goal:
            break
        forward, backward = derivative(operator, x)
        step = _least_squares(forward, backward, residual, weight, x, goal)
        length = 1.0
        while misfit(x + length * step) > before and length > 1e-3:  # the model may be far from linear
            length /= 2
        x = x + length * step
        if operator.linear or length <= 1e-3:
            break
    return x


def _element_by_element(
    operator: Operator,
    y: torch.Tensor,
    weight: torch.Tensor,
    x: torch.Tensor,
    misfit: Callable[[torch.Tensor], float],
    goal: float,
) -> torch.Tensor:
    """Newton's iteration with the response to a uniform change as the derivative, while it gains."""
    ones, now = torch.ones_like(x), misfit(x)
    for _ in range(_NEWTON):
        slope = operator(ones) if operator.linear else operator.jvp(x, ones)
        known = (weight > 0) & (slope.abs() > 1e-6 * slope.abs().max())
        change = torch.where(known, (y - operator(x)) / torch.where(known, slope, 1), 0)
        after = misfit(x + change)
        if not after < now:
            break
        x, now = x + change, after
        if operator.linear or now <= goal:
            break
    return x


def derivative(operator: Operator, x: torch.Tensor) -> tuple[Linear, Linear]:
    """The derivative of H at x and its adjoint."""
    if operator.linear:
        return operator, lambda v: operator.adjoint(v, x)
    return (lambda u: operator.jvp(x, u)), (lambda v: operator.vjp(x, v, wrt=())[0])


def _least_squares(
    forward: Linear, backward: Linear, y: torch.Tensor, weight: torch.Tensor, like: torch.Tensor, goal: float
) -> torch.Tensor:
    """Conjugate gradients on the weighted normal equations, from zero until the misfit is ``goal``."""
    x, left = torch.zeros_like(like), y
    s = backward(weight * left)
    p, gamma = s, float((s * s).sum())
    for _ in range(_INNER):
        q = forward(p)
        curvature = float((weight * q * q).sum())
        if curvature <= 0 or float((weight * left**2).sum()) <= goal:
            break
        x, left = x + gamma / curvature * p, left - gamma / curvature * q
        s = backward(weight * left)
        before, gamma = gamma, float((s * s).sum())
        p = s + gamma / before * p
    return x
