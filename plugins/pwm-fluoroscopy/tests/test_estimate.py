"""The gain drift as the operator estimates it from the data alone."""

from __future__ import annotations

import numpy as np
import pytest
from pwm_fluoroscopy.modality import Fluoroscopy
from pwm_fluoroscopy.operator import fluoroscope

from pwm_core.scenario import pose

DRIFT = "detector.gain_drift"


def instrument():
    return fluoroscope(pixel=0.4, frame_time=33.3, quanta=100.0)


def video(drift, moving=0.0, frames=12, size=80, velocity=0.0):
    """Counts behind the instrument's scatter.

    A part ``moving`` of the field brightens by 5 % a frame; waves go through all of it with ``velocity`` px a
    frame.
    """
    rng = np.random.default_rng(3)
    n = np.arange(frames)[:, None, None]
    direct = rng.uniform(50, 150, (size, size)) * np.ones((frames, 1, 1))
    direct[:, :, : int(moving * size)] *= 1 + 0.05 * n
    direct *= np.exp(0.5 * np.sin((np.arange(size) - velocity * n) / 12))
    mean = instrument().node("scatter")(direct) * (1 + drift / 100 * n)
    return rng.poisson(mean).astype(np.float32)


@pytest.mark.parametrize("drift", [-0.5, 0.0, 1.0])
def test_a_still_scene_gives_the_drift_within_its_error(drift):
    found = instrument().estimate(video(drift))
    assert abs(found[DRIFT] - drift) < 3 * found[f"std:{DRIFT}"] < 0.3


def test_what_changes_in_a_third_of_the_field_does_not_mislead():
    found = instrument().estimate(video(0.5, moving=0.33))
    assert abs(found[DRIFT] - 0.5) < 3 * found[f"std:{DRIFT}"]
    assert abs(found[DRIFT] - 0.5) < 0.2


def test_what_moves_as_one_does_not_mislead():
    """Slopes are up to 1 % a frame, and densest at the largest ones."""
    found = instrument().estimate(video(0.5, velocity=0.3))
    assert abs(found[DRIFT] - 0.5) < min(0.1, 3 * found[f"std:{DRIFT}"])


def test_scatter_from_what_brightens_is_not_drift():
    """Scatter of a third of the field that brightens raises the rest by 0.4 % a frame."""
    y = video(0.5, moving=0.33)
    bare = fluoroscope(pixel=0.4, frame_time=33.3, quanta=100.0, scatter=0.0, glare=0.0)
    assert bare.estimate(y)[DRIFT] > 0.65
    assert instrument().estimate(y)[DRIFT] == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_errors_hold_the_drift_of_generated_sequences():
    """Of sequences that did not serve to find out how large errors are."""
    off = []
    for scene in range(900, 924):
        problem, truth = pose(Fluoroscopy(size=96, frames=10), scene, "mismatch")
        found = problem.operator.estimate(problem.y, problem.mask)
        if found:
            off.append((found[DRIFT] - truth.theta[DRIFT]) / found[f"std:{DRIFT}"])
    assert len(off) > 20
    assert np.mean(np.abs(off) < 2) > 0.8


def test_pixels_that_are_not_valid_do_not_count():
    y = video(0.5)
    mask = np.ones(y.shape[1:], bool)
    mask[:, 40:] = False
    spoiled = np.where(mask, y, y * np.arange(1, 13)[:, None, None])
    assert instrument().estimate(spoiled, mask)[DRIFT] == pytest.approx(0.5, abs=0.2)


def test_too_little_to_go_by_gives_no_estimate():
    assert instrument().estimate(video(0.5, frames=2)) == {}
    assert instrument().estimate(video(0.5, size=16)) == {}
