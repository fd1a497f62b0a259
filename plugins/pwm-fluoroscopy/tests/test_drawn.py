"""Instruments drawn at random, and what only generated sequences show."""

import time

import numpy as np
import pytest
from pwm_fluoroscopy.modality import Fluoroscopy
from pwm_fluoroscopy.scenes import Stage, devices, draw_any, varied
from pwm_fluoroscopy.scenes.sequences import layer
from pwm_fluoroscopy.scenes.stage import still

from pwm_core.modality import TIERS

STAGE = Stage(4, 48, 0.3, 1 / 15)


def drawn(seed: int) -> Fluoroscopy:
    return Fluoroscopy.drawn(np.random.default_rng(seed))


def test_drawn_instruments_are_fixed_by_the_random_numbers_and_half_are_nearly_the_default():
    assert drawn(3).values() == drawn(3).values()
    usual, many = Fluoroscopy(), [drawn(seed) for seed in range(300)]
    others = [m for m in many if m.pixel != usual.pixel]
    assert 0.4 < len(others) / len(many) < 0.6
    for m in many:
        assert (m.frames, m.size) == (8, 96)
        assert m.pulse <= 500 / m.rate
        if m not in others:
            assert 0.5 <= m.quanta / usual.quanta <= 2
            assert m.replace(quanta=usual.quanta, frames=16, size=192).values() == usual.values()
    assert 4 <= min(m.quanta for m in others) < 6
    assert 130 < max(m.quanta for m in others) <= 200
    assert {m.rate for m in others} == {7.5, 10, 15, 25, 30}
    for name in ("pixel", "pulse", "lag", "blur", "scatter", "glare", "readout"):
        assert len({m.values()[name] for m in others}) == len(others), name


@pytest.mark.parametrize("seed", range(8))
def test_drawn_problems_can_be_solved_and_are_quickly_made(seed):
    modality = drawn(seed)
    theta = modality.draw_theta(seed, 0, TIERS[seed % 3])
    start = time.process_time()
    problem, truth = modality.simulate(seed, theta=theta)
    assert time.process_time() - start < 3
    assert np.isfinite(problem.y).all()
    assert np.isfinite(problem.initial).all()
    assert problem.operator(truth.x).mean() == pytest.approx(modality.gain * modality.quanta, rel=0.3)
    assert truth.x.min() == 0
    assert truth.x.std() > 0.01


@pytest.mark.parametrize("make", devices._DEVICES, ids=lambda make: make.__name__)
def test_devices_only_attenuate_and_are_in_the_window(make):
    seen = 0
    for seed in range(6):
        image = STAGE.sample(make(STAGE, np.random.default_rng(seed)), STAGE.place)
        assert np.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() < 15
        seen += image.max() > 0.02
    assert seen >= 4


@pytest.mark.parametrize(
    "kind", sorted(set(varied._KINDS), key=lambda k: k.__name__), ids=lambda k: k.__name__
)
def test_every_kind_is_finite_and_moves_or_stands_still(kind):
    for seed in range(2):
        video = kind(STAGE, np.random.default_rng(seed))
        assert video.shape == (4, 48, 48)
        assert np.isfinite(video).all()
        assert video.std() > 0.005


def test_a_table_that_moves_shifts_the_picture():
    """One pixel a frame along y: each frame shows the one before, a line further."""
    still_stage = Stage(4, 32, 0.4, 0.1)
    image = devices.plate(still_stage, np.random.default_rng(1))
    image += varied.gas(still_stage, np.random.default_rng(2))
    moved = layer(still_stage.moving(4.0, 0.0), image, still)
    np.testing.assert_allclose(moved[2][:-2], moved[0][2:], atol=1e-9)
    assert np.ptp(layer(still_stage, image, still), axis=0).max() == 0


def test_what_moves_out_of_the_map_leaves_no_stripes():
    """Far beyond its edge a map is mirrored: it has texture there as everywhere."""
    texture = np.random.default_rng(0).standard_normal(STAGE.around[0].shape)
    far = STAGE.sample(texture, (STAGE.place[0] + 0.6 * STAGE.width, STAGE.place[1]))
    assert np.abs(np.diff(far[-8:], axis=0)).mean() > 0.1


def test_generated_sequences_show_more_than_the_standard_kinds():
    contrast = [draw_any(STAGE, np.random.default_rng(seed)).max() for seed in range(24)]
    assert min(contrast) < 1 < 2 < max(contrast)
