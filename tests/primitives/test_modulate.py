"""M: masks, modes, absorbers and Beer-Lambert transmission."""

from __future__ import annotations

import numpy as np
import pytest

from pwm_core.errors import BadValue
from pwm_core.primitives import Absorb, BeerLambert, Modulate

RNG = np.random.default_rng(1)


def test_mask_multiplies_and_broadcasts_over_leading_axes():
    mask, x = RNG.random((4, 5)), RNG.random((3, 4, 5))
    np.testing.assert_array_equal(Modulate(mask=mask)(x), x * mask)
    np.testing.assert_array_equal(
        Modulate(mask=mask[:, None, :1])(RNG.random((4, 1, 5)) * 0 + 2.0)[:, 0, 0], 2 * mask[:, 0]
    )


def test_modes_become_an_axis_before_those_of_the_mask():
    probe, x = RNG.random((2, 4, 5)) + 1j, RNG.random((3, 4, 5))
    fields = Modulate(mask=probe, modes=True)(x)
    assert fields.shape == (3, 2, 4, 5)
    np.testing.assert_allclose(fields, x[:, None] * probe)


def test_adjoint_of_a_complex_mask_is_multiplication_by_its_conjugate():
    mask, y = RNG.random((4, 5)) + 1j, RNG.random((4, 5)) + 2j
    np.testing.assert_allclose(Modulate(mask=mask).adjoint(y, y), mask.conj() * y)


def test_a_mask_changed_afterwards_does_not_change_the_operator():
    mask = np.ones((2, 2))
    node = Modulate(mask=mask)
    mask[:] = 5
    np.testing.assert_array_equal(node(np.ones((2, 2))), 1)
    with pytest.raises(ValueError, match="read-only"):
        node.mask[0, 0] = 2


def test_absorption_follows_its_strength():
    depth, x = RNG.random((4, 5)), RNG.random((4, 5))
    node = Absorb(depth=depth)
    np.testing.assert_allclose(node(x, {"strength": 0.0}), x)
    np.testing.assert_allclose(node(node(x)), node(x, {"strength": 2.0}))
    assert (node(x, {"strength": 1.1}) <= node(x)).all()


def test_beer_lambert_multiplies_where_depths_add():
    node = BeerLambert(flux=100.0)
    a, b = RNG.random((4, 5)), RNG.random((4, 5))
    np.testing.assert_allclose(node(a + b), node(a) * node(b) / 100)
    np.testing.assert_allclose(node(np.zeros(3)), 100)


def test_masks_that_do_not_fit_are_refused():
    for mask, x in (
        (np.ones((4, 6)), np.ones((4, 5))),
        (np.ones((2, 4, 5)), np.ones((4, 5))),
        (np.ones((4, 5)), np.ones((1, 5))),
    ):
        with pytest.raises(BadValue, match="does not fit"):
            Modulate(mask=mask)(x)
    with pytest.raises(BadValue, match="mode axis"):
        Modulate(mask=np.ones(4), modes=True)
    with pytest.raises(BadValue, match="numeric"):
        Modulate(mask=np.array(["a"]))
    with pytest.raises(BadValue, match="strength"):
        Absorb(depth=np.ones(3), strength=-1.0)
