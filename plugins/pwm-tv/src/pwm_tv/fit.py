"""How well an object explains the data: misfit, its slope, and the precision of the data."""

from __future__ import annotations

from typing import Literal

import torch

from pwm_core.noise import Gaussian, Noise, Poisson
from pwm_core.problem import Problem

Loss = Literal["likelihood", "poisson", "least-squares"]

_DARK = 1e-3  # of the mean: below it a Poisson misfit goes on as a parabola, and a variance is not trusted


def condensed(problem: Problem, loss: Loss) -> Problem:
    """The problem with the data reduced to maps of unit noise, where the operator can and ``loss`` lets it.

    Their least squares are those of the data themselves, weighted by their noise.
    """
    return problem.reduced() if loss == "likelihood" else problem


class Fit:
    """The misfit of a problem's valid data, by the noise that ``loss`` names.

    ``likelihood``: the noise that the operator states; plain least squares if it states none.
    ``poisson``: counting noise, that of the operator if it has one. ``least-squares``: ½‖y − H(x)‖².
    All are counted from the best that any mean could do, so that a perfect fit has the misfit zero.
    """

    def __init__(self, problem: Problem, loss: Loss = "likelihood") -> None:
        self.operator = problem.operator
        self.valid = None if problem.mask is None else problem.tensor(problem.mask) > 0
        data = problem.data
        # what lies under a mask need not be a number
        self.data = data if self.valid is None else torch.where(self.valid, data, 0)
        self.count = data.numel() if self.valid is None else int(self.valid.expand(data.shape).sum())
        self.stated = problem.operator.noise()
        self.noise = _noise_for(loss, self.stated)
        if isinstance(self.noise, Poisson):
            shift = (self.noise.readout / self.noise.gain) ** 2
            self.counts = (self.data / self.noise.gain + shift).clamp(min=0)
            self.dark = max(_DARK * float(self.counts.mean()), 1e-12)

    def at(self, x: torch.Tensor) -> Point:
        """The misfit at ``x``, with the graph that its gradient needs."""
        return Point(self, x)

    def misfit(self, mean: torch.Tensor) -> float:
        """Negative log-likelihood of the data above its smallest value."""
        mean = self._masked(mean.detach())
        if isinstance(self.noise, Gaussian):
            return _total((mean - self.data).abs() ** 2) / (2 * _sigma(self.noise) ** 2)
        if isinstance(self.noise, Poisson):
            return self._poisson_misfit(self._expected(mean))
        return float(self.noise.nll(self.data, mean) - self.noise.nll(self.data, self.data))

    def slope(self, mean: torch.Tensor) -> torch.Tensor:
        """Derivative of the misfit to each mean."""
        mean = self._masked(mean.detach())
        if isinstance(self.noise, Gaussian):
            return (mean - self.data) / _sigma(self.noise) ** 2
        if isinstance(self.noise, Poisson):
            return self._poisson_slope(self._expected(mean)) / self.noise.gain
        with torch.enable_grad():
            leaf = mean.requires_grad_()
            return torch.autograd.grad(self.noise.nll(self.data, leaf), leaf)[0]

    def precision(self, mean: torch.Tensor) -> torch.Tensor:
        """Inverse variance of each datum about this mean, zero under the mask.

        A mean below a thousandth of the average has no more precision than that: an empty pixel is
        not infinitely sure.
        """
        if isinstance(self.noise, Gaussian):
            inverse = torch.full_like(self.data.real, _sigma(self.noise) ** -2)
        else:
            inverse = 1 / _clamped(self.noise.variance(self._masked(mean.detach()).clamp(min=0)))
        return inverse if self.valid is None else torch.where(self.valid, inverse, 0)

    def curvature(self, mean: torch.Tensor) -> torch.Tensor:
        """A bound on the second derivative of the misfit to each mean, near this mean."""
        expected = self.precision(mean)
        if not isinstance(self.noise, Poisson):
            return expected
        seen = self.counts / (self.noise.gain * self._expected(mean.detach()).clamp(min=self.dark)) ** 2
        return torch.where(expected > 0, torch.maximum(expected, seen), 0)

    def chi_square(self, mean: torch.Tensor) -> float | None:
        """Pearson's χ² for each valid datum, 1 on average at the truth; None if no noise is stated."""
        if self.noiseless:
            return None
        parts = 2 if mean.is_complex() else 1
        return self.distance(self.data, mean, self.variance(mean)) / (parts * self.count)

    @property
    def noiseless(self) -> bool:
        """Whether the operator states no noise."""
        return self.stated is None or (isinstance(self.stated, Gaussian) and self.stated.sigma == 0)

    def variance(self, mean: torch.Tensor) -> torch.Tensor:
        """Variance of each datum about this mean by the stated noise, nowhere next to nothing."""
        assert self.stated is not None
        mean = self._masked(mean.detach())
        return _clamped(self.stated.variance(mean.clamp(min=0) if isinstance(self.stated, Poisson) else mean))

    def distance(self, data: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> float:
        """Σ |data − mean|²/variance over what is valid."""
        return _total(self._masked((data - mean.detach()).abs() ** 2 / variance))

    @property
    def reweighted(self) -> bool:
        """Whether the precision of a datum depends on its mean."""
        return not isinstance(self.noise, Gaussian)

    def _masked(self, mean: torch.Tensor) -> torch.Tensor:
        return mean if self.valid is None else torch.where(self.valid, mean, 0)

    def _expected(self, mean: torch.Tensor) -> torch.Tensor:
        """Expected counts of the shifted Poisson variable."""
        assert isinstance(self.noise, Poisson)
        return mean / self.noise.gain + (self.noise.readout / self.noise.gain) ** 2

    def _poisson_misfit(self, expected: torch.Tensor) -> float:
        """Σ e − c + c·log(c/e), continued below ``dark`` by a parabola, so that it is finite everywhere."""
        c, e = self.counts, expected.clamp(min=self.dark)
        some = torch.where(c > 0, c, 1)
        # c·log(e/c) without cancellation where the two are close
        near = torch.log1p(((e - some) / some).clamp(min=-0.5))
        logarithm = torch.where(e < 0.5 * some, torch.log(e / some), near)
        below = expected - e
        parabola = below * (1 - c / self.dark + 0.5 * below * (c + self.dark) / self.dark**2)
        parts = (e - c) - c * logarithm + parabola
        return _total(parts if self.valid is None else torch.where(self.valid, parts, 0))

    def _poisson_slope(self, expected: torch.Tensor) -> torch.Tensor:
        c, e = self.counts, expected.clamp(min=self.dark)
        slope = 1 - c / e + (expected - e) * (c + self.dark) / self.dark**2
        return slope if self.valid is None else torch.where(self.valid, slope, 0)


class Point:
    """An object with its data, its misfit, and what can be pulled back from the data to the object."""

    def __init__(self, fit: Fit, x: torch.Tensor) -> None:
        self.fit = fit
        self._leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            self._mean = fit.operator(self._leaf)
        self.loss = fit.misfit(self._mean)

    @property
    def x(self) -> torch.Tensor:
        return self._leaf.detach()

    @property
    def mean(self) -> torch.Tensor:
        """The noiseless data H(x)."""
        return self._mean.detach()

    def pull(self, data: torch.Tensor) -> torch.Tensor:
        """Jᴴ of something in the shape of the data, J being the derivative of H at x."""
        return torch.autograd.grad(self._mean, self._leaf, data.to(self._mean.dtype), retain_graph=True)[0]

    def gradient(self) -> torch.Tensor:
        """The gradient of the misfit to x."""
        return self.pull(self.fit.slope(self._mean))


def _noise_for(loss: Loss, stated: Noise | None) -> Noise:
    if loss == "poisson":
        return stated if isinstance(stated, Poisson) else Poisson()
    return Gaussian() if loss == "least-squares" or stated is None else stated


def _sigma(noise: Gaussian) -> float:
    return noise.sigma or 1.0  # data without noise are fitted by plain least squares


def _clamped(variance: torch.Tensor) -> torch.Tensor:
    return variance.clamp(min=max(_DARK * float(variance.mean()), 1e-30))


def _total(parts: torch.Tensor) -> float:
    return float(parts.sum(dtype=torch.float64))
