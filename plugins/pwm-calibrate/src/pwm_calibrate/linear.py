"""The forward model linearised at an object and a θ, and the projection on what the object explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pwm_core.operator import Operator
from pwm_core.problem import Problem

from .identify import PRIOR

Vector = list[torch.Tensor]  # a change of the object, and of what else the method retrieves with it

STEPS, _PATIENCE = 60, 5  # conjugate gradient steps at most
_WINDOW, GAIN = 10, 0.02  # they stop when so many of them explain less than this part of what is left
_LITTLE, _ALL = 100 * PRIOR, 0.005  # information, and the part of the effect, that may be the solver's
# Of the information at half the steps: a solver on its way to nothing leaves less. Where something was left
# in the end, .56 to .97 were seen (drift in ptychography, six scenes, seven methods), elsewhere .06 to .40.
_FALLING = 0.45
_FLOOR = 0.05  # of the mean variance: where hardly any counts are expected, noise of the object rules


@dataclass(frozen=True)
class State:
    """An object that a method found, with the arrays that it retrieved besides (a probe, positions)."""

    x: torch.Tensor
    arrays: dict[str, torch.Tensor]


class Linearised:
    """H at (x, θ): the data's mean, and its derivative to the object.

    ``state.arrays``, parameters that the method at hand retrieves itself, are as free as the object.
    """

    def __init__(self, operator: Operator, state: State, theta: Mapping[str, float]) -> None:
        self.operator, self.state = operator.at({**theta, **state.arrays}), state
        self.forward, self.backward = self._derivative()
        with torch.no_grad():
            self.mean = self.operator(state.x)

    def sensitivity(self, name: str, step: float) -> torch.Tensor:
        """Change of the data's mean with a ``step`` of the parameter, to first order."""
        return self.operator.jvp(self.state.x, dtheta={name: step})

    def _derivative(self) -> tuple[Callable[[Vector], torch.Tensor], Callable[[torch.Tensor], Vector]]:
        forward, backward = self.operator.derivative(self.state.x, list(self.state.arrays))
        return (lambda u: forward(*u)), backward


class Projection:
    """Takes from data-space vectors what a change of the object explains, in weighted least squares."""

    def __init__(
        self,
        at: Linearised,
        weight: torch.Tensor,
        rng: np.random.Generator,
        *,
        steps: int = STEPS,
        gain: float = GAIN,
    ) -> None:
        self.at, self.weight, self.steps, self.gain = at, weight, steps, gain
        self.scale = [1 / s for s in self._curvature(rng)]

    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        """``v`` less its projection on the object's data, by conjugate gradients (CGLS).

        They stop where further steps explain hardly more.
        """
        return self._reduced(v, None, self.steps)[0]

    def sensitivity(self, v: torch.Tensor, guess: Vector | None = None) -> tuple[torch.Tensor, Vector | None]:
        """The same for the change of the data over a parameter's whole range, and the object's part in it.

        What is left of Σ weight v² is the information about it. Once it is too little to count, that is the
        end. Where it is little, the object may well explain that too, given more steps. If it has explained
        nearly all and still explains more, then what is left is the solver's and not the data's: nothing is
        left, and there is no part to speak of. The object's part at a θ close by, where something was left,
        is a good ``guess``; from there a fall says nothing, and only how much is left counts.
        """
        left, part, energies = self._reduced(v, guess, _PATIENCE * self.steps, none=PRIOR, little=_LITTLE)
        information, halfway = energies[-1], energies[len(energies) // 2]
        nearly_all = information < _LITTLE and information < _ALL * self.energy(v)
        if information <= PRIOR or (nearly_all and guess is None and information < _FALLING * halfway):
            return torch.zeros_like(left), None
        return left, part

    def _reduced(
        self, v: torch.Tensor, guess: Vector | None, steps: int, none: float = 0.0, little: float = 0.0
    ) -> tuple[torch.Tensor, Vector, list[float]]:
        """What is left of ``v``, the object's part in it, and the energies of what was left."""
        left, whole, part = v.clone(), self.energy(v), self._nothing()
        energies = [whole]
        if guess is not None and [g.shape for g in guess] == [p.shape for p in part]:  # as many modes as then
            closer = v - self.at.forward(guess)
            if self.energy(closer) < whole:
                left, part, energies = closer, guess, [self.energy(closer)]
        gradient = self._gradient(left)
        direction = self._scaled(gradient)
        steepness = dot(gradient, direction)
        for step in range(1, steps + 1):
            if steepness <= 1e-12 * whole or energies[-1] <= none:
                break
            change = self.at.forward(direction)
            bend = self.energy(change)
            if bend == 0:
                break
            length = steepness / bend
            left.sub_(change, alpha=length)
            part = [e + length * d for e, d in zip(part, direction, strict=True)]
            energies.append(energies[-1] - length * steepness)
            gain = self.gain / 10 if energies[-1] < little else self.gain
            if step >= _WINDOW and energies[-1] > (1 - gain) * energies[-1 - _WINDOW]:
                break
            gradient = self._gradient(left)
            scaled = self._scaled(gradient)
            before, steepness = steepness, dot(gradient, scaled)
            direction = [s + steepness / before * d for s, d in zip(scaled, direction, strict=True)]
        return left, part, energies

    def energy(self, v: torch.Tensor) -> float:
        """Σ weight |v|²."""
        return inner(v, self.weight, v)

    def _nothing(self) -> Vector:
        return [torch.zeros_like(p) for p in (self.at.state.x, *self.at.state.arrays.values())]

    def _gradient(self, v: torch.Tensor) -> Vector:
        return self.at.backward(self.weight * v)

    def _scaled(self, u: Vector) -> Vector:
        return [s * part for s, part in zip(self.scale, u, strict=True)]

    def _curvature(self, rng: np.random.Generator) -> Vector:
        """Mean curvature of each component's image: what preconditions components of different units.

        The diagonal of the Fisher information by one random vector of signs (Hutchinson 1990), averaged.
        """
        zeros = self._nothing()
        found: Vector = []
        for k, part in enumerate(zeros):
            signs = torch.as_tensor(rng.choice([-1.0, 1.0], part.shape), device=part.device).to(part.dtype)
            probe = [*zeros[:k], signs, *zeros[k + 1 :]]
            bent = (signs * self._gradient(self.at.forward(probe))[k]).real
            mean = bent.mean(tuple(range(bent.ndim))[-2:], keepdim=True)
            found.append(mean.clamp(min=1e-6 * float(mean.abs().max()) + 1e-30))
        return found


def weights(problem: Problem, operator: Operator, mean: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The inverse variance of each datum where the model expects ``mean``; 0 where data are not valid.

    Small variances, which are known worse than they are small, are raised. Without a noise model the variance
    is the mean square misfit. With the weights comes the misfit Σ weight variance that a right model has.
    """
    noise, misfit = operator.noise(), problem.data - mean
    if noise is None:
        variance = torch.zeros_like(misfit.abs()) + (misfit.abs() ** 2).mean()
    else:
        variance = torch.as_tensor(noise.variance(mean.clamp(min=0) if not mean.is_complex() else mean))
    raised = variance.clamp(min=_FLOOR * float(variance.mean()) + 1e-30)
    valid = 1.0 if problem.mask is None else problem.tensor(problem.mask)
    weight = valid / raised
    return weight, float((weight * variance).sum(dtype=torch.float64))


def inner(a: torch.Tensor, weight: torch.Tensor, b: torch.Tensor) -> float:
    """Σ weight Re(a* b), the sums along the last axis added in double precision."""
    product = (a.conj() * b).real if a.is_complex() else a * b
    return float(product.mul_(weight).sum(-1).sum(dtype=torch.float64))  # at once would take twice as long


def parts(a: torch.Tensor, weight: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """What each part along the first axis adds to :func:`inner`, (part,)."""
    product = (a.conj() * b).real if a.is_complex() else a * b
    return product.mul_(weight).reshape(len(product), -1).sum(1).double().cpu().numpy()


def dot(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> float:
    """The real inner product of two changes of the object."""
    return sum(float((p.conj() * q).real.sum(dtype=torch.float64)) for p, q in zip(a, b, strict=True))
