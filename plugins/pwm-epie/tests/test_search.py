"""Frames that are several pixels off are looked for, beyond what their gradient reaches."""

import numpy as np
import pytest
import torch
from pwm_epie.pie import RPIE
from pwm_epie.search import Search
from pwm_ptychography.engine import TorchEngine, make_engine
from pwm_ptychography.modality import Ptychography
from pwm_ptychography.operator import diffraction_of

from pwm_core import run
from pwm_core.errors import BadValue


def displaced_scan(radius, seed, side=10):
    """A scan whose true positions lie evenly in circles about the given ones; and the true positions (px)."""
    problem, truth = Ptychography(side=side).simulate("chart")
    scan = diffraction_of(problem).scan
    rng = np.random.default_rng(seed)
    turn, away = rng.uniform(0, 2 * np.pi, side**2), radius * np.sqrt(rng.uniform(0, 1, side**2))
    off = away[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
    true = problem.operator.at({"scan.jitter": 1e9 * scan.pixel_size * off})
    y = true.sample(truth.x, np.random.default_rng(0)).astype(np.float32)
    return problem.replace(y=y), scan.positions / scan.pixel_size + off


def error(positions, true, problem):
    left = positions / problem.pixel_size[0] - true
    return float(np.sqrt(((left - left.mean(0)) ** 2).sum(1).mean()))


def test_errors_beyond_the_gradient_s_reach_are_recovered_by_search():
    problem, true = displaced_scan(6.0, seed=1)
    before = error(diffraction_of(problem).scan.positions, true, problem)
    single, found = (
        run(RPIE(iterations=160, positions=True, reach=r), problem, device="cpu") for r in (0.0, 8.0)
    )
    after = [error(r.theta["scan.positions"], true, problem) for r in (single, found)]
    print(f"{before:.2f} px before, {after[0]:.2f} px by the gradient, {after[1]:.2f} px with a search")
    assert before > 4
    assert after[0] > 0.8 * before
    assert after[1] < 0.4 * before


@pytest.mark.parametrize("make", [make_engine, TorchEngine], ids=["compiled", "torch"])
def test_a_few_lost_frames_are_found_in_one_step(make):
    """Object and probe are right: a step brings each lost frame back."""
    problem, truth = Ptychography(side=6).simulate("chart")
    engine = make(problem.replace(initial=truth.x.astype(np.complex64)))
    off = torch.zeros(engine.frames, 2, dtype=torch.float64)
    off[[5, 14, 20, 28]] = torch.tensor(
        [[4.0, 2.0], [-2.0, 4.0], [-4.0, -4.0], [0.0, -6.0]], dtype=torch.float64
    )
    engine.move(off)
    start = engine.positions().clone()
    moved = Search(engine, 8.0).step()
    np.testing.assert_allclose(moved.numpy(), -off.numpy(), atol=1e-5)
    pixel = engine.operator.scan.pixel_size
    np.testing.assert_allclose((engine.positions() - start).numpy() / pixel, moved.numpy(), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_misfits_of_frames_add_up_to_that_of_all(masked):
    problem, _ = Ptychography.small().simulate("circuit")
    if masked:
        problem = problem.replace(mask=np.random.default_rng(0).random(problem.y.shape[1:]) > 0.2)
    for make in (make_engine, TorchEngine):
        engine = make(problem)
        each = engine.misfits(torch.arange(engine.frames))
        assert float(each.sum()) == pytest.approx(engine.gather().misfit, rel=1e-5)
        some = torch.tensor([7, 2, 30])
        np.testing.assert_allclose(engine.misfits(some).numpy(), each[some].numpy(), rtol=1e-5)


def test_a_reach_without_positions_is_refused():
    problem, _ = Ptychography.small().simulate("circuit")
    with pytest.raises(BadValue, match="set positions too"):
        run(RPIE(iterations=2, reach=4.0), problem, device="cpu")
