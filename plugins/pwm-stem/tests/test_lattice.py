"""Lattice vectors and scan distortion from the transform of an image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_stem.lattice import lattice_vectors, scan_distortion_from_lattice
from pwm_stem.modality import STEM
from pwm_stem.objects.crystal import lattice
from pwm_stem.objects.paint import paint
from pwm_stem.objects.structures import CRYSTALS, STRONTIUM_TITANATE

from pwm_core.errors import BadValue

PIXEL = 0.15
OPERATOR = STEM(readout=0.0).simulate("perovskite")[0].operator


def image_of(structure, angle, distortion, counts=None, n=160):
    x = paint(lattice(structure, (n * PIXEL, n * PIXEL), angle, (1.1, 2.2)), (n, n), PIXEL)
    y = OPERATOR(x, {"scan.distortion": distortion})
    return y if counts is None else np.random.default_rng(0).poisson(y * counts / y.mean()).astype(float)


@settings(max_examples=12, deadline=None)
@given(st.floats(0, 1.5), st.floats(-0.6, 1.15))
def test_distortion_is_found_at_any_orientation(angle, distortion):
    y = image_of(STRONTIUM_TITANATE, angle, distortion)
    assert scan_distortion_from_lattice(y, PIXEL, 3.905) == pytest.approx(distortion, abs=0.03)
    free = scan_distortion_from_lattice(y, 1.03 * PIXEL, 3.905, pixel_known=False)
    assert free == pytest.approx(distortion, abs=0.06)


def test_eight_counts_a_pixel_suffice():
    y = image_of(STRONTIUM_TITANATE, 0.2, 0.7, counts=8.0, n=256)
    assert scan_distortion_from_lattice(y, PIXEL, 3.905) == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("name", ["Pt", "GaAs", "GaN", "CeO2"])
def test_vectors_of_other_lattices(name):
    structure = next(s for s in CRYSTALS if s.name == name)
    vectors = lattice_vectors(image_of(structure, 0.35, 0.0), PIXEL, structure.cell)
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths == pytest.approx([structure.height, structure.width], rel=2e-3)
    turned = np.degrees(np.arctan2(-vectors[1, 0], vectors[1, 1])) % 90
    assert turned == pytest.approx(np.degrees(0.35), abs=0.2)


def test_noise_has_no_lattice():
    y = np.random.default_rng(0).poisson(8.0, (128, 128))
    with pytest.raises(BadValue, match=r"reflections|lattice"):
        lattice_vectors(y, PIXEL, 3.905)


@pytest.mark.parametrize("wrong", [np.ones((2, 2)), np.ones(3), 0.0])
def test_what_is_no_lattice_is_refused(wrong):
    with pytest.raises(BadValue, match="two independent vectors"):
        lattice_vectors(np.ones((64, 64)), PIXEL, wrong)
