"""Plug-and-play: the reconstructor that uses any denoiser as its prior."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from .channels import CHANNELS, response
from .inverse import conjugate_gradients, derivative
from .lift import refuse_complex
from .method import Denoiser, Iterate, Reconstructor
from .noise import Noise
from .operator import Operator
from .problem import Problem
from .settings import param

_STRENGTH = 0.23  # λ, as DPIR has it
_WEAKEST, _STRONGEST = 0.1, 2.0  # about λ = 1, the weight of the prior in the posterior density
_MISFIT = 0.985  # mean square misfit over variance at which the prior is strong enough, not too strong
_NEAR = 2.0  # noise levels of the estimate at which the misfit tells of the prior, not of the schedule
_GAIN = 20.0  # by how much ln λ rises for a misfit that is too small by one unit of its logarithm


class PlugAndPlay(Reconstructor):
    """Half-quadratic splitting with a denoiser as the prior.

    Each step solves (Jᵀ W J + α I) δ = Jᵀ W (y − H(z)) by conjugate gradients, J being the derivative of H
    at z (H itself where it is linear), W the inverse variance of the data and α = λ/σₖ², and then
    denoises, z ← D(z + δ, σₖ), while σₖ falls geometrically to the noise level of the estimate: the
    schedule of DPIR (Zhang et al. 2021, doi:10.1109/TPAMI.2021.3088914), with its λ = 0.23. Noise that a
    denoiser lets through comes back where the data do not contradict it, the more the smaller λ is: near the
    end λ is therefore raised while the object fits counted data better than their noise allows, and lowered
    while it fits worse (the discrepancy principle, Morozov 1966). Objects are scaled so that the noise level
    of the estimate is one, map by map where there are several. Data with an axis that the object has not are
    reduced first (``Operator.reduce``); the variance of those is nominal, and λ stays as it is.
    """

    denoiser: Denoiser
    iterations: int = param(8, low=1, doc="denoising steps")
    sigma_start: float = param(0.2, low=1e-6, high=1.0, doc="first denoising level, as a part of the range")
    cg_steps: int = param(30, low=1, doc="conjugate-gradient steps in each data step")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        refuse_complex(problem)
        denoiser = self.denoiser.suited(problem)
        whole, problem = problem, problem.reduced()
        operator, noise = problem.operator, problem.operator.noise()
        y, valid = _valid_data(problem)
        z = problem.start
        level = torch.full_like(y, float(y.sum() / valid.sum())) if operator.linear else operator(z)
        weight = _precision(noise, level, valid)
        spread = _spread(operator, weight, z, problem.axes[0] == CHANNELS)

        def data_step(alpha: float) -> torch.Tensor:
            forward, backward = derivative(operator, z)

            def matrix(u: torch.Tensor) -> torch.Tensor:
                return spread * backward(weight * forward(spread * u)) + alpha * u

            right = spread * backward(weight * (y - operator(z)))
            return z + spread * conjugate_gradients(matrix, right, self.cg_steps, 1e-4)

        counted = problem is whole and noise is not None and bool(noise.variance(level.clamp(min=0)).any())
        bent = 3 if problem.initial is None else 0  # steps to a first estimate, held back
        for _ in range(1 if operator.linear else bent):
            z = data_step(0.01 if operator.linear else 1.0)
            weight = _precision(noise, operator(z), valid)
        span = float((z / spread).max() - (z / spread).min()) or float((z / spread).abs().max()) or 1.0
        start = self.sigma_start * span
        strength = _STRENGTH
        for sigma in map(float, np.geomspace(start, min(1.0, start), self.iterations)):
            x = data_step(strength / sigma**2) / spread
            z = spread * problem.tensor(denoiser.denoise(x.cpu().numpy(), sigma))
            mean = operator(z)
            weight = _precision(noise, mean, valid)
            misfit = (weight * (mean - y) ** 2).sum()
            yield Iterate(z, loss=misfit / 2, info={"sigma": sigma, "prior": strength})
            if counted and sigma <= _NEAR:
                strength = _stronger(strength, float(misfit / valid.sum()))


def _stronger(strength: float, misfit: float) -> float:
    """λ for the next step after a mean square misfit in units of the variance; at most a factor 2 away."""
    change = float(np.clip((_MISFIT / max(misfit, 1e-6)) ** _GAIN, 0.5, 2.0))
    return min(max(strength * change, _WEAKEST), _STRONGEST)


def _valid_data(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    """The data, zero under the mask, where they need not even be numbers; and the mask as numbers."""
    y = problem.data
    if problem.mask is None:
        return y, torch.ones_like(y)
    valid = problem.tensor(problem.mask).expand(y.shape)
    return torch.where(valid > 0, y, 0), valid


def _spread(operator: Operator, weight: torch.Tensor, x: torch.Tensor, channels: bool) -> torch.Tensor:
    """Noise level of the unregularised estimate: one number, or one for each map of the object."""
    if channels:
        mixing = response(operator, torch.zeros_like(x)).double()
        covariance = torch.linalg.inv(mixing.mT @ mixing)
        return covariance.diagonal().sqrt().to(x)[:, None, None]
    forward, backward = derivative(operator, x)
    information = float(backward(weight * forward(torch.ones_like(x))).median())
    return torch.tensor(max(information, 1e-30) ** -0.5, dtype=x.dtype, device=x.device)


def _precision(noise: Noise | None, mean: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Inverse variance of the valid data, taken from the model: the variances of the noisy counts
    themselves would bias the object downwards. An empty pixel is not infinitely sure.
    """
    if noise is None:
        return valid
    level = noise.variance(mean.clamp(min=0))
    return valid / level.clamp(min=float(level.mean()) * 1e-3) if level.any() else valid
