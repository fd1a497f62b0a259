"""The reduced maps: what they keep of the data, and that their noise is white."""

import numpy as np
import pytest
from pwm_spectroscopy.assembly import operator_for
from pwm_spectroscopy.instruments import EDXInstrument, XRFInstrument
from pwm_spectroscopy.reduction import whitening
from scipy.ndimage import gaussian_filter1d

from pwm_core.errors import BadValue
from pwm_core.noise import Gaussian

SIDE = 24


@pytest.fixture(scope="module")
def operator():
    return operator_for(
        ("Ti", "Ba", "Fe", "As", "Pb", "matrix"),
        XRFInstrument(photons=1e9, spot_size=0.0),
        channels=512,
        gain=0.04,
    )


def flat(operator, amounts=(1.0, 2.0, 1.0, 0.3, 0.5, 1.0)):
    return np.broadcast_to(np.array(amounts)[:, None, None], (len(amounts), SIDE, SIDE)).copy()


def test_noise_is_white_and_of_unit_variance(operator):
    x = flat(operator)
    rng = np.random.default_rng(0)
    z, reduced = operator.reduce(operator.sample(x, rng))
    assert z.shape == x.shape
    assert isinstance(reduced.noise(), Gaussian)
    assert reduced.noise().sigma == 1.0
    noise = (z - reduced(x)).reshape(len(x), -1)
    n = noise.shape[1]
    assert abs(noise.mean(1)).max() < 4 / np.sqrt(n)
    covariance = np.cov(noise)
    np.testing.assert_allclose(np.diag(covariance), 1, atol=5 * np.sqrt(2 / n))
    assert abs(covariance - np.diag(np.diag(covariance))).max() < 5 / np.sqrt(n)


def test_noise_of_an_uneven_field_is_of_unit_variance_in_its_brighter_part_and_smaller_elsewhere(operator):
    x = flat(operator) * np.linspace(0.05, 2.0, SIDE)[None, None]
    rng = np.random.default_rng(1)
    noises = []
    for _ in range(8):
        z, reduced = operator.reduce(operator.sample(x, rng))
        noises.append(z - reduced(x))
    noise = np.array(noises)  # repetition, component, y, x
    assert noise[..., -9:].var() == pytest.approx(1, abs=0.06)
    assert noise[..., :4].var() == pytest.approx(0.17, abs=0.03)  # 0.05 … 0.30 over the mean, 1.02


def test_least_squares_of_the_maps_is_that_of_the_cube():
    """Without blur each pixel on its own: x̂ = (GᵀWG)⁻¹GᵀWy, whatever its noise level is."""
    h = operator_for(("O", "Ti", "V", "Ba"), EDXInstrument(probe_size=0.0), channels=512, gain=0.02)
    x = np.random.default_rng(2).random((4, 12, 12)) * 10
    y = h.sample(x, np.random.default_rng(3))
    z, reduced = h.reduce(y)
    g = h.columns()
    mixing, response = reduced.node("mixing").matrix, reduced.node("reduced").response
    estimate = np.linalg.solve(mixing, (z / response).reshape(4, -1))
    smooth = gaussian_filter1d(y.mean((1, 2)), 0.2 * 0.130 / 0.02)
    w = 1 / np.maximum(smooth, 1e-3 * smooth.mean())
    wls = np.linalg.solve(g.T @ (g * w[:, None]), (g.T * w) @ y.reshape(512, -1))
    np.testing.assert_allclose(estimate, wls, rtol=1e-6, atol=1e-6)


def test_the_reduced_operator_blurs_like_the_full_one(operator):
    sharp = np.zeros((6, SIDE, SIDE))
    sharp[:, 12, 12] = 50.0
    blurred = operator.at({"beam.spot_size": 1.3})
    z, reduced = blurred.reduce(blurred(sharp + 1.0))
    np.testing.assert_allclose(z, reduced(sharp + 1.0), rtol=1e-6)


def test_a_separable_mask_is_honoured_and_another_is_declined(operator):
    x = flat(operator)
    y = operator.sample(x, np.random.default_rng(4))
    mask = np.ones(y.shape, bool)
    mask[:40] = False
    mask[:, :3] = False
    spoiled = np.where(mask, y, 1e9)
    z, reduced = operator.reduce(spoiled, mask)
    noise = (z - reduced(x))[:, 3:]
    assert noise.var() == pytest.approx(1, abs=0.1)
    assert not z[:, :3].any()
    assert not reduced(x)[:, :3].any()
    mask[100, 10, 10] = False
    assert operator.reduce(y, mask) is None


def test_reduction_is_exact_in_single_precision_too(operator):
    y = operator.sample(flat(operator).astype(np.float32), np.random.default_rng(5))
    z, _ = operator.reduce(y)
    double, _ = operator.reduce(y.astype(np.float64))
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, double, rtol=1e-4, atol=1e-3)


def test_spectra_that_cannot_be_told_apart_are_refused(operator):
    g = operator.columns()
    with pytest.raises(BadValue, match="not independent"):
        whitening(np.concatenate([g, g[:, :1]], axis=1), np.ones(len(g)))
    with pytest.raises(BadValue, match="no counts"):
        operator.reduce(np.zeros((512, 4, 4)))


def test_whitening_is_the_cholesky_factor_of_the_fisher_matrix(operator):
    g, w = operator.columns(), np.linspace(1, 2, 512)
    factor, whitener = whitening(g, w)
    fisher = g.T @ (w[:, None] * g)
    np.testing.assert_allclose(factor @ factor.T, fisher, rtol=1e-9, atol=1e-12 * fisher.max())
    np.testing.assert_allclose(whitener @ g, factor.T, rtol=1e-7, atol=1e-9 * abs(factor).max())
