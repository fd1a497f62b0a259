"""The simulated instrument, its scenes, and the scoring of complex objects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_ptychography.align import aligned
from pwm_ptychography.modality import Ptychography, illuminated
from pwm_ptychography.operator import diffraction_of
from pwm_ptychography.simulation import beam_diameter, focused_wave, raster, wavelength

from pwm_core import score
from pwm_core.errors import UnknownName
from pwm_core.scenario import pose
from pwm_core.testing import checks_for

test_ptychography = checks_for("ptychography")


def test_counts_are_poisson_about_the_operators_mean():
    modality = Ptychography.small().replace(photons=1e5)
    problem, truth = modality.simulate("cells", seed=3)
    mean = problem.operator(truth.x).astype(float)
    scaled = ((problem.y - mean) / np.sqrt(np.maximum(mean, 1e-9)))[mean > 5]
    assert abs(scaled.mean()) < 4 / np.sqrt(scaled.size)
    assert scaled.var() == pytest.approx(1, abs=5 * np.sqrt(2 / scaled.size))


def test_gain_and_readout_scale_the_noise():
    modality = Ptychography.small().replace(gain=4.0, readout=20.0, photons=1e5)
    problem, truth = modality.simulate("cells")
    mean = problem.operator(truth.x).astype(float)
    expected = 4.0 * mean + 20.0**2
    assert np.mean((problem.y - mean) ** 2 / expected) == pytest.approx(1, abs=0.05)


def test_dose_is_the_photons_of_a_frame_without_sample():
    problem, truth = Ptychography.small().replace(photons=2e5).simulate("circuit")
    y = problem.operator(np.ones_like(truth.x))
    np.testing.assert_allclose(y.sum((1, 2)), 2e5, rtol=1e-4)


def test_object_pixel_is_the_diffraction_limit():
    modality = Ptychography(energy=10.0, distance=2.0, window=32, side=4, detector_pixel=300.0, defocus=75.0)
    problem, _ = modality.simulate("chart")
    assert problem.pixel_size[0] == pytest.approx(1.239842e-10 * 2.0 / (32 * 300e-6), rel=1e-6)


def test_the_object_depends_on_the_scene_alone():
    modality = Ptychography.small()
    a, b = modality.simulate("circuit", seed=1)[1], modality.simulate("circuit", seed=2)[1]
    np.testing.assert_array_equal(a.x, b.x)
    with pytest.raises(UnknownName, match="it has circuit, cells"):
        modality.simulate("circiut")


def test_neighbouring_beams_overlap_as_asked():
    lam = wavelength(8.8e3)
    wave = focused_wave(64, 15e-9, lam, 1.41e-3, 155e-6, 15e-6)
    positions = raster(6, 0.35 * beam_diameter(wave, 15e-9), 0.0)
    assert np.diff(positions[:6, 1]).mean() / beam_diameter(wave, 15e-9) == pytest.approx(0.35)


def test_numerical_aperture_fills_that_circle_of_the_detector():
    n, pixel, lam = 64, 15e-9, wavelength(8.8e3)
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(focused_wave(n, pixel, lam, 1.41e-3, 0.0, 0.0))))
    radius = np.sqrt((spectrum > spectrum.max() / 2).sum() / np.pi)
    assert radius == pytest.approx(1.41e-3 / lam * n * pixel, rel=0.03)


def test_astigmatism_separates_the_line_foci():
    n, pixel, lam, gap = 128, 5e-9, wavelength(8.8e3), 60e-6
    y, x = np.indices((n, n)) - n // 2
    # half-way between the foci the beam is round; at one focus it is a line, at the other the line across
    widths = []
    for defocus in (gap / 2, -gap / 2):
        power = np.abs(focused_wave(n, pixel, lam, 1.41e-3, defocus, gap)) ** 2
        widths.append(((power * y**2).sum(), (power * x**2).sum()))
    assert widths[0][0] > 2 * widths[0][1]
    assert widths[1][1] > 2 * widths[1][0]


def test_scenarios_share_their_data_and_differ_in_what_is_assumed():
    modality = Ptychography.small()
    ideal, truth = pose(modality, "cells", "ideal", seed=5)
    mismatch, same = pose(modality, "cells", "mismatch", seed=5)
    np.testing.assert_array_equal(ideal.y, mismatch.y)
    assert truth.theta == same.theta
    for spec in modality.specs:
        low, high = spec.public
        assert low <= truth.theta[spec.path] <= high
        assert truth.theta[spec.path] != (low + high) / 2
        assert ideal.operator.theta[spec.path] == truth.theta[spec.path]
        assert mismatch.operator.theta[spec.path] == spec.nominal
    assert not hasattr(mismatch, "truth")


def test_jitter_is_known_in_scenario_ideal_only():
    modality = Ptychography.small().replace(jitter=20.0)
    ideal, truth = pose(modality, "cells", "ideal")
    mismatch, _ = pose(modality, "cells", "mismatch")
    assert np.std(truth.theta["scan.jitter"]) == pytest.approx(20, rel=0.3)
    assert diffraction_of(mismatch).scan.jitter is None
    better = modality.residuals(ideal.operator(truth.x), ideal)["residual"]
    assert modality.residuals(mismatch.operator(truth.x), mismatch)["residual"] > 1.5 * better


def test_the_truth_explains_the_data_to_the_noise_level():
    """For Poisson counts Σ(√y − √mean)² is about a quarter per well-lit detector element."""
    modality = Ptychography.small().replace(photons=1e7)
    problem, truth = modality.simulate("cells")
    mean = problem.operator(truth.x)
    got = modality.residuals(mean, problem)["residual"]
    lit = (mean > 10).sum()
    assert got > 0.8 * 0.25 * lit / problem.y.sum()
    assert got < 1.1 * 0.25 * mean.size / problem.y.sum()


@settings(max_examples=15, deadline=None)
@given(
    phase=st.floats(-3, 3),
    size=st.floats(0.3, 3),
    shift=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    ramp=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
)
def test_what_the_data_cannot_tell_is_removed_by_alignment(phase, size, shift, ramp):
    problem, truth = Ptychography.small().simulate("circuit")
    region = illuminated(diffraction_of(problem))
    ny, nx = truth.x.shape
    ky, kx = np.fft.fftfreq(ny)[:, None], np.fft.fftfreq(nx)
    y, x = np.arange(ny)[:, None] / ny, np.arange(nx) / nx
    smooth = np.fft.ifft2(np.fft.fft2(truth.x) * (np.hypot(ky, kx) < 0.4))
    moved = np.fft.ifft2(np.fft.fft2(smooth) * np.exp(-2j * np.pi * (shift[0] * ky + shift[1] * kx)))
    disguised = size * np.exp(1j * phase) * moved * np.exp(1j * (ramp[0] * y + ramp[1] * x))
    back = aligned(disguised, smooth, region)
    error = np.linalg.norm((back - smooth)[region]) / np.linalg.norm(smooth[region])
    assert error < 0.02  # the periodic shift mixes a little in from beyond the object's edges


def test_alignment_leaves_a_real_difference_alone():
    problem, truth = Ptychography.small().simulate("circuit")
    region = illuminated(diffraction_of(problem))
    rng = np.random.default_rng(0)
    noise = 0.05 * (rng.standard_normal(truth.x.shape) + 1j * rng.standard_normal(truth.x.shape))
    wrong = truth.x + noise
    error = np.linalg.norm((aligned(wrong, truth.x, region) - truth.x)[region])
    assert error == pytest.approx(np.linalg.norm(noise[region]), rel=0.03)


def test_a_perfect_reconstruction_in_disguise_scores_one():
    modality = Ptychography.small()
    problem, truth = modality.simulate("cells")
    found = score(2.5 * np.exp(0.7j) * truth.x, problem, truth, modality)
    assert found.psnr > 80
    assert found.standard == pytest.approx(1, abs=1e-3)
    assert set(found.views) == {"phase", "amplitude"}
    assert found.consistency < 0.1, "the data of 2.5 times the object are 6 times too bright"
