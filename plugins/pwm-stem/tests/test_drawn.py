"""Instruments drawn at random, and the specimens that only generated scenes have."""

import time

import numpy as np
import pytest
from pwm_stem.modality import STEM
from pwm_stem.objects import crystal, mixed
from pwm_stem.objects.paint import Atoms, paint
from pwm_stem.objects.structures import CRYSTALS
from scipy.spatial import cKDTree

from pwm_core.modality import TIERS


def drawn(seed: int) -> STEM:
    return STEM.drawn(np.random.default_rng(seed))


def nearest(atoms: Atoms) -> np.ndarray:
    """Of each column, the distance to the next one."""
    places = np.stack([atoms.y, atoms.x], 1)
    return cKDTree(places).query(places, k=2)[0][:, 1]


def test_drawn_instruments_are_fixed_by_the_random_numbers_and_half_are_nearly_the_default():
    assert drawn(3).values() == drawn(3).values()
    many = [drawn(seed) for seed in range(300)]
    others = [m for m in many if m.pixel != STEM().pixel]
    assert 0.4 < len(others) / len(many) < 0.6
    for m in many:
        assert m.size == 128
        if m not in others:
            assert 0.5 <= m.dose / STEM().dose <= 2
            assert m.replace(current=STEM().current, size=256).values() == STEM().values()
    doses = np.array([m.dose for m in others])
    assert 20 <= doses.min() < 60
    assert 3000 < doses.max() <= 1e4 * (1 + 1e-9)
    assert 0.06 <= min(m.pixel for m in others) < 0.08
    assert 0.25 < max(m.pixel for m in others) <= 0.3
    for name in (
        "voltage",
        "convergence",
        "source_size",
        "defocus",
        "c3",
        "focal_spread",
        "dwell",
        "readout",
    ):
        assert len({m.values()[name] for m in others}) >= 6, name


@pytest.mark.parametrize("seed", range(12))
def test_drawn_problems_can_be_solved_and_are_quickly_made(seed):
    modality = drawn(seed)
    theta = modality.draw_theta(seed, 0, TIERS[seed % 3])
    start = time.process_time()
    problem, truth = modality.simulate(seed, theta=theta)
    assert time.process_time() - start < 1
    assert np.isfinite(problem.y).all()
    assert problem.y.mean() > 0
    assert truth.x.min() >= 0
    seen = modality.view(truth.x, problem)[0].images
    assert np.isfinite(seen).all()
    assert seen.std() > 0.01 * seen.mean()


@pytest.mark.parametrize("structure", mixed._LAYERED, ids=lambda s: s.name)
@pytest.mark.parametrize("faults", [0.0, 0.3])
def test_twins_and_faults_keep_the_bonds_and_the_density(structure, faults):
    extent = (40.0, 40.0)
    perfect = crystal.lattice(structure, extent, 0.3)
    atoms = mixed.layered(structure, extent, faults, np.random.default_rng(1))
    bond, shortest = (nearest(a) for a in (perfect, atoms))
    assert shortest.min() == pytest.approx(bond.min(), rel=1e-6)
    assert np.median(shortest) == pytest.approx(np.median(bond), rel=1e-6)
    assert len(atoms.y) == pytest.approx(len(perfect.y), rel=0.05)
    assert set(np.round(atoms.strength, 6)) == set(np.round(perfect.strength, 6))


def test_layered_structures_are_those_with_a_centred_cell():
    names = {s.name for s in mixed._LAYERED}
    assert {"Au", "Si", "GaAs", "NiO", "CeO2"} <= names
    assert not names & {s.name for s in CRYSTALS if s.name in ("SrTiO3", "W", "Ti", "GaN")}


def test_beyond_a_surface_is_next_to_nothing():
    """In most draws some of the field is vacuum but for a film of carbon, or an amorphous layer."""
    dark = 0
    for seed in range(12):
        atoms = mixed.surface((40.0, 40.0), np.random.default_rng(seed))
        image = paint(atoms, (80, 80), 0.5)
        cells = image.reshape(8, 10, 8, 10).mean((1, 3))
        dark += cells.min() < 0.1 * cells.max()
    assert dark >= 5


def test_a_window_is_never_empty():
    modality = STEM(size=48, readout=0.0)
    for number in range(40):
        x = modality.simulate(number)[1].x
        assert x.max() > 0
        assert 0.00499 < x.mean() < 0.0501
