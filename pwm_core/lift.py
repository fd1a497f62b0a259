"""Two ways to make a reconstructor of any denoiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from .errors import Unsuitable
from .method import Denoiser, Iterate, Reconstructor
from .noise import Gaussian, Noise, Poisson
from .problem import Problem
from .settings import param
from .vst import stabilise, unstabilise


class EstimateThenDenoise(Reconstructor):
    """Undo the gain of the instrument, then denoise; for data on the object's own grid.

    Poisson noise is made uniform by the generalised Anscombe transform first. The operator's blur
    is not undone: that is what :class:`PlugAndPlay` does.
    """

    denoiser: Denoiser

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        if np.shape(problem.y) != tuple(problem.shape):
            raise Unsuitable(
                f"{type(self.denoiser).__name__} denoises data on the object's grid; "
                f"{problem.modality} has data {np.shape(problem.y)} for an object {tuple(problem.shape)}"
            )
        _refuse_complex(problem)
        ones = torch.ones_like(problem.like)
        gain = problem.operator(ones).cpu().numpy()  # response to a uniform object of one
        y, noise = np.asarray(problem.y, dtype=np.float64), problem.operator.noise()
        if isinstance(noise, Poisson):
            clean = unstabilise(self.denoiser.denoise(stabilise(y, noise), 1.0), noise)
        elif isinstance(noise, Gaussian):
            clean = self.denoiser.denoise(y, noise.sigma)
        else:
            raise Unsuitable(f"the operator {problem.operator} does not state its noise; a denoiser needs it")
        x = clean / np.where(np.abs(gain) > 1e-12, gain, 1.0)
        yield Iterate(x.astype(problem.dtype))


class PlugAndPlay(Reconstructor):
    """Half-quadratic splitting with a denoiser as the prior, on any linear operator.

    Each step solves (Hᵀ W H + α I) x = Hᵀ W y + α z by conjugate gradients, W being the inverse
    variance of the data and α = 0.23/σₖ², then denoises, z = D(x, σₖ), while σₖ falls geometrically
    to the noise level of the estimate: the schedule of DPIR (Zhang et al. 2021,
    doi:10.1109/TPAMI.2021.3088914).
    """

    denoiser: Denoiser
    iterations: int = param(8, low=1, doc="denoising steps")
    sigma_start: float = param(0.2, low=1e-6, high=1.0, doc="first denoising level, as a part of the range")
    cg_steps: int = param(30, low=1, doc="conjugate-gradient steps in each data step")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        operator, y = problem.operator, problem.data
        if not operator.linear:
            raise Unsuitable(f"plug-and-play needs a linear operator; {operator} is not")
        _refuse_complex(problem)
        valid = torch.ones_like(y)
        if problem.mask is not None:
            valid = valid * problem.tensor(problem.mask)
            y = torch.where(valid > 0, y, 0)  # what lies under a mask need not be a number

        def data_step(weight: torch.Tensor, alpha: float, z: torch.Tensor) -> torch.Tensor:
            def matrix(x: torch.Tensor) -> torch.Tensor:
                return operator.adjoint(weight * operator(x), x) + alpha * x

            right = operator.adjoint(weight * y, z) + alpha * z
            return _conjugate_gradients(matrix, right, z, self.cg_steps)

        # Variances come from the model: those of the noisy counts themselves would bias the object downwards.
        noise, one = operator.noise(), torch.ones_like(problem.like)
        weight = _precision(noise, torch.full_like(y, float(y.sum() / valid.sum())), valid)
        curvature = float(operator.adjoint(weight * operator(one), one).mean())
        z = data_step(weight, 0.01 * curvature, problem.start)
        span = float(z.max() - z.min()) or float(z.abs().max()) or 1.0
        start, end = self.sigma_start * span, min(curvature**-0.5, self.sigma_start * span)
        for sigma in map(float, np.geomspace(start, end, self.iterations)):
            x = data_step(weight, 0.23 / sigma**2, z).cpu().numpy()
            z = torch.as_tensor(self.denoiser.denoise(x, sigma), dtype=one.dtype, device=one.device)
            mean = operator(z)
            weight = _precision(noise, mean, valid)
            yield Iterate(z, loss=(weight * (mean - y) ** 2).sum() / 2, info={"sigma": sigma})


def _precision(noise: Noise | None, mean: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Inverse variance of the valid data; an empty pixel is not infinitely sure."""
    if noise is None:
        return valid
    level = noise.variance(mean.clamp(min=0))
    return valid / level.clamp(min=float(level.mean()) * 1e-3) if level.any() else valid


def _refuse_complex(problem: Problem) -> None:
    if problem.dtype.startswith("complex"):
        raise Unsuitable(f"a denoiser takes real images; the object of {problem.modality} is {problem.dtype}")


def _conjugate_gradients(
    matrix: Callable[[torch.Tensor], torch.Tensor], b: torch.Tensor, x: torch.Tensor, steps: int
) -> torch.Tensor:
    """Solve matrix(x) = b for a symmetric positive operator, from ``x`` (Hestenes & Stiefel 1952)."""
    r = b - matrix(x)
    p, rr = r, float((r * r).sum())
    goal = 1e-8 * float((b * b).sum())
    for _ in range(steps):
        if rr <= goal:
            break
        q = matrix(p)
        a = rr / float((p * q).sum())
        x, r = x + a * p, r - a * q
        rr, before = float((r * r).sum()), rr
        p = r + (rr / before) * p
    return x
