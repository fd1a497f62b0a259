"""Noise models: samples, likelihoods and their limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pwm_core import Gaussian, Noise, Poisson
from pwm_core.errors import BadValue

MODELS = {
    "gaussian": Gaussian(sigma=2.5),
    "poisson": Poisson(),
    "gain": Poisson(gain=3.0),
    "mixed": Poisson(gain=0.7, readout=1.9),
}
every_model = pytest.mark.parametrize("noise", MODELS.values(), ids=MODELS)


@every_model
@pytest.mark.parametrize("level", [0.5, 20.0, 3000.0])
def test_samples_have_the_stated_mean_and_variance(noise: Noise, level: float):
    mean = np.full(200_000, level)
    y = noise.sample(mean, np.random.default_rng(0))
    variance = float(np.asarray(noise.variance(mean)).mean())
    assert y.mean() == pytest.approx(level, abs=5 * np.sqrt(variance / mean.size))
    spread = np.sqrt((((y - y.mean()) ** 2 - y.var()) ** 2).mean() / mean.size)  # of the sample variance
    assert y.var() == pytest.approx(variance, abs=5 * spread)


@every_model
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_keep_shape_and_precision_and_follow_the_seed(noise: Noise, dtype: type):
    mean = np.full((3, 4), 9.0, dtype)
    a, b = (noise.sample(mean, np.random.default_rng(1)) for _ in range(2))
    assert a.shape == (3, 4)
    assert a.dtype == dtype
    assert np.array_equal(a, b)
    assert not np.array_equal(a, noise.sample(mean, np.random.default_rng(2)))


@every_model
@settings(max_examples=40, deadline=None)
@given(y=st.floats(0.5, 500), factor=st.floats(0.5, 2).filter(lambda f: abs(f - 1) > 1e-3))
def test_likelihood_is_greatest_where_the_mean_is_the_measurement(noise: Noise, y: float, factor: float):
    measured = np.array([y])
    assert noise.nll(measured, measured) < noise.nll(measured, factor * measured)


@every_model
def test_derivative_of_the_likelihood_is_that_of_finite_differences(noise: Noise):
    rng = np.random.default_rng(2)
    mean = rng.uniform(1, 30, (4, 5))
    y, h = noise.sample(mean, rng), 1e-6
    t = torch.from_numpy(mean).requires_grad_()
    (slope,) = torch.autograd.grad(noise.nll(y, t), t)
    for i in np.ndindex(mean.shape):
        step = np.zeros_like(mean)
        step[i] = h
        change = (noise.nll(y, mean + step) - noise.nll(y, mean - step)) / (2 * h)
        assert float(slope[i]) == pytest.approx(change, rel=1e-5, abs=1e-6)


@every_model
def test_expected_slope_of_the_likelihood_vanishes_at_the_true_mean(noise: Noise):
    mean = np.full(200_000, 12.0)
    y = noise.sample(mean, np.random.default_rng(3))
    t = torch.from_numpy(mean).requires_grad_()
    (slope,) = torch.autograd.grad(noise.nll(y, t), t)
    assert float(slope.mean()) == pytest.approx(0, abs=5 * float(slope.std()) / np.sqrt(mean.size))


@every_model
def test_arrays_give_a_number_and_tensors_a_tensor_of_the_same_value(noise: Noise):
    mean, y = np.linspace(1, 9, 6), np.linspace(2, 8, 6)
    number = noise.nll(y, mean)
    assert isinstance(number, float)
    for measured in (y, torch.from_numpy(y)):
        tensor = noise.nll(measured, torch.from_numpy(mean))
        assert isinstance(tensor, torch.Tensor)
        assert float(tensor) == pytest.approx(number, rel=1e-12)
    np.testing.assert_allclose(noise.variance(torch.from_numpy(mean)).numpy(), noise.variance(mean))


def test_gaussian_likelihood_is_that_of_scipy_up_to_a_constant():
    rng = np.random.default_rng(4)
    y, a, b = rng.normal(size=(3, 10))
    expected = -stats.norm.logpdf(y, a, 2.5).sum() + stats.norm.logpdf(y, b, 2.5).sum()
    assert Gaussian(sigma=2.5).nll(y, a) - Gaussian(sigma=2.5).nll(y, b) == pytest.approx(expected)


def test_poisson_likelihood_is_that_of_scipy_up_to_a_constant():
    rng = np.random.default_rng(5)
    a, b = rng.uniform(1, 20, (2, 10))
    quanta = rng.poisson(a)
    expected = -stats.poisson.logpmf(quanta, a).sum() + stats.poisson.logpmf(quanta, b).sum()
    for gain in (1.0, 2.5):
        noise = Poisson(gain=gain)
        assert noise.nll(gain * quanta, gain * a) - noise.nll(gain * quanta, gain * b) == pytest.approx(
            expected
        )


@pytest.mark.parametrize("readout", [0.0, 2.0])
def test_a_mean_of_zero_is_finite_in_value_sample_and_gradient(readout: float):
    noise, zero = Poisson(readout=readout), np.zeros(5)
    t = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    assert np.isfinite(noise.nll(zero, zero))
    assert np.isfinite(noise.nll(np.ones(5), zero))
    (slope,) = torch.autograd.grad(noise.nll(np.ones(5), t), t)
    assert torch.isfinite(slope).all()
    assert noise.sample(zero, np.random.default_rng(0)).any() == (readout > 0)


def test_a_mean_that_physics_excludes_is_sampled_as_zero():
    assert not Poisson().sample(np.array([-3.0, -1e-9]), np.random.default_rng(0)).any()


def test_strong_readout_makes_the_mixed_likelihood_gaussian():
    noise, y, mean = Poisson(readout=300.0), np.array([40.0, 90.0]), np.array([55.0, 70.0])
    mixed = noise.nll(y, mean) - noise.nll(y, y)
    assert mixed == pytest.approx(Gaussian(sigma=300.0).nll(y, mean), rel=5e-3)


def test_gain_scales_counts_and_leaves_the_quanta():
    quanta = Poisson().sample(np.full(100, 7.0), np.random.default_rng(0))
    counts = Poisson(gain=4.0).sample(np.full(100, 28.0), np.random.default_rng(0))
    np.testing.assert_allclose(counts, 4 * quanta)


def test_complex_gaussian_noise_falls_on_both_parts_and_its_likelihood_is_real():
    noise, mean = Gaussian(sigma=2.0), np.zeros(100_000, complex)
    y = noise.sample(mean, np.random.default_rng(0))
    assert y.real.std() == pytest.approx(2, rel=0.02)
    assert y.imag.std() == pytest.approx(2, rel=0.02)
    assert noise.nll(y, mean) == pytest.approx((np.abs(y) ** 2).sum() / 8)
    assert noise.variance(mean)[0] == 4


def test_negative_widths_and_vanishing_gain_are_refused():
    for build in (lambda: Gaussian(sigma=-1.0), lambda: Poisson(readout=-1.0), lambda: Poisson(gain=0.0)):
        with pytest.raises(BadValue):
            build()
