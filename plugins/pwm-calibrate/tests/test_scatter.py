"""Standard errors where the model lacks what moves many data together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pwm_calibrate import view
from pwm_calibrate.gradient import Gradient

from pwm_core.primitives.detect import Detect
from pwm_core.primitives.fourier import shift_last
from pwm_core.problem import Problem
from pwm_core.testing.problems import Dither, LeastSquares

STEP, NOISE = 0.02, 0.05  # px a frame; of values of about 8


def dithered(seed, wander, frames=100, memory=0.5):
    """Frames that wander by ``wander`` px rms besides their steps, and remember where the last one was."""
    rng = np.random.default_rng(seed)
    spectrum = rng.standard_normal((4, 9)) + 1j * rng.standard_normal((4, 9))
    spectrum[:, 5:] = 0
    image = torch.from_numpy(np.fft.irfft(8 * spectrum, 16))
    place, kicks = np.zeros(frames), rng.standard_normal(frames) * (1 - memory**2) ** 0.5
    for j in range(frames):
        place[j] = kicks[j] + memory * place[j - 1]
    shifts = torch.from_numpy(np.arange(frames) * STEP + wander * place)
    mean = shift_last(image.expand(frames, *image.shape), shifts[:, None]).numpy()
    camera = Detect(name="camera", mode="linear", statistics="gaussian", readout=NOISE)
    return Problem(
        mean + NOISE * rng.standard_normal(mean.shape),
        camera @ Dither(name="stage", frames=frames),
        "any",
        image.shape,
        dtype="float64",
        ranges={"stage.step": (-0.1, 0.1)},
    )


def calibrated(problem):
    steps = Gradient(starts=1, iterations=3).solve(problem, LeastSquares(), np.random.default_rng(0))
    last = list(steps)[-1]
    return last.theta["stage.step"] - STEP, last.info["std:stage.step"]


def test_errors_hold_where_frames_wander_together(monkeypatch):
    """By the misfit alone they would be many times too small."""
    errors, own = np.transpose([calibrated(dithered(seed, 0.1)) for seed in range(20)])
    assert 0.7 < np.sqrt(np.mean((errors / own) ** 2)) < 1.6
    monkeypatch.setattr(view, "_scattered", lambda *_: np.ones(1))
    _, inflated = calibrated(dithered(0, 0.1))
    assert own[0] > 5 * inflated


def test_where_the_data_are_explained_noise_alone_rules(monkeypatch):
    monkeypatch.setattr(view, "_scattered", None)
    error, own = calibrated(dithered(0, 0.0))
    assert abs(error) < 4 * own


@pytest.mark.parametrize("frames", [5, 7])
def test_few_frames_tell_no_scatter(frames, monkeypatch):
    _, inflated = calibrated(dithered(0, 0.1, frames))
    monkeypatch.setattr(view, "_scattered", lambda *_: np.ones(1))
    assert calibrated(dithered(0, 0.1, frames))[1] == inflated
