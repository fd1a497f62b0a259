"""Non-negative least squares of many problems at once, against SciPy's of one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_mls.nonnegative import nonnegative
from scipy.optimize import nnls


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), unknowns=st.integers(1, 9), own=st.booleans(), shift=st.floats(-1, 1))
def test_the_solution_is_that_of_scipy(seed, unknowns, own, shift):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((20 if own else 1, unknowns + 3, unknowns)) + shift
    a = a * 10 ** rng.uniform(-4, 4, unknowns)
    y = rng.standard_normal((20, unknowns + 3))
    each = np.broadcast_to(a, (20, *a.shape[1:]))
    right = np.einsum("nij,ni->nj", each, y)
    normal = np.einsum("nik,nij->nkj", a, a)
    found = nonnegative(normal if own else normal[0], right).numpy()
    misfits = [np.linalg.norm(m @ x - d) for m, x, d in zip(each, found, y, strict=True)]
    assert found.min() >= 0
    assert misfits == pytest.approx([nnls(m, d)[1] for m, d in zip(each, y, strict=True)], abs=1e-7)


def test_the_conditions_of_the_minimum_hold_for_many_strongly_overlapping_columns():
    rng = np.random.default_rng(0)
    a = np.exp(-0.5 * ((np.arange(60)[:, None] - np.linspace(0, 59, 25)) / 4) ** 2)
    right = rng.poisson(2, (500, 60)) @ a - 8
    x = nonnegative(a.T @ a, right).numpy()
    slope = x @ (a.T @ a) - right
    assert slope.min() > -1e-6
    assert abs(slope * x).max() < 1e-6


def test_nothing_to_solve_gives_nothing():
    assert nonnegative(np.eye(3), np.zeros((0, 3))).shape == (0, 3)
