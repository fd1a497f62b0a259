"""Instruments drawn at random, and samples that belong to no class."""

import time

import numpy as np
import pytest
from pwm_spectroscopy.assembly import operator_for
from pwm_spectroscopy.instruments import EDXInstrument, XRFInstrument
from pwm_spectroscopy.scenes import find
from pwm_spectroscopy.scenes.assorted import assorted
from pwm_spectroscopy.stem_edx import StemEDX
from pwm_spectroscopy.xrf import XRF

from pwm_core.modality import TIERS

BOTH = pytest.mark.parametrize("kind", [XRF, StemEDX], ids=["xrf", "stem-edx"])
DOSE = {XRF: ("photons", 4e6, 1e10), StemEDX: ("electrons", 4e5, 2e9)}


def drawn(kind, seed):
    return kind.drawn(np.random.default_rng(seed))


@BOTH
def test_drawn_instruments_are_fixed_by_the_random_numbers_and_half_are_nearly_the_default(kind):
    name, low, high = DOSE[kind]
    assert drawn(kind, 3).values() == drawn(kind, 3).values()
    usual, many = kind(), [drawn(kind, seed) for seed in range(300)]
    others = [m for m in many if m.pixel != usual.pixel]
    assert 0.4 < len(others) / len(many) < 0.6
    for m in many:
        assert (m.size, m.channels) == (64, 512)
        if m not in others:
            assert 0.5 <= getattr(m, name) / getattr(usual, name) <= 2
            assert (
                m.replace(**{name: getattr(usual, name)}, size=128, channels=1024).values() == usual.values()
            )
    doses = [getattr(m, name) for m in others]
    assert low <= min(doses) < 2 * low
    assert high / 2 < max(doses) <= high
    for other in set(usual.values()) - {"size", "channels"}:
        assert len({m.values()[other] for m in others}) >= 5, other


@BOTH
@pytest.mark.parametrize("seed", range(10))
def test_drawn_problems_can_be_solved_and_are_quickly_made(kind, seed):
    modality = drawn(kind, seed)
    theta = modality.draw_theta(seed, 0, TIERS[seed % 3])
    start = time.process_time()
    problem, truth = modality.simulate(seed, theta=theta)
    assert time.process_time() - start < 2
    assert np.isfinite(problem.y).all()
    assert problem.y.sum() > 0
    assert truth.x.min() >= 0
    elements = modality.view(truth.x, problem)[0].images
    assert elements.max() <= 1 + 1e-6
    assert elements.any()


@pytest.mark.parametrize("energy", [16.2, 19.9])
def test_the_beam_excites_every_element_of_the_pool(energy):
    instrument = XRFInstrument(energy=energy)
    for element in [*XRF.pool.amounts, *{e for s in XRF.samples for e in s.components}]:
        assert operator_for([element], instrument, channels=512, gain=0.04)


@pytest.mark.parametrize("energy", [80.0, 300.0])
def test_electrons_excite_every_element_of_the_pool(energy):
    for element in StemEDX.pool.amounts:
        assert operator_for([element], EDXInstrument(energy=energy), channels=512, gain=0.02)


@BOTH
def test_assorted_samples_differ_in_elements_amounts_and_pattern(kind):
    samples = [assorted(kind.pool, np.random.default_rng(seed)) for seed in range(30)]
    assert len({s.components for s in samples}) == 30
    assert {len(s.components) - kind.pool.matrix for s in samples} == set(range(3, 9))
    for seed, sample in enumerate(samples):
        x = sample.maps((40, 30), np.random.default_rng(seed))
        scale = np.array(list(sample.full_scale.values()))
        assert np.isfinite(x).all()
        assert x.min() >= 0
        assert (x.max(axis=(1, 2)) <= scale * (1 + 1e-6)).all()
        assert x.any(axis=(1, 2)).all()


@BOTH
def test_a_window_is_part_of_a_wider_sample_and_never_empty(kind):
    for number in range(30):
        sample, rng = find(kind.samples, kind.pool, kind.name, number)
        x = sample.window((20, 28), rng)
        assert x.shape == (len(sample.components), 20, 28)
        assert x.dtype == np.float32
        assert x.any()
