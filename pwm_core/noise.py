"""Noise models of detectors: what lies between the mean of the data and a measurement."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from .settings import Settings, param


@runtime_checkable
class Noise(Protocol):
    """How measured values scatter about their mean. All methods work elementwise on any shape."""

    def sample(self, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a measurement with this mean; the result has the mean's shape and dtype."""
        ...

    def nll(self, y: Any, mean: Any) -> Any:
        """Negative log-likelihood of ``y`` summed over all elements, up to a constant in ``mean``.

        Tensors give a differentiable tensor, NumPy arrays a float.
        """
        ...

    def variance(self, mean: Any) -> Any:
        """Variance of each element, in the square of the data's unit."""
        ...


class Gaussian(Settings):
    """Additive white Gaussian noise of standard deviation ``sigma``, in complex data that of each part."""

    sigma: float = param(1.0, low=0.0, unit="counts", symbol="σ", doc="standard deviation")

    def sample(self, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        error = rng.standard_normal(mean.shape)
        if np.iscomplexobj(mean):
            error = error + 1j * rng.standard_normal(mean.shape)
        return (mean + self.sigma * error).astype(mean.dtype)

    def nll(self, y: Any, mean: Any) -> Any:
        return _number((abs(mean - _like(y, mean)) ** 2).sum() / (2 * max(self.sigma, 1e-30) ** 2), mean)

    def variance(self, mean: Any) -> Any:
        return 0 * abs(mean) + self.sigma**2


class Poisson(Settings):
    """Counting noise of quanta, read out as ``gain`` counts a quantum with Gaussian ``readout`` noise.

    y = gain · Poisson(mean / gain) + N(0, readout²), so variance = gain · mean + readout². The
    likelihood with readout noise is that of the shifted Poisson variable y/gain + (readout/gain)²
    (Snyder, Hammoud & White 1993, doi:10.1364/JOSAA.10.001014), exact in its first two moments.
    """

    gain: float = param(1.0, low=1e-12, unit="counts/quantum", symbol="g", doc="counts per quantum")
    readout: float = param(0.0, low=0.0, unit="counts", symbol="σ", doc="rms of the electronic noise")

    def sample(self, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y = self.gain * rng.poisson(np.maximum(mean, 0).astype(np.float64) / self.gain)
        if self.readout:
            y = y + self.readout * rng.standard_normal(mean.shape)
        return y.astype(mean.dtype)

    def nll(self, y: Any, mean: Any) -> Any:
        shift = (self.readout / self.gain) ** 2
        expected = mean / self.gain + shift
        counted = _like(y, mean) / self.gain + shift
        # where nothing is expected, or less than nothing, the logarithm stays finite
        return _number((expected - counted.clip(0) * _log(expected.clip(1e-12))).sum(), mean)

    def variance(self, mean: Any) -> Any:
        return self.gain * mean + self.readout**2


def _like(y: Any, mean: Any) -> Any:
    """``y`` as the same kind of array as ``mean``."""
    if isinstance(mean, np.ndarray):
        return np.asarray(y, dtype=mean.dtype)
    return mean.new_tensor(y) if isinstance(y, (np.ndarray, float, int)) else y.to(mean)


def _log(a: Any) -> Any:
    return np.log(a) if isinstance(a, np.ndarray) else a.log()


def _number(total: Any, mean: Any) -> Any:
    return float(total) if isinstance(mean, np.ndarray) else total
