"""Noise2Void: what it learns from one noisy image, what it must not invent, and how a run may end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pwm_dncnn import noise2void
from pwm_dncnn.noise2void import Noise2Void
from pwm_dncnn.small_unet import SmallUNet

from pwm_core import Problem, Result, run
from pwm_core.errors import Unsuitable
from pwm_core.primitives import Detect

SHORT = Noise2Void(iterations=240, batch=2, patch=32, rate=3e-3)
SIGMA = 0.5


@pytest.fixture(autouse=True)
def _narrow_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise2void, "_WIDTH", 8)  # learns enough for what is asked here


def lattice(size: int = 64) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    wave = np.cos(2 * np.pi * (0.121 * y + 0.003 * x)) + np.cos(2 * np.pi * (0.121 * x - 0.003 * y))
    return (3 * np.exp(wave - 2)).astype(np.float32)


def measured(clean: np.ndarray, noise: np.ndarray | None = None) -> Problem:
    """The image itself, with white noise of standard deviation ``SIGMA``."""
    noise = SIGMA * np.random.default_rng(7).standard_normal(clean.shape) if noise is None else noise
    camera = Detect(name="camera", mode="linear", statistics="gaussian", readout=SIGMA)
    axes = ("frame", "y", "x")[-clean.ndim :]
    return Problem((clean + noise).astype(np.float32), camera, "toy", clean.shape, axes=axes)


def solved(problem: Problem, method: Noise2Void = SHORT, seed: int = 3) -> Result:
    return run(method, problem, seed=seed, device="cpu")


def error(result: Result, clean: np.ndarray) -> float:
    """Root mean square error in units of the noise."""
    return float(np.sqrt(np.mean((result.x - clean) ** 2))) / SIGMA


def test_a_lattice_comes_out_of_the_noise() -> None:
    clean = lattice()
    result = solved(measured(clean))
    assert error(result, clean) < 0.5
    assert result.history[-1]["loss"] < 0.6 * result.history[0]["loss"]
    assert 0.9 < result.history[-1]["loss"] < 1.6  # in units of the noise variance


def test_nothing_is_invented_where_there_is_nothing() -> None:
    flat = np.full((64, 64), 5.0, np.float32)
    assert error(solved(measured(flat)), flat) < 0.1


def test_a_constant_image_stays_what_it_is() -> None:
    flat = np.full((32, 48), 5.0, np.float32)
    method = SHORT.replace(iterations=4)
    np.testing.assert_allclose(solved(measured(flat, np.zeros_like(flat)), method).x, flat, rtol=1e-4)


def test_noise_along_the_lines_needs_a_mask_along_the_lines() -> None:
    clean = lattice()
    white = np.random.default_rng(7).standard_normal((64, 70))
    lines = SIGMA * sum(white[:, k : k + 64] for k in range(6)) / 6**0.5
    problem = measured(clean, lines)
    along, single = (error(solved(problem, SHORT.replace(mask=mask)), clean) for mask in ("rows", "pixel"))
    assert along < 0.85 * single


def test_frames_of_a_video_inform_each_other() -> None:
    still = np.broadcast_to(lattice(48), (5, 48, 48)).copy()
    problem = measured(still)
    together = error(solved(problem), still)
    alone = error(solved(replace(problem, axes=("slice", "y", "x"))), still)
    assert together < 0.96 * alone


def test_the_seed_alone_decides() -> None:
    problem, method = measured(lattice(32)), SHORT.replace(iterations=6)
    torch.manual_seed(1)
    first = solved(problem, method).x
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, solved(problem, method).x)
    assert not np.array_equal(first, solved(problem, method, seed=4).x)


@pytest.mark.parametrize("stop", [1, 5])
def test_a_run_that_is_cut_off_leaves_the_last_inversion(stop: int) -> None:
    problem = measured(lattice())
    full: list[np.ndarray] = []
    watch = [lambda step, iterate: full.append(np.array(iterate.x.numpy())) or step < stop]
    result = run(SHORT.replace(iterations=16), problem, seed=3, device="cpu", watch=watch)
    assert result.status == "stopped"
    assert len(full) == stop
    np.testing.assert_array_equal(result.x, full[-1])
    assert np.isfinite(result.x).all()


def test_the_operator_is_inverted_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    predicted = noise2void._Training.prediction
    monkeypatch.setattr(
        noise2void._Training, "prediction", lambda self: made.append(self.steps) or predicted(self)
    )
    solved(measured(lattice(32)), SHORT.replace(iterations=32))
    assert made == [2, 8, 16, 32]


@pytest.mark.parametrize("shape", [(17, 41), (2, 19, 30), (4, 4)])
def test_images_of_any_size(shape: tuple[int, ...]) -> None:
    clean = np.random.default_rng(0).random(shape, np.float32)
    assert solved(measured(clean), SHORT.replace(iterations=3)).x.shape == shape


def test_images_too_small_are_refused() -> None:
    with pytest.raises(Unsuitable, match=r"at least 4 px, got \(3, 40\)"):
        solved(measured(np.zeros((3, 40), np.float32)))


def test_tiles_give_what_one_piece_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    network = SmallUNet(3, 1, 4, generator).requires_grad_(False)
    torch.nn.init.normal_(network.last.weight, generator=generator)
    images = torch.randn(2, 3, 101, 150, generator=generator)
    whole = noise2void._predicted(network, images)
    assert float(whole.std()) > 0.1
    monkeypatch.setattr(noise2void, "_TILE", 32)
    torch.testing.assert_close(noise2void._predicted(network, images), whole, rtol=1e-4, atol=1e-5)


def test_a_new_network_answers_zero() -> None:
    network = SmallUNet(1, 1, 4, torch.Generator().manual_seed(0))
    assert not network(torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))).any()
