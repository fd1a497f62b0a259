"""The vector kernels against plain NumPy and SciPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numba import njit
from pwm_bm3d.kernels import add_two, transform_two
from pwm_bm3d.matching import match, room
from pwm_bm3d.stages import hard_group, wiener_group
from pwm_bm3d.transforms import BIOR, DCT, bior_matrix
from scipy.fft import dctn

STRIDE = 64


@njit
def _there_dct(image, a, b, group):
    transform_two(DCT, image, STRIDE, a, b, group, 0)


@njit
def _there_bior(image, a, b, group):
    transform_two(BIOR, image, STRIDE, a, b, group, 0)


@njit
def _back_dct(group, window, total, a, b):
    add_two(DCT, group, 0, window, total, STRIDE, a, b)


@njit
def _back_bior(group, window, total, a, b):
    add_two(BIOR, group, 0, window, total, STRIDE, a, b)


def image() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((40, STRIDE)).astype(np.float32)


def patch(pixels: np.ndarray, index: int) -> np.ndarray:
    y, x = divmod(int(index), STRIDE)
    return pixels[y : y + 8, x : x + 8]


def test_cosine_transform_of_two_patches() -> None:
    pixels, group = image(), np.empty((2, 8, 8), np.float32)
    _there_dct(pixels.ravel(), 5, 650, group.ravel())
    for index, found in zip((5, 650), group, strict=True):
        np.testing.assert_allclose(found.T, dctn(patch(pixels, index), norm="ortho"), atol=1e-5)


def test_wavelet_transform_of_two_patches() -> None:
    pixels, group = image(), np.empty((2, 8, 8), np.float32)
    _there_bior(pixels.ravel(), 5, 650, group.ravel())
    matrix = bior_matrix()
    np.testing.assert_allclose(group[1].T, matrix @ patch(pixels, 650) @ matrix.T, atol=1e-5)


def test_wavelet_is_that_of_pywavelets() -> None:
    """Each row of ours is, up to sign and norm, one of the transform of the unit vectors, up to a shift."""
    pywt = pytest.importorskip("pywt", reason="PyWavelets is not installed")
    with warnings.catch_warnings(action="ignore"):  # that every coefficient feels the border
        units = [np.concatenate(pywt.wavedec(e, "bior1.5", "periodization", level=3)) for e in np.eye(8)]
    rows = np.array(units).T
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    shifted = np.array([np.roll(rows, s, axis=1) for s in range(8)])
    likeness = np.abs(np.einsum("sij,kj->ksi", shifted, bior_matrix())).max(axis=(1, 2))
    np.testing.assert_allclose(likeness, 1, atol=1e-6)


@pytest.mark.parametrize(("there", "back"), [(_there_dct, _back_dct), (_there_bior, _back_bior)])
def test_transformed_back_patches_are_added_where_they_were(there, back) -> None:
    pixels, group, window = image(), np.empty(128, np.float32), np.linspace(1, 2, 64, dtype=np.float32)
    total = np.zeros_like(pixels)
    there(pixels.ravel(), 5, 5 + 3 * STRIDE + 2, group)
    back(group, window, total.ravel(), 5, 5 + 3 * STRIDE + 2)
    expected = np.zeros_like(pixels)
    for index in (5, 5 + 3 * STRIDE + 2):
        patch(expected, index)[:] += window.reshape(8, 8) * patch(pixels, index)
    np.testing.assert_allclose(total, expected, atol=1e-5)


@pytest.mark.parametrize("search", [3, 9, 60])
@pytest.mark.parametrize("y", [0, 16, 32])
def test_match_finds_the_nearest(y: int, search: int) -> None:
    """Along a row of reference patches, each of which builds on the one before it."""
    pixels, room_before = image(), search + 32
    padded = np.pad(pixels.ravel(), room_before)[room_before:]
    best, found, last = np.empty(16, np.float32), np.empty(16, np.int64), np.full(16, -1)
    columns, table = room.py_func(search)
    before = -8
    for x in (0, 3, 6, 14, 30, 31, 39, 40):
        shared = 40, 48, y, x, min(x - before, 8), search, np.float32(np.inf)
        n = match(padded, STRIDE, *shared, columns, table, last, best, found)
        reachable = [
            (((patch(pixels, r * STRIDE + c) - patch(pixels, y * STRIDE + x)) ** 2).sum(), r * STRIDE + c)
            for r in range(max(y - search, 0), min(y + search, 32) + 1)
            for c in range(max(x - search, 0), min(x + search, 40) + 1)
        ]
        assert n == 16
        assert list(found) == [index for _, index in sorted(reachable)[:16]]
        before = x


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32])
def test_shrinking_is_a_projection_that_keeps_the_mean(n: int) -> None:
    """Nothing at a low threshold; all but the mean of the first coefficient at a high one."""
    group = np.random.default_rng(1).standard_normal((n, 64)).astype(np.float32)
    kept = group.copy().ravel()
    assert hard_group(kept, n, np.float32(0)) == 64 * n
    np.testing.assert_allclose(kept.reshape(n, 64), group, atol=1e-5)
    lost = group.copy().ravel()
    assert hard_group(lost, n, np.float32(100)) == 1
    expected = np.zeros((n, 64))
    expected[:, 0] = group[:, 0].mean()
    np.testing.assert_allclose(lost.reshape(n, 64), expected, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32])
def test_wiener_shrinking_as_the_formula_says(n: int) -> None:
    rng = np.random.default_rng(2)
    group, pilot = rng.standard_normal((2, n, 64)).astype(np.float32)
    haar = np.eye(n)
    for size in [2**k for k in range(n.bit_length() - 1, 0, -1)]:
        step = np.eye(n)
        for i in range(size // 2):
            step[[i, size // 2 + i]] = 0
            step[i, [2 * i, 2 * i + 1]] = step[size // 2 + i, 2 * i] = 0.5**0.5
            step[size // 2 + i, 2 * i + 1] = -(0.5**0.5)
        haar = step @ haar
    power = (haar @ pilot) ** 2
    factor = power / (power + 1)
    factor[0, 0] = 1
    filtered = group.copy().ravel()
    energy = wiener_group(filtered, pilot.ravel(), n)
    np.testing.assert_allclose(energy, (factor**2).sum(), rtol=1e-4)
    np.testing.assert_allclose(filtered.reshape(n, 64), haar.T @ (factor * (haar @ group)), atol=1e-4)
