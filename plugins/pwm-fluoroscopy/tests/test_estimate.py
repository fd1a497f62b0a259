"""The gain drift as the operator estimates it from the data alone."""

from __future__ import annotations

import numpy as np
import pytest
from pwm_fluoroscopy.modality import Fluoroscopy
from pwm_fluoroscopy.operator import fluoroscope
from pwm_fluoroscopy.registration import followed
from scipy import ndimage

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


def tissue(y, x):
    """Attenuation at these places (pixels), with features of 6 pixels."""
    noise = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((400, 400)), 6)
    return 0.3 * ndimage.map_coordinates(noise / noise.std(), [y + 150, x + 150], order=3)


def test_what_moves_far_is_followed():
    """By 40 pixels, six features, and faster and faster: no block brightens steadily."""
    n, (y, x) = np.arange(12), np.indices((112, 112)).astype(float)
    direct = np.stack([np.exp(-tissue(y - 0.33 * k**2, x + 2 * k)) for k in n]) * 100
    mean = instrument().node("scatter")(direct) * (1 + 0.5 / 100 * n[:, None, None])
    found = instrument().estimate(np.random.default_rng(6).poisson(mean).astype(np.float32))
    assert abs(found[DRIFT] - 0.5) < min(0.15, 3 * found[f"std:{DRIFT}"])


def test_followed_frames_are_the_middle_one():
    """What turns, grows, moves and brightens, with a bar before it that stands still."""
    n, (y, x) = np.arange(7), np.indices((60, 60)) - 30.0
    frames = []
    for k in n - 3:
        turn, scale = 0.01 * k, 1 + 0.01 * k
        attenuation = tissue(scale * y + turn * x + 0.8 * k, scale * x - turn * y - 0.5 * k)
        frames.append((1 + 0.02 * k) * np.exp(-attenuation))
    frames = np.stack(frames)
    frames[:, 20:24] *= 0.7
    moved, _, seen = followed(frames, np.ones_like(frames), np.ones((60, 60), bool))
    assert 0.5 < seen.mean() < 0.95  # it moves by pixels
    seen[15:29] = False
    change = np.log(moved / frames[3])[:, seen]
    np.testing.assert_allclose(np.median(change, 1), np.log(1 + 0.02 * (n - 3)), atol=0.01)
    assert (change.std(1) <= 0.2 * np.log(frames / frames[3])[:, seen].std(1)).all()


def test_scatter_from_what_brightens_is_not_drift():
    """Scatter of a third of the field that brightens raises the rest by 0.4 % a frame."""
    y = video(0.5, moving=0.33)
    bare = fluoroscope(pixel=0.4, frame_time=33.3, quanta=100.0, scatter=0.0, glare=0.0)
    assert bare.estimate(y)[DRIFT] > 0.65
    assert instrument().estimate(y)[DRIFT] == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_errors_hold_the_drift_of_generated_sequences():
    """Of sequences that did not serve to find out how large errors are: neither too small nor too large."""
    off = []
    for scene in range(1140, 1170):
        problem, truth = pose(Fluoroscopy(size=128, frames=12), scene, "mismatch")
        found = problem.operator.estimate(problem.y, problem.mask)
        if found:
            off.append((found[DRIFT] - truth.theta[DRIFT]) / found[f"std:{DRIFT}"])
    assert len(off) > 25
    assert np.mean(np.abs(off) < 2) > 0.8
    assert 0.2 < np.median(np.abs(off)) < 0.9


def test_pixels_that_are_not_valid_do_not_count():
    y = video(0.5)
    mask = np.ones(y.shape[1:], bool)
    mask[:, 40:] = False
    spoiled = np.where(mask, y, y * np.arange(1, 13)[:, None, None])
    assert instrument().estimate(spoiled, mask)[DRIFT] == pytest.approx(0.5, abs=0.2)


def test_too_little_to_go_by_gives_no_estimate():
    assert instrument().estimate(video(0.5, frames=2)) == {}
    assert instrument().estimate(video(0.5, size=16)) == {}
