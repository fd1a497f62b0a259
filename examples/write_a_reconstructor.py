"""Write a method: a generator that yields an iterate a step. Bars, limits and Ctrl-C are the driver's."""

import numpy as np

from pwm_core import Iterate, Problem, Reconstructor, param, run
from pwm_core.primitives import Convolve, Detect


class RichardsonLucy(Reconstructor):
    """Maximum likelihood for Poisson data (Richardson 1972, doi:10.1364/JOSA.62.000055; Lucy 1974)."""

    iterations: int = param(50, low=1, doc="multiplicative steps")

    def solve(self, problem, rng):
        H, y = problem.operator, problem.data
        x = problem.like + y.mean()
        weight = H.adjoint(problem.like * 0 + 1, x).clamp(min=1e-9)
        for _ in range(self.iterations):
            mean = H(x).clamp(min=1e-9)
            x = x * H.adjoint(y / mean, x) / weight
            yield Iterate(x, loss=H.noise().nll(y, mean))


H = Detect(name="camera", mode="linear") @ Convolve(name="psf", sigma=1.5)
rng = np.random.default_rng(0)
truth = np.zeros((64, 64), np.float32)
truth[rng.integers(8, 56, 40), rng.integers(8, 56, 40)] = 2000
truth += 5
problem = Problem(y=H.sample(truth, rng), operator=H, modality="microscopy", shape=truth.shape)

for method in (RichardsonLucy(iterations=2), RichardsonLucy(iterations=200)):
    result = run(method, problem, tolerance=1e-7)
    error = np.linalg.norm(result.x - truth) / np.linalg.norm(truth)
    print(result, f"relative error {error:.3f}")
