"""Scan distortion from crystals whose lattice is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_stem.lattice import scan_matrix
from pwm_stem.symmetry import scan_distortion_from_symmetry


def crystal(angle, distortion, size=160, period=13.3, fold=4, noise=0.0):
    """Waves of a square (fold 4) or triangular (fold 6) lattice, seen by a distorted scan."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    at = np.tensordot(scan_matrix(distortion), np.stack([y, x]), 1)
    image = np.zeros((size, size))
    for length in (1.0, np.sqrt(2) if fold == 4 else np.sqrt(3)):
        turn = 0 if length == 1 else np.pi / fold
        for k in range(fold // 2):
            a = angle + turn + 2 * np.pi * k / fold
            image += np.cos(2 * np.pi * length / period * (np.sin(a) * at[0] + np.cos(a) * at[1])) / length
    return image + noise * np.random.default_rng(0).standard_normal(image.shape)


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 1.5), st.floats(-1, 1), st.sampled_from([4, 6]))
def test_finds_the_distortion_of_any_regular_lattice_in_any_orientation(angle, distortion, fold):
    found = scan_distortion_from_symmetry(crystal(angle, distortion, fold=fold))
    assert found is not None
    assert found[0] == pytest.approx(distortion, abs=0.07)


def test_the_error_covers_noise():
    s, error = scan_distortion_from_symmetry(crystal(0.4, 0.5, noise=2.0))
    assert abs(s - 0.5) < 3 * error
    assert error < 0.3


def test_noise_alone_shows_no_crystal():
    assert scan_distortion_from_symmetry(np.random.default_rng(1).poisson(5.0, (128, 128))) is None
