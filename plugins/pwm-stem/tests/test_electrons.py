"""Offset and gain of a detector from the noise of its image."""

import functools

import numpy as np
import pytest
from pwm_stem.electrons import Response, estimate_response
from pwm_stem.modality import STEM

from pwm_core.errors import BadFile


@functools.cache
def columns():
    problem, truth = STEM().simulate("perovskite")
    return problem.operator(truth.x).astype(float)


def recorded(dose, gain, offset, seed, readout=0.0):
    """Atomic columns with this many electrons per pixel, in grey values."""
    rng, mean = np.random.default_rng(seed), columns() * dose / columns().mean()
    return offset + gain * (rng.poisson(mean) + readout * rng.standard_normal(mean.shape))


@pytest.mark.parametrize("dose", [8.0, 30.0, 300.0])
@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (190.0, 3800.0)])
def test_gain_and_offset_are_found(dose, gain, offset):
    image = recorded(dose, gain, offset, 5)
    found = estimate_response(image)
    assert found.gain == pytest.approx(gain, rel=0.1)
    assert found.electrons(image).mean() == pytest.approx(dose, rel=0.2)


def test_electrons_have_the_variance_of_their_mean_even_with_readout_noise():
    image = recorded(40, 25.0, 500.0, 1, readout=3.0)
    noise = image - recorded(40, 25.0, 500.0, 2, readout=3.0)
    found = estimate_response(image)
    assert np.var(noise) / 2 / found.gain**2 == pytest.approx(found.electrons(image).mean(), rel=0.12)


def test_an_image_whose_noise_does_not_grow_is_refused():
    rng = np.random.default_rng(0)
    y, x = np.indices((128, 128))
    image = 100 + 30 * np.sin(y / 9) * np.sin(x / 9) + rng.normal(0, 5, y.shape)
    with pytest.raises(BadFile, match="--assume offset=0 --assume gain=1"):
        estimate_response(image, "even.ser")


def test_grey_values_and_electrons():
    assert Response(100.0, 20.0).electrons(np.array([100, 140])).tolist() == [0.0, 2.0]
