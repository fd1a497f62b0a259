"""Weighted least squares of many spectra with the same columns, as one matrix product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from pwm_core.errors import BadValue
from pwm_core.noise import Noise
from pwm_core.problem import Problem

from .cube import Cube
from .nonnegative import nonnegative
from .spectra import columns

Weights = Literal["mean", "pixel", "none"]

_FLOOR = 1e-3  # of the mean variance: an empty channel is not infinitely sure
_ROUNDS = 2  # of refining weights by the fit
_LEAST = 0.1  # of the mean spectrum, at a pixel's total: no channel of it is expected to be darker
_PART = 4096  # pixels at a time


@dataclass(frozen=True)
class LinearFit:
    """What all pixels share: columns G (channel, component), weights (channel,), and their products.

    ``extract`` (component, channel) is (GᵀWG)⁻¹GᵀW, ``normal`` GᵀWG, ``spectrum`` (channel,) the mean
    of the data. All in double precision.
    """

    cube: Cube
    noise: Noise | None
    columns: np.ndarray
    weights: np.ndarray
    normal: np.ndarray
    extract: np.ndarray
    spectrum: np.ndarray

    @classmethod
    def of(cls, problem: Problem, weighted: bool = True) -> LinearFit:
        """Weights are one over the variance of the mean spectrum, or equal."""
        cube, g, noise = Cube(problem), columns(problem), problem.operator.noise()
        spectrum = cube.mean()
        valid = cube.channels.astype(float)
        weights = _mean_weights(g, spectrum, noise, valid) if weighted else valid
        normal, extract = _solved(g, weights)
        return cls(cube, noise, g, weights, normal, extract, spectrum)

    def amounts(self) -> torch.Tensor:
        """x̂ = (GᵀWG)⁻¹GᵀW y of every pixel, (component, pixel)."""
        return self.cube.product(self.extract)

    def nonnegative(self) -> torch.Tensor:
        """argmin over x ≥ 0 of (y − Gx)ᵀW(y − Gx) of every pixel, (component, pixel)."""
        gradient = self.cube.product((self.columns * self.weights[:, None]).T)
        return nonnegative(self.normal, gradient.double().T.numpy()).T.to(self.cube.dtype)

    def mean_covariance(self) -> np.ndarray:
        """Of the amounts in a pixel with the mean spectrum, (component, component)."""
        return (self.extract * _variance(self.noise, self.spectrum)) @ self.extract.T

    def covariance(self) -> torch.Tensor:
        """Of the amounts in each pixel, from its own counts: (component, component, pixel).

        C = M diag(σ²) Mᵀ, M being the extraction and σ² the variance of the data. One count more than
        there is, spread like the mean spectrum, keeps empty pixels from seeming certain.
        """
        k = len(self.extract)
        rows, columns_ = np.triu_indices(k)
        one = torch.from_numpy(self.spectrum / max(self.spectrum.sum(), 1e-300)).to(self.cube.dtype)

        def variance(slab: torch.Tensor, at: slice | np.ndarray) -> torch.Tensor:
            return _variance(self.noise, (slab + one[at, None]).clamp(min=0))

        upper = self.cube.product(self.extract[rows] * self.extract[columns_], variance)
        full = torch.empty(k, k, upper.shape[1], dtype=upper.dtype)
        full[rows, columns_] = full[columns_, rows] = upper
        return full


def pixel_fit(fit: LinearFit, free: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """With weights from each pixel's own fit: amounts (component, pixel), variances of the same shape.

    Fisher scoring of Poisson (or whatever) data started from the fit with common weights; a pixel that
    has a mask of its own is fitted where it is valid. ``free`` amounts may be negative.
    """
    k = fit.columns.shape[1]
    amounts = torch.zeros(k, fit.cube.shape[1], dtype=fit.cube.dtype)
    variances = torch.zeros_like(amounts)
    for part, spectra in fit.cube.parts(_PART):
        valid = fit.cube.mask(part)
        x, variance = _scored(fit, spectra.double().numpy(), valid, free)
        inside = torch.from_numpy(valid.any(0))
        amounts[:, part] = torch.where(inside, x.T.to(amounts.dtype), 0)
        variances[:, part] = torch.where(inside, variance.T.to(amounts.dtype), 0)
    return amounts, variances


def _scored(
    fit: LinearFit, spectra: np.ndarray, valid: np.ndarray, free: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    g, k = fit.columns, fit.columns.shape[1]
    rows, columns_ = np.triu_indices(k)
    pairs = (g[:, rows] * g[:, columns_]).T
    share = valid.T @ fit.spectrum
    level = spectra.sum(0) / np.maximum(share, 1e-300)
    least = _LEAST * (fit.spectrum[:, None] * level + _FLOOR * fit.spectrum.mean())
    expected = fit.spectrum[:, None] * np.maximum(level, _FLOOR)
    for _ in range(_ROUNDS + 1):
        w = valid / _variance(fit.noise, np.maximum(expected, least))
        upper = pairs @ w
        normal = np.empty((spectra.shape[1], k, k))
        normal[:, rows, columns_] = normal[:, columns_, rows] = upper.T
        normal[~valid.any(0)] = np.eye(k)
        gradient = (g.T @ (w * spectra)).T
        x = nonnegative(normal, gradient) if not free else torch.from_numpy(_solve(normal, gradient))
        expected = g @ np.maximum(x.numpy().T, 0)
    inverse = np.linalg.inv(normal)
    return x, torch.from_numpy(np.ascontiguousarray(np.diagonal(inverse, axis1=1, axis2=2)))


def _solve(normal: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return np.linalg.solve(normal, gradient[..., None])[..., 0]


def _mean_weights(g: np.ndarray, spectrum: np.ndarray, noise: Noise | None, valid: np.ndarray) -> np.ndarray:
    """One over the variance of the expected mean spectrum, refined by fitting it.

    What the components do not explain is not known better for that: the mean spectrum itself is the
    least that is expected.
    """
    expected = np.maximum(spectrum, 0.0)
    if noise is not None and not expected.any():
        raise BadValue("the spectrum image has no counts in its valid channels and pixels")
    for _ in range(_ROUNDS):
        _, extract = _solved(g, _inverse(_variance(noise, expected), valid))
        expected = np.maximum(g @ (extract @ spectrum), np.maximum(spectrum, 0.0))
    return _inverse(_variance(noise, expected), valid)


def _inverse(variance: np.ndarray, valid: np.ndarray) -> np.ndarray:
    inside = variance[valid > 0]
    floor = _FLOOR * inside.mean() if len(inside) else 0.0
    return valid / np.maximum(variance, floor or 1.0)


def _variance(noise: Noise | None, mean: Any) -> Any:
    return 0 * mean + 1 if noise is None else noise.variance(mean)


def _solved(g: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """GᵀWG and (GᵀWG)⁻¹GᵀW. BadValue if the spectra of two components cannot be told apart."""
    weighted = (g * weights[:, None]).T
    normal = weighted @ g
    size = np.sqrt(np.diag(normal))
    if not size.all() or np.linalg.cond(normal / np.outer(size, size)) > 1e12:
        raise BadValue(
            "the spectra of the components are not independent in the valid channels; leave out an element, "
            "or a free continuum"
        )
    unit = weighted / size[:, None]
    return normal, np.linalg.solve(normal / np.outer(size, size), unit) / size[:, None]
