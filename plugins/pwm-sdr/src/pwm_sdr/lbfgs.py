"""L-BFGS with an initial Hessian that may be any positive operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch

_MEMORY = 5
_TRIES = 8  # steps tried on one line


class Objective(Protocol):
    """A function of a real vector: where it is now, its value and gradient there."""

    def evaluate(self) -> tuple[float, torch.Tensor]:
        """Value and gradient at the present point."""
        ...

    def move(self, direction: torch.Tensor, step: float) -> None:
        """Go to the base plus ``step`` times ``direction``."""

    def settle(self) -> None:
        """Make the present point the base."""

    def inverse_hessian(self, gradient: torch.Tensor) -> torch.Tensor:
        """A guess of the inverse Hessian times the gradient."""
        ...

    def longest(self, direction: torch.Tensor) -> float:
        """The longest step that may be tried along ``direction``."""
        ...


def minimise(objective: Objective) -> Iterator[float]:
    """Yield the value at each accepted point (Nocedal & Wright 2006, algorithms 7.4 and 3.1).

    An iteration that finds no lower value ends the search.
    """
    value, gradient = objective.evaluate()
    pairs: list[tuple[torch.Tensor, torch.Tensor, float]] = []
    scale = 1.0
    while True:
        direction = _two_loops(objective, gradient, pairs, scale)
        slope = _dot(gradient, direction)
        if slope >= 0:
            pairs = []
            direction = -objective.inverse_hessian(gradient)
            slope = _dot(gradient, direction)
        step = min(1.0, objective.longest(direction))
        for _ in range(_TRIES):
            objective.move(direction, step)
            new, after = objective.evaluate()
            if new <= value + 1e-4 * step * slope:
                break
            step *= 0.4
        else:
            objective.move(direction, 0.0)
            if not pairs:
                return
            pairs = []
            yield value
            continue
        objective.settle()
        change, bend = step * direction, after - gradient
        curvature = _dot(change, bend)
        if curvature > 1e-8 * float(change.norm() * bend.norm()):
            pairs = [*pairs, (change, bend, 1 / curvature)][-_MEMORY:]
            scale = curvature / _dot(bend, objective.inverse_hessian(bend))
        value, gradient = new, after
        yield value


def _two_loops(
    objective: Objective,
    gradient: torch.Tensor,
    pairs: list[tuple[torch.Tensor, torch.Tensor, float]],
    scale: float,
) -> torch.Tensor:
    """Minus the L-BFGS inverse Hessian times the gradient."""
    direction, weights = -gradient, []
    for change, bend, inverse in reversed(pairs):
        weights.append(inverse * _dot(change, direction))
        direction = direction - weights[-1] * bend
    direction = objective.inverse_hessian(direction)
    if pairs:
        direction = scale * direction
    for (change, bend, inverse), weight in zip(pairs, reversed(weights), strict=True):
        direction = direction + (weight - inverse * _dot(bend, direction)) * change
    return direction


def _dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.dot(a, b))
