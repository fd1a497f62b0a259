"""S: pattern sets, their fast products and their inverses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import hadamard

from pwm_core.errors import BadValue
from pwm_core.primitives import Illuminate

RNG = np.random.default_rng(6)
X = RNG.random((4, 8))


def test_hadamard_patterns_are_the_rows_of_the_matrix():
    patterns = Illuminate(shape=(4, 8)).patterns
    np.testing.assert_array_equal(patterns.reshape(32, 32), hadamard(32) > 0)


def test_fast_hadamard_sums_are_the_products_with_the_patterns():
    for count in (None, 11):
        node = Illuminate(shape=(4, 8), count=count)
        np.testing.assert_allclose(node(X), node.patterns.reshape(-1, 32) @ X.ravel(), atol=1e-13)


def test_a_complete_hadamard_set_determines_the_scene():
    y = Illuminate(shape=(4, 8))(X)
    signed = 2 * y - y[0]  # the first pattern is all bright
    np.testing.assert_allclose((hadamard(32) @ signed / 32).reshape(4, 8), X, atol=1e-13)


def test_blocks_tile_the_scene_once():
    node = Illuminate(shape=(4, 8), kind="block", block=2)
    assert node.patterns.shape == (8, 4, 8)
    np.testing.assert_array_equal(node.patterns.sum(0), 1)
    np.testing.assert_allclose(node(X).reshape(2, 4), X.reshape(2, 2, 4, 2).sum((1, 3)))
    assert node(X).sum() == pytest.approx(X.sum())


def test_random_patterns_are_fixed_by_their_seed_and_half_bright():
    a, b, c = (Illuminate(shape=(16, 16), kind="random", seed=s).patterns for s in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert a.mean() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(a.size))


@pytest.mark.parametrize("kind", ["block", "hadamard", "random"])
def test_buckets_collect_the_light_of_the_frames_at_any_contrast(kind: str):
    bucket = Illuminate(shape=(4, 8), kind=kind, count=7, contrast=0.6)
    frames = bucket.replace(bucket=False)(X)
    assert frames.shape == (7, 4, 8)
    np.testing.assert_allclose(bucket(X), frames.sum((1, 2)), atol=1e-13)
    np.testing.assert_allclose(bucket(X, {"contrast": 0.0}), X.sum() / 2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shape": (4, 6)}, "powers of two"),
        ({"shape": (4, 6), "kind": "block", "block": 4}, "tile"),
        ({"shape": (4, 4), "count": 17}, "between 1 and 16"),
        ({"shape": (4, 4), "kind": "stripes"}, "kind"),
        ({"shape": (4, 4), "contrast": 1.5}, "contrast"),
    ],
)
def test_impossible_pattern_sets_are_refused(wrong: dict, words: str):
    with pytest.raises(BadValue, match=words):
        Illuminate(**wrong)


def test_a_scene_of_another_size_is_refused():
    with pytest.raises(BadValue, match=r"y=4, x=8"):
        Illuminate(shape=(4, 8))(np.ones((8, 4)))
