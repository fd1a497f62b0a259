"""From a recording to a problem: geometry, first probe, background, and what is missing."""

import numpy as np
import pytest
from pwm_ptychography.measured import problem_from
from pwm_ptychography.modality import Ptychography
from pwm_ptychography.operator import diffraction_of
from pwm_ptychography.recording import Recording

from pwm_core.errors import BadFile


def recording(**changes):
    problem, _ = Ptychography.small().simulate("circuit")
    operator = diffraction_of(problem)
    facts = {
        "frames": problem.y,
        "positions": operator.scan.positions,
        "wavelength": 1.408911e-10,
        "distance": 1.0,
        "detector_pixel": 300e-6,
        "probe": operator.probe.wave,
        "name": "scan",
    }
    return Recording(**{**facts, **changes}), problem


def test_a_recorded_simulation_is_the_same_problem_again():
    recorded, problem = recording()
    again = problem_from(recorded)
    assert again.shape == problem.shape
    assert again.pixel_size == pytest.approx(problem.pixel_size, rel=1e-6)
    np.testing.assert_allclose(
        again.operator.scan.corners(again.operator.scan.positions)[0],
        problem.operator.scan.corners(problem.operator.scan.positions)[0],
    )


def test_near_field_scales_with_the_cone_of_the_beam():
    recorded, _ = recording(geometry="near", focus_to_sample=0.01, distance=0.99, detector_pixel=5e-6)
    problem = problem_from(recorded)
    assert problem.pixel_size[0] == pytest.approx(5e-8)
    assert problem.operator.propagate.distance == pytest.approx(0.0099)


def test_a_missing_probe_starts_with_the_power_of_the_frames():
    recorded, problem = recording(probe=None)
    wave = problem_from(recorded).operator.probe.wave
    assert wave.shape == (1, 32, 32)
    assert float(np.sum(np.abs(wave) ** 2)) == pytest.approx(
        float(np.percentile(problem.y.sum((1, 2)), 95)), rel=1e-3
    )


def test_a_dark_frame_is_taken_off():
    dark = np.full((32, 32), 3.0)
    recorded, problem = recording(background=dark)
    np.testing.assert_allclose(problem_from(recorded).y, np.maximum(problem.y - 3, 0))


def test_pixels_serve_where_lengths_are_unknown():
    recorded, problem = recording(wavelength=None, positions_unit="px")
    pixels = problem_from(
        Recording(**{**vars(recorded), "positions": recorded.positions / problem.pixel_size[0]})
    )
    assert pixels.units == ("px", "px")
    assert pixels.shape == problem.shape


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wavelength": None}, "positions in metres but not the wavelength"),
        ({"geometry": "near", "distance": None}, "does not say the distance of this near-field scan"),
        ({"positions_unit": "px", "positions": np.array([[0, 0], [1e6, 1e6]] * 32)}, "check the units"),
    ],
)
def test_what_is_missing_or_absurd_is_named(changes, words):
    with pytest.raises(BadFile, match=words):
        problem_from(recording(**changes)[0])
