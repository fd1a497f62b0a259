"""The likelihood against finite differences, the optimiser against a known minimum, and where they end."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from pwm_ptychography.engine import make_engine
from pwm_ptychography.modality import Ptychography
from pwm_ptychography.operator import diffraction_of
from pwm_sdr.lbfgs import minimise
from pwm_sdr.likelihood import Likelihood, Positions
from pwm_sdr.maximum import PoissonML, PtychoAuto

from pwm_core import run


def noisy(coherent=True, **settings):
    modality = Ptychography(window=32, detector_pixel=300, side=8).replace(**settings)
    return modality.simulate("chart", theta={"probe.coherence": -10.0 if coherent else 0.0})


@pytest.mark.parametrize("poisson", [False, True])
@pytest.mark.parametrize("coherent", [True, False], ids=["one mode", "modes"])
def test_the_gradient_is_that_of_the_value(poisson, coherent):
    problem, truth = noisy(coherent)
    given = problem.replace(initial=(0.9 * truth.x + 0.1).astype(np.complex64))
    likelihood = Likelihood(make_engine(given), poisson, update_probe=True)
    _, gradient = likelihood.evaluate()
    direction = torch.randn(len(gradient), generator=torch.Generator().manual_seed(0))
    direction = 0.2 * direction / direction.norm() + gradient / gradient.norm()
    step, values = 0.02 * float(gradient.norm()) / 4, []
    for side in (step, -step):
        likelihood.move(direction, side)
        values.append(likelihood.evaluate()[0])
    slope = (values[0] - values[1]) / (2 * step)
    assert slope == pytest.approx(float(torch.dot(gradient, direction)), rel=2e-2)


def test_a_held_probe_has_no_gradient():
    problem, _ = noisy()
    likelihood = Likelihood(make_engine(problem), False, update_probe=False)
    _, gradient = likelihood.evaluate()
    assert float(gradient[likelihood.size :].abs().max()) == 0


def test_the_guess_of_the_inverse_hessian_is_symmetric_and_positive():
    problem, _ = noisy()
    likelihood = Likelihood(make_engine(problem), False, update_probe=True)
    _, gradient = likelihood.evaluate()
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(len(gradient), generator=generator) for _ in range(2))
    left, right = torch.dot(a, likelihood.inverse_hessian(b)), torch.dot(likelihood.inverse_hessian(a), b)
    assert float(left) == pytest.approx(float(right), abs=1e-3 * float(a.norm() * b.norm()))
    assert float(torch.dot(a, likelihood.inverse_hessian(a))) > 0


class Bowl:
    """½ Σ h (v − 1)², with the inverse of h known only roughly."""

    def __init__(self, curvature):
        self.curvature, self.point = curvature, torch.zeros(len(curvature))
        self.base = self.point

    def evaluate(self):
        off = self.point - 1
        return float((self.curvature * off**2).sum() / 2), self.curvature * off

    def move(self, direction, step):
        self.point = self.base + step * direction

    def settle(self):
        self.base = self.point

    def inverse_hessian(self, gradient):
        return gradient / self.curvature**0.8

    def longest(self, direction):
        return 1.0


def test_the_minimum_of_a_quadratic_is_found_and_values_never_rise():
    bowl = Bowl(torch.logspace(-2, 3, 50))
    values = [value for value, _ in zip(minimise(bowl), range(60), strict=False)]
    assert all(b <= a for a, b in pairwise(values))
    torch.testing.assert_close(bowl.point, torch.ones(50), atol=1e-2, rtol=0)


def test_the_search_ends_when_only_noise_is_left():
    problem, _ = noisy()
    result = run(PtychoAuto(iterations=3000), problem, device="cpu", threads=1)
    assert 20 < len(result.history) < 1000
    losses = [row["loss"] for row in result.history]
    assert losses[-1] <= min(losses) * (1 + 1e-6)


@pytest.mark.parametrize("kind", [PtychoAuto, PoissonML], ids=["ptycho-auto", "poisson-ml"])
def test_wrong_positions_come_nearer_to_the_true_ones(kind):
    modality = Ptychography(side=10, jitter=20.0, photons=1e7)
    problem, truth = modality.simulate("chart")
    given = problem.replace(operator=problem.operator.at({"scan.jitter": None}))
    pixel = problem.pixel_size[0]
    true = diffraction_of(problem).scan.positions + 1e-9 * truth.theta["scan.jitter"]
    result = run(kind(iterations=80, positions=True), given, device="cpu", threads=1)

    def wrong(positions):
        left = (np.asarray(positions) - true) / pixel
        return float(np.sqrt(((left - left.mean(0)) ** 2).sum(1).mean()))

    before, after = wrong(diffraction_of(given).scan.positions), wrong(result.theta["scan.positions"])
    print(f"positions: {before:.2f} px before, {after:.3f} px after refinement")
    assert after < 0.2 * before


def test_positions_keep_their_mean_free_of_the_prior():
    problem, _ = noisy()
    positions = Positions(make_engine(problem))
    positions.begin(torch.ones(positions.engine.frames, 5), 1.0)
    positions.shift(torch.full((positions.engine.frames, 2), 0.3, dtype=torch.float64))
    penalty, slope = positions.prior()
    assert penalty < 1e-12
    assert float(slope.abs().max()) < 1e-9
