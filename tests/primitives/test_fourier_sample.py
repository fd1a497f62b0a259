"""F: k-space samples on and off the grid against direct sums."""

from __future__ import annotations

import numpy as np
import pytest

from pwm_core.errors import BadValue
from pwm_core.primitives import FourierSample, Propagate

RNG = np.random.default_rng(3)


def _grid(ny: int, nx: int) -> np.ndarray:
    ky, kx = np.meshgrid((np.arange(ny) - ny // 2) / ny, (np.arange(nx) - nx // 2) / nx, indexing="ij")
    return np.stack([ky.ravel(), kx.ravel()], axis=1)


@pytest.mark.parametrize("shape", [(6, 7), (8, 5)])
def test_full_grid_is_unitary_and_the_same_by_mask_and_by_points(shape: tuple[int, int]):
    x = RNG.random(shape) + 1j * RNG.random(shape)
    full = FourierSample(mask=np.ones(shape, bool))
    np.testing.assert_allclose(full(x), Propagate(method="fraunhofer")(x).ravel(), atol=1e-13)
    np.testing.assert_allclose(full.adjoint(full(x), x), x, atol=1e-13)
    np.testing.assert_allclose(FourierSample(points=_grid(*shape))(x), full(x), atol=1e-13)


def test_mask_keeps_the_order_of_the_grid():
    mask, x = RNG.random((6, 7)) < 0.4, RNG.random((6, 7))
    everything = FourierSample(mask=np.ones((6, 7), bool))(x)
    np.testing.assert_allclose(FourierSample(mask=mask)(x), everything[mask.ravel()], atol=1e-14)


def test_points_anywhere_are_the_direct_sum():
    x, k = RNG.random((5, 6)), RNG.uniform(-0.5, 0.5, (9, 2))
    r = _grid(5, 6) * [5, 6]
    direct = np.exp(-2j * np.pi * k @ r.T) @ x.ravel() / np.sqrt(30)
    np.testing.assert_allclose(FourierSample(points=k)(x), direct, atol=1e-13)


def test_a_trajectory_off_by_whole_samples_reads_the_neighbours():
    x = RNG.random((6, 7))
    for node in (
        FourierSample(mask=np.ones((6, 7), bool), name="k"),
        FourierSample(points=_grid(6, 7), name="k"),
    ):
        read = node(x, {"k.shift_ky": 1.0, "k.shift_kx": -2.0}).reshape(6, 7)
        np.testing.assert_allclose(read, np.roll(node(x).reshape(6, 7), (-1, 2), axis=(0, 1)), atol=1e-12)


def test_adjoint_to_a_real_image_is_the_real_part():
    mask, x = RNG.random((6, 7)) < 0.5, RNG.random((6, 7))
    node = FourierSample(mask=mask)
    y = RNG.random(int(mask.sum())) + 1j
    np.testing.assert_allclose(node.adjoint(y, x), node.adjoint(y, x + 0j).real, atol=1e-14)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "either"),
        ({"mask": np.ones((2, 2), bool), "points": np.zeros((1, 2))}, "either"),
        ({"mask": np.ones((2, 2))}, "boolean"),
        ({"points": np.zeros((3, 3))}, "ky and kx"),
    ],
)
def test_unclear_sampling_is_refused(wrong: dict, words: str):
    with pytest.raises(BadValue, match=words):
        FourierSample(**wrong)


def test_an_image_of_another_size_than_the_mask_is_refused():
    with pytest.raises(BadValue, match=r"y=6, x=7"):
        FourierSample(mask=np.ones((6, 7), bool))(np.ones((7, 6)))
