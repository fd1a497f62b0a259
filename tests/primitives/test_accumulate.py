"""Σ: sums, means, windows and pulses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwm_core.errors import BadValue
from pwm_core.primitives import Accumulate, Expose

RNG = np.random.default_rng(4)
X = RNG.random((6, 4, 5))


def test_whole_axis_disappears():
    np.testing.assert_allclose(Accumulate()(X), X.sum(0))
    np.testing.assert_allclose(Accumulate(axis=-1, mean=True)(X), X.mean(-1))


def test_windows_make_frames_of_sub_frames():
    np.testing.assert_allclose(Accumulate(window=3)(X), X.reshape(2, 3, 4, 5).sum(1))
    np.testing.assert_allclose(Accumulate(axis=-2, window=2, mean=True)(X), X.reshape(6, 2, 2, 5).mean(2))


def test_weights_count_and_their_mean_is_relative_to_their_sum():
    w = RNG.random(6)
    np.testing.assert_allclose(Accumulate(weights=w)(X), np.tensordot(w, X, 1))
    np.testing.assert_allclose(Accumulate(weights=w, mean=True)(X), np.average(X, axis=0, weights=w))


@settings(max_examples=40, deadline=None)
@given(width=st.floats(0, 20), n=st.integers(1, 7))
def test_a_pulse_of_any_width_keeps_a_static_scene(width: float, n: int):
    still = np.full((2 * n, 2, 2), 3.5)
    np.testing.assert_allclose(Expose(width=width, subframe=1.3, window=n)(still), 3.5, rtol=1e-12)


def test_a_pulse_takes_what_it_covers_of_each_sub_frame():
    x = np.zeros((5, 1, 1))
    for width, covered in (
        (1.0, [0, 0, 1, 0, 0]),
        (2.0, [0, 0.25, 0.5, 0.25, 0]),
        (4.0, [0.125, 0.25, 0.25, 0.25, 0.125]),
    ):
        for i, part in enumerate(covered):
            x[:] = 0
            x[i] = 1
            assert Expose(width=width, window=5)(x)[0, 0, 0] == pytest.approx(part, abs=1e-12)


def test_a_longer_pulse_blurs_motion_more():
    x = np.eye(8)[:, None, :]  # a point that moves one pixel in each sub-frame
    peaks = [float(Expose(width=w, window=8)(x).max()) for w in (1.0, 3.0, 6.0)]
    assert peaks[0] > peaks[1] > peaks[2]


def test_axes_windows_and_weights_that_do_not_fit_are_refused():
    for node, words in (
        (Accumulate(axis=-4), "axis -4"),
        (Accumulate(window=4), "multiple"),
        (Accumulate(weights=np.ones(5)), "5 weights for 6"),
    ):
        with pytest.raises(BadValue, match=words):
            node(X)
    for wrong, words in (
        ({"axis": 0}, "from the end"),
        ({"window": 0}, "at least 1"),
        ({"weights": np.array([1.0, -1.0]), "mean": True}, "sum to zero"),
    ):
        with pytest.raises(BadValue, match=words):
            Accumulate(**wrong)
    with pytest.raises(BadValue, match="positive time"):
        Expose(subframe=0.0)
