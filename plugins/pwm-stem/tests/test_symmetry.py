"""Scan distortion from crystals whose lattice is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_stem.lattice import scan_matrix
from pwm_stem.modality import STEM
from pwm_stem.symmetry import scan_distortion_from_symmetry

from pwm_core.scenario import pose


def crystal(angle, distortion, size=160, period=13.3, fold=4, noise=0.0, strain=None):
    """Waves of a square (fold 4) or triangular (fold 6) lattice, seen by a distorted scan.

    ``strain`` (2, 2) is what its positions (y, x) are multiplied by besides.
    """
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    at = np.tensordot(scan_matrix(distortion), np.stack([y, x]), 1)
    at = at if strain is None else np.tensordot(strain, at, 1)
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
    s, error = scan_distortion_from_symmetry(crystal(0.4, 0.5, noise=1.0))
    assert abs(s - 0.5) < 3 * error
    assert error < 0.3


def test_the_error_covers_a_strain_that_the_whole_field_has_in_common():
    """A shear of .6 % in any direction: tiles agree, and one component is taken for distortion."""
    far, errors = [], []
    for turn in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        a, b = 0.006 * np.cos(turn), 0.006 * np.sin(turn)
        found = scan_distortion_from_symmetry(crystal(0.4, 0.2, strain=[[1 - a, b], [b, 1 + a]]))
        if found is not None:
            far.append(abs(found[0] - 0.2))
            errors.append(found[1])
    assert len(far) >= 12
    assert max(far) > 0.6  # % of distortion: it cannot be told from strain
    assert np.mean(np.array(far) < 2 * np.array(errors)) > 0.6
    assert np.median(errors) > 0.3


def test_the_distortion_of_the_scan_is_what_no_other_strain_is_needed_for():
    s, error = scan_distortion_from_symmetry(crystal(0.4, 1.0))
    assert s == pytest.approx(1.0, abs=0.07)
    assert error < 0.15


def test_a_pair_of_reflections_that_agrees_with_no_other_is_not_trusted():
    y, x = np.mgrid[:160, :160]
    image = np.cos(2 * np.pi * y / 40.0) + np.cos(2 * np.pi * x / 40.7)
    assert scan_distortion_from_symmetry(image[:64, :64]) is None


def test_noise_alone_shows_no_crystal():
    assert scan_distortion_from_symmetry(np.random.default_rng(1).poisson(5.0, (128, 128))) is None


@pytest.mark.slow
def test_errors_are_honest_however_specimens_are_strained():
    """Of those who could be used: a number anywhere in the range of 1.5 % has a standard error of .43 %."""
    modality, far = STEM(size=192), []
    for scene in range(500, 740):
        problem, truth = pose(modality, scene, "mismatch", seed=0)
        found = scan_distortion_from_symmetry(problem.y)
        if found is not None and found[1] < 0.43:
            far.append(abs(found[0] - truth.theta["scan.distortion"]) / found[1])
    print(f"{len(far)} of 240: {np.mean(np.array(far) > 2):.3f} beyond 2 errors, {max(far):.1f} the furthest")
    assert len(far) > 150
    assert np.mean(np.array(far) > 2) < 0.05
    assert max(far) < 3.5
