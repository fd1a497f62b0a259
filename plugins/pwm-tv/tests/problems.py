"""Small problems that the tests of this package share."""

import numpy as np
import torch

from pwm_core import Problem
from pwm_core.operator import Operator
from pwm_core.primitives import Convolve, Detect
from pwm_core.settings import param


class Matrix(Operator):
    """Mixes the first axis of the object: spectra (energy, component) times maps (component, y, x)."""

    matrix: np.ndarray

    def apply(self, x):
        return torch.tensordot(torch.as_tensor(self.matrix).to(x), x, dims=1)


class Whitened(Matrix):
    """Counts that reduce to as many maps as there are components, with the noise of the mean spectrum."""

    def noise(self, theta=None):
        from pwm_core.noise import Poisson

        return Poisson()

    def reduce(self, y, mask=None):
        weighted = (self.matrix / np.maximum(y.mean((1, 2)), 0.1)[:, None]).T
        factor = np.linalg.cholesky(weighted @ self.matrix)
        z = np.tensordot(np.linalg.solve(factor, weighted), y, 1)
        return z, Detect(mode="linear", statistics="gaussian", readout=1.0) @ Matrix(matrix=factor.T)


class Weigh(Operator):
    """Each pixel times a number of its own."""

    factor: np.ndarray

    def apply(self, x):
        return torch.as_tensor(self.factor).to(x) * x


class Absorb(Operator):
    """Transmitted quanta, I₀·exp(−x)."""

    linear = False
    quanta: float = param(100.0, low=0.0, doc="quanta without the object")

    def apply(self, x, quanta):
        return quanta * torch.exp(-x)


class Still(Operator):
    """The object itself, with white noise of a known size."""

    sigma: float = 1.0

    def apply(self, x):
        return 1.0 * x

    def noise(self, theta=None):
        from pwm_core.noise import Gaussian

        return Gaussian(sigma=self.sigma)


def counted(operator, readout=0.0):
    """The operator before a detector that counts quanta."""
    return Detect(name="detector", mode="linear", readout=readout) @ operator


def blur(sigma=1.2):
    return Convolve(name="psf", sigma=sigma)


def posed(operator, x, seed=0, dtype="float64", **options):
    """The problem of finding ``x`` from one noisy measurement."""
    y = operator.sample(np.asarray(x, dtype), np.random.default_rng(seed))
    return Problem(y=y, operator=operator, modality="test", shape=x.shape, dtype=dtype, **options)


def blocks(shape=(32, 32), levels=(1.0, 3.0, 6.0)):
    """A background with two overlapping rectangles."""
    x = np.full(shape, levels[0])
    n, m = shape
    x[n // 5 : n // 2, m // 5 : m // 2] = levels[1]
    x[n // 3 : 4 * n // 5, m // 3 : 4 * m // 5] = levels[2]
    return x


def spectra(energies=64):
    """Four overlapping lines on a background, with sensitivities that differ by 10⁴ (energy, component)."""
    e = np.arange(energies)
    lines = [np.exp(-0.5 * ((e - c) / 3) ** 2) + 0.02 for c in (15, 21, 40, 46)]
    return np.stack(lines, 1) * np.array([1.0, 1e-2, 1e2, 1e-1])


def maps(size=12, seed=0):
    """Maps (component, y, x) of patches that give comparable counts with :func:`spectra`."""
    values = np.random.default_rng(seed).uniform(0.2, 1, (4, 3, 3))
    patches = np.kron(values, np.ones((size // 3, size // 3)))
    return patches * np.array([20.0, 2000.0, 0.2, 200.0])[:, None, None]
