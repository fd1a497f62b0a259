"""The gain drift as the operator estimates it from the data alone."""

from __future__ import annotations

import numpy as np
import pytest
from pwm_fluoroscopy.operator import fluoroscope

DRIFT = "detector.gain_drift"


def video(drift, moving=0.0, frames=12, size=80):
    """Counts of a still scene of which a part ``moving`` brightens by 5 % a frame."""
    rng = np.random.default_rng(3)
    mean = rng.uniform(50, 150, (size, size)) * (1 + drift / 100 * np.arange(frames)[:, None, None])
    mean[:, : int(moving * size)] *= 1 + 0.05 * np.arange(frames)[:, None, None]
    return rng.poisson(mean).astype(np.float32)


def instrument():
    return fluoroscope(pixel=0.4, frame_time=33.3, quanta=100.0)


@pytest.mark.parametrize("drift", [-0.5, 0.0, 1.0])
def test_a_still_scene_gives_the_drift_within_its_error(drift):
    found = instrument().estimate(video(drift))
    assert abs(found[DRIFT] - drift) < 3 * found[f"std:{DRIFT}"] < 0.3


def test_what_changes_in_a_third_of_the_field_does_not_mislead():
    found = instrument().estimate(video(0.5, moving=0.33))
    assert abs(found[DRIFT] - 0.5) < 3 * found[f"std:{DRIFT}"]
    assert abs(found[DRIFT] - 0.5) < 0.2


def test_pixels_that_are_not_valid_do_not_count():
    y = video(0.5)
    mask = np.ones(y.shape[1:], bool)
    mask[:, 40:] = False
    spoiled = np.where(mask, y, y * np.arange(1, 13)[:, None, None])
    assert instrument().estimate(spoiled, mask)[DRIFT] == pytest.approx(0.5, abs=0.2)


def test_too_little_to_go_by_gives_no_estimate():
    assert instrument().estimate(video(0.5, frames=2)) == {}
    assert instrument().estimate(video(0.5, size=16)) == {}
