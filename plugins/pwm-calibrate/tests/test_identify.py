"""The report: what is determined, how well, and what cannot be told apart."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pwm_calibrate.identify import identify
from pwm_calibrate.view import _corrected


def test_errors_are_the_inverse_information_in_units_of_the_parameter():
    report = identify(["a", "b"], [2.0, 10.0], np.diag([100.0, 400.0]))
    assert report.std(0) == pytest.approx(2.0 / 10)
    assert report.std(1) == pytest.approx(10.0 / 20)
    assert report.info()["corr:a,b"] == pytest.approx(0.0, abs=1e-6)


def test_less_than_the_range_says_is_not_determined():
    report = identify(["a", "b"], [1.0, 1.0], np.diag([11.9, 12.1]))
    assert report.std(0) == math.inf
    assert report.std(1) == pytest.approx(1 / math.sqrt(12.1), rel=1e-6)
    assert "corr:a,b" not in report.info()


def test_no_information_at_all_is_no_error_of_arithmetic():
    report = identify(["a", "b"], [1.0, 1.0], np.diag([0.0, 1e9]))
    assert report.std(0) == math.inf
    assert report.std(1) < 1e-4


def test_of_a_degenerate_pair_one_is_given_up_and_widens_the_other(caplog):
    one = np.array([1.0, 0.999])
    information = 1e4 * np.outer(one, one) + np.diag([1e-3, 1e-3])
    report = identify(["size", "angle"], [1.0, 1.0], information)
    assert report.determined.sum() == 1
    kept = int(np.argmax(report.determined))
    # the other lies anywhere in its range: so does then, nearly, this one
    assert report.std(kept) == pytest.approx(1 / math.sqrt(12), rel=0.05)
    assert report.degenerate[0][:2] == ("size", "angle")
    with caplog.at_level(logging.INFO, "pwm.calibrate"):
        report.tell({"size": 0.1, "angle": 0.2}, {"size": "Å", "angle": "mrad"}, np.full(2, 0.5))
    assert "hardly be told apart" in caplog.text
    assert "do not determine" in caplog.text


@given(st.lists(st.floats(0, 1e8), min_size=1, max_size=4), st.integers(0, 1000))
def test_errors_are_never_negative_and_never_less_than_alone(values, seed):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
    information = turn.T @ np.diag(values) @ turn
    report = identify([str(k) for k in range(len(values))], np.ones(len(values)), information)
    for k in range(len(values)):
        assert report.std(k) >= 0.99 / math.sqrt(information[k, k] + 1e-5)
        assert report.std(k) == math.inf or report.std(k) <= 1.001 / math.sqrt(12)


def test_what_is_not_allowed_is_given_up_beforehand():
    report = identify(["a", "b"], [1.0, 1.0], np.diag([1e4, 1e4]), np.array([True, False]))
    assert report.std(0) == pytest.approx(0.01, rel=1e-3)
    assert report.std(1) == math.inf


def test_a_parameter_lost_in_noise_does_not_spoil_the_others():
    """Its information goes, and so do its ties to others: the covariance stays one."""
    information = np.array(
        [[12781, 33.3, 1.3, 6.7], [33.3, 10240, -8.4, 1.3], [1.3, -8.4, 33.4, 38.6], [6.7, 1.3, 38.6, 1204]]
    )
    noise = np.array(
        [[45.7, 0.4, 0.3, 12.5], [0.4, 260, 0.4, 16.3], [0.3, 0.4, 1.9, 44.4], [12.5, 16.3, 44.4, 3526]]
    )
    free = np.array([True, True, False, True])
    corrected = _corrected(information, noise, free)
    assert np.linalg.eigvalsh(corrected).min() > -1e-6
    report = identify("abcd", np.ones(4), corrected, free)
    np.testing.assert_array_equal(report.determined, [True, True, False, False])
    assert report.std(0) == pytest.approx(information[0, 0] ** -0.5, rel=0.02)
