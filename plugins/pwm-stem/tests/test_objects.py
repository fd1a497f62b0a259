"""Specimens: contrast, positions, structures, defects, and the series of scenes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_stem.objects import GENERATED, KINDS, crystal, draw, draw_any, specimen
from pwm_stem.objects.classes import separated
from pwm_stem.objects.paint import Atoms, paint, strength
from pwm_stem.objects.structures import CRYSTALS, FCC, MONOLAYERS, STRONTIUM_TITANATE

SHAPE, PIXEL = (64, 64), 0.15


def one(y, x, z=79, motion=0.08):
    return Atoms(*(np.array([float(v)]) for v in (y, x, strength(z), motion)))


def test_contrast_goes_with_the_atomic_number_to_the_power_1_7():
    gold, carbon = (paint(one(4.7, 4.8, z), SHAPE, PIXEL).sum() for z in (79, 6))
    assert gold / carbon == pytest.approx((79 / 6) ** 1.7, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(3, 6), st.floats(3, 6), st.floats(0.07, 0.1), st.floats(0.1, 0.16))
def test_an_atom_keeps_its_strength_and_place_between_pixels(y, x, motion, pixel):
    image = paint(one(y, x, 1, motion), (80, 80), pixel) * pixel**2
    rows, columns = np.indices(image.shape) * pixel
    assert image.sum() == pytest.approx(1, abs=1e-5)
    assert (image * rows).sum() == pytest.approx(y, abs=0.02)
    assert (image * columns).sum() == pytest.approx(x, abs=0.02)
    assert (image * (rows - y) ** 2).sum() == pytest.approx(motion**2 + pixel**2 / 12, abs=0.1 * pixel**2)


def test_atoms_at_the_border_are_cut_and_those_outside_are_left_out():
    inside = paint(one(0.0, 4.8), SHAPE, PIXEL).sum()
    whole = paint(one(4.8, 4.8), SHAPE, PIXEL).sum()
    assert 0.5 * whole < inside < 0.9 * whole
    assert paint(one(-3.0, 4.8), SHAPE, PIXEL).sum() == 0


def test_metals_have_the_density_of_their_lattice():
    """Atoms per volume: 4/a³ in fcc, whichever zone axis it is seen along."""
    a = {"Al": 4.05, "Ni": 3.524, "Cu": 3.615, "Pd": 3.891, "Ag": 4.086, "Pt": 3.924, "Au": 4.078}
    for s in FCC:
        count = sum(len(c.atoms) for c in s.columns)
        assert count / (s.height * s.width * s.repeat) == pytest.approx(4 / a[s.name] ** 3, rel=1e-6), s


@pytest.mark.parametrize("structure", [*CRYSTALS, *MONOLAYERS], ids=lambda s: s.name)
def test_columns_of_every_structure_keep_apart(structure):
    atoms = crystal.lattice(structure, (25.0, 25.0), 0.4, (3.0, 7.0))
    assert len(separated(atoms, 0.5).y) == len(atoms.y)
    density = len(atoms.y) / (37.0 * 37.0)
    assert density == pytest.approx(len(structure.columns) / (structure.height * structure.width), rel=0.1)


def test_a_lattice_repeats_with_its_vectors():
    a = crystal.lattice(STRONTIUM_TITANATE, (30.0, 30.0), 0.3, (1.0, 2.0))
    step = STRONTIUM_TITANATE.cell[0] @ np.array(
        [[math.cos(0.3), math.sin(0.3)], [-math.sin(0.3), math.cos(0.3)]]
    )
    inner = a.where((a.y > 8) & (a.y < 22) & (a.x > 8) & (a.x < 22))
    for y, x, w in zip(inner.y, inner.x, inner.strength, strict=True):
        distance = np.hypot(a.y - y - step[0], a.x - x - step[1])
        assert distance.min() < 1e-9
        assert a.strength[np.argmin(distance)] == w


def test_around_a_dislocation_the_displacement_closes_but_for_the_burgers_vector():
    turn = np.linspace(-np.pi + 1e-6, np.pi - 1e-6, 400)
    ring = Atoms(20 * np.sin(turn), 20 * np.cos(turn), np.ones(400), np.ones(400))
    moved = crystal.dislocated(ring, (0.0, 0.0), 2.5, 0.0)
    jump = (moved.x - ring.x)[-1] - (moved.x - ring.x)[0], (moved.y - ring.y)[-1] - (moved.y - ring.y)[0]
    assert jump == pytest.approx((2.5, 0.0), abs=1e-4)


def test_thickness_comes_in_whole_atoms():
    rng = np.random.default_rng(0)
    atoms = crystal.lattice(STRONTIUM_TITANATE, (30.0, 30.0))
    grown = crystal.thick(atoms, STRONTIUM_TITANATE, 20 * 3.905 + 1.95, rng)
    repeats = grown.strength / atoms.strength
    assert set(np.round(repeats, 9)) == {20.0, 21.0}
    assert repeats.mean() == pytest.approx(20.5, abs=0.15)


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_every_class_draws_specimens_of_the_wanted_scattering(name):
    make, diffuse = GENERATED[name]
    for seed in range(6):
        x = specimen(make, 0.02, diffuse[1], (96, 96), 0.2, np.random.default_rng(seed))
        assert x.dtype == np.float32
        assert np.isfinite(x).all()
        assert x.min() >= 0
        assert x.mean() == pytest.approx(0.02, rel=1e-3)
        assert x.std() > 0.005


def test_generated_specimens_scatter_half_to_five_per_cent_and_differ():
    drawn = [draw_any(SHAPE, PIXEL, np.random.default_rng(seed)) for seed in range(20)]
    means = [float(x.mean()) for x in drawn]
    assert min(means) >= 0.00499
    assert max(means) <= 0.0501
    assert len({x.tobytes() for x in drawn}) == 20


def test_standard_scenes_differ_and_are_fixed_by_their_seed():
    drawn = [draw(kind, SHAPE, PIXEL, np.random.default_rng(1)) for kind in KINDS]
    assert len({x.tobytes() for x in drawn}) == len(KINDS) == 4
    np.testing.assert_array_equal(drawn[0], draw(KINDS[0], SHAPE, PIXEL, np.random.default_rng(1)))
