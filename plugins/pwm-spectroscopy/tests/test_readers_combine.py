"""Detector elements made one: misaligned axes are found, and moved photons stay Poisson counts."""

import numpy as np
import pytest
from pwm_spectroscopy.readers.combine import combined, misalignment, moved

CHANNELS = np.arange(1200.0)


def spectrum(shift=0.0, stretch=1.0, scale=1e4):
    """Peaks that channel shift + stretch·c shows where channel c does in the reference."""
    at, sigma = np.array([180.0, 310, 385, 640, 800, 1000]), 7.0
    heights = np.array([0.6, 1.0, 2.0, 0.5, 0.8, 0.7])
    return scale * (np.exp(-(((CHANNELS[:, None] - shift - stretch * at) / sigma) ** 2) / 2) @ heights + 0.01)


@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (3.0, 1.0), (-5.0, 0.99), (2.0, 1.012)])
def test_misalignment_is_found(shift, stretch):
    rng = np.random.default_rng(3)
    found = misalignment(rng.poisson(0.5 * spectrum(shift, stretch)), rng.poisson(spectrum()))
    assert found[0] == pytest.approx(shift, abs=0.3)
    assert found[0] + 1000 * found[1] == pytest.approx(shift + 1000 * stretch, abs=0.3)


def test_moving_is_the_inverse_of_the_misalignment():
    mean = spectrum(2.5, 1.01)
    counts = np.random.default_rng(4).poisson(mean).astype(float)[:, None, None]
    back = moved(counts, 2.5, 1.01, np.random.default_rng(5))[:, 0, 0]
    inside = slice(20, 1150)
    expected = spectrum()[inside]
    assert np.abs(np.sum(back[inside]) / np.sum(expected) - 1.01) < 0.02  # wider channels hold more
    assert np.corrcoef(back[inside], expected)[0, 1] > 0.999


def test_moved_counts_are_poisson():
    counts = np.random.default_rng(6).poisson(5.0, (300, 40, 40)).astype(np.float32)
    back = moved(counts, 0.37, 1.003, np.random.default_rng(7))[5:290]
    ratio = back.var() / back.mean()
    neighbours = np.corrcoef(back[1:].ravel(), back[:-1].ravel())[0, 1]
    assert np.array_equal(back, np.rint(back))
    assert ratio == pytest.approx(1.0, abs=0.01)
    assert abs(neighbours) < 0.005


def test_photons_are_only_lost_at_the_ends():
    counts = np.zeros((100, 1, 1))
    counts[30:60] = 1000
    assert moved(counts, 4.2, 0.98, np.random.default_rng(8)).sum() == counts.sum()


def test_agreeing_elements_are_added_as_they_are():
    rng = np.random.default_rng(9)
    counts = rng.poisson(spectrum(scale=100.0)[None, :, None, None], (3, 1200, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(combined(counts), counts.sum(0))
