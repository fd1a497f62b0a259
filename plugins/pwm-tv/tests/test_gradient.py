"""Gradient descent and Landweber: closed forms, other optimisers, scales, masks, nonlinear operators."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_tv.fit import Fit
from pwm_tv.gradient import GradientDescent
from pwm_tv.landweber import Landweber
from pwm_tv.scaling import starting_object
from scipy.optimize import lsq_linear, minimize

from pwm_core import Problem, run
from pwm_core.noise import Poisson
from pwm_core.testing import checks_for

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

from problems import Absorb, Matrix, Still, Weigh, Whitened, blocks, blur, counted, maps, posed, spectra

BOTH = [GradientDescent, Landweber]

test_gradient_descent_keeps_the_contract = pytest.mark.slow(checks_for("gradient-descent"))
test_landweber_keeps_the_contract = pytest.mark.slow(checks_for("landweber"))


def to_the_end(method, **options):
    """The method with nothing that stops it before the optimum."""
    return method(discrepancy=0.0, tolerance=0.0, **options)


def solved(method, problem):
    return run(method, problem, device="cpu", threads=1)


@pytest.mark.parametrize("method", BOTH)
def test_diagonal_problem_has_its_closed_solution(method):
    """Each pixel by itself: the likeliest object is y over the factor, for any noise."""
    factor = np.random.default_rng(1).uniform(0.5, 2, (16, 16))
    problem = posed(counted(Weigh(factor=factor)), blocks((16, 16)) * 50)
    result = solved(to_the_end(method, iterations=400), problem)
    np.testing.assert_allclose(result.x, problem.y / factor, rtol=2e-4)


@pytest.mark.parametrize("method", BOTH)
def test_least_squares_solves_the_normal_equations(method):
    rng = np.random.default_rng(2)
    matrix = rng.standard_normal((30, 5))
    problem = posed(Matrix(matrix=matrix), rng.standard_normal((5, 4, 4)), axes=("component", "y", "x"))
    problem = problem.replace(y=problem.y + 0.1 * rng.standard_normal(problem.y.shape))
    expected = np.linalg.lstsq(matrix, problem.y.reshape(30, -1), rcond=None)[0].reshape(5, 4, 4)
    result = solved(to_the_end(method, iterations=400, nonnegative=False), problem)
    np.testing.assert_allclose(result.x, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", BOTH)
def test_bounded_least_squares_agrees_with_scipy(method):
    rng = np.random.default_rng(3)
    matrix = rng.uniform(0, 1, (30, 5))
    problem = posed(Matrix(matrix=matrix), rng.uniform(-1, 1, (5, 1, 1)), axes=("component", "y", "x"))
    expected = lsq_linear(matrix, problem.y.ravel(), (0, np.inf), tol=1e-12)
    result = solved(to_the_end(method, iterations=3000), problem)
    assert (expected.x < 1e-9).any()  # the bound is met
    np.testing.assert_allclose(result.x.ravel(), expected.x, atol=1e-5)


def test_poisson_likelihood_agrees_with_lbfgsb():
    problem = posed(counted(Matrix(matrix=spectra() / 1e2)), maps(3), axes=("component", "y", "x"))
    noise, matrix = Poisson(), spectra() / 1e2

    def loss(x):
        mean = np.tensordot(matrix, x.reshape(problem.shape), 1)
        slope = 1 - problem.y / np.maximum(mean, 1e-9)
        return noise.nll(problem.y, mean), np.tensordot(matrix.T, slope, 1).ravel()

    units = np.repeat([1.0, 1e2, 1e-2, 1e1], 9)  # which L-BFGS-B needs to be told, and the method does not
    best = minimize(
        lambda u: (loss(u * units)[0], loss(u * units)[1] * units),
        maps(3).ravel() / units, jac=True, method="L-BFGS-B", bounds=[(0, None)] * 36,
        options={"maxiter": 2000, "ftol": 1e-14, "gtol": 1e-9, "maxcor": 30},
    )  # fmt: skip
    result = solved(to_the_end(GradientDescent, iterations=400), problem)
    found = loss(result.x.ravel())[0]
    assert found - best.fun < 1e-3  # a thousandth of what noise changes it by


@pytest.mark.parametrize("readout", [0.0, 2.0])
def test_misfit_is_the_stated_likelihood(readout):
    """Up to a constant, above the means that are taken for dark."""
    problem = posed(counted(blur(), readout), 30 * blocks())
    fit, noise = Fit(problem), problem.operator.noise()
    means = [problem.operator(k * blocks()) for k in (20.0, 30.0, 37.0)]
    ours = np.diff([fit.misfit(torch.from_numpy(m)) for m in means])
    np.testing.assert_allclose(ours, np.diff([noise.nll(problem.y, m) for m in means]), rtol=1e-9)


@pytest.mark.parametrize("loss", ["likelihood", "least-squares"])
def test_slope_is_the_derivative_of_the_misfit(loss):
    """Also where the mean is dark or negative."""
    problem = posed(counted(blur()), 5 * blocks((8, 8)))
    fit = Fit(problem, loss)
    mean = torch.from_numpy(np.random.default_rng(0).uniform(-0.02, 3, (8, 8)))
    direction = torch.from_numpy(np.random.default_rng(1).standard_normal((8, 8))) * 1e-7
    change = fit.misfit(mean + direction) - fit.misfit(mean - direction)
    assert change == pytest.approx(2 * float((fit.slope(mean) * direction).sum()), rel=1e-3)


@pytest.mark.parametrize("method", BOTH)
@settings(max_examples=8, deadline=None)
@given(units=st.integers(-20, 20), counts=st.integers(-12, 20))
def test_units_of_object_and_data_do_not_matter(method, units, counts):
    """The object in other units, the data in other counts per quantum: the same steps."""
    plain = posed(counted(blur()), 20 * blocks((12, 12)))
    factor = np.full((12, 12), 2.0**units)
    operator = counted(Weigh(factor=factor) @ blur())
    operator = operator.replace(outer=operator.outer.replace(gain=2.0**counts))
    scaled = plain.replace(y=plain.y * 2.0**counts, operator=operator)
    here, there = (solved(to_the_end(method, iterations=15), p) for p in (plain, scaled))
    np.testing.assert_allclose(there.x * 2.0**units, here.x, rtol=1e-4)


def test_components_of_unlike_scale_are_all_found():
    """Sensitivities that differ by 10⁴: each map is found as well as by weighted least squares."""
    x = maps()
    problem = posed(counted(Matrix(matrix=spectra())), x, dtype="float32", axes=("component", "y", "x"))
    root = 1 / np.sqrt(problem.y.mean((1, 2)))[:, None]
    fitted = np.linalg.lstsq(root * spectra(), root * problem.y.reshape(64, -1), rcond=None)[0].reshape(
        x.shape
    )
    result = solved(GradientDescent(), problem)
    for k in range(4):
        assert np.linalg.norm(result.x[k] - x[k]) < 1.05 * np.linalg.norm(fitted[k] - x[k])


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("operator", [blur(), Absorb()], ids=["blur", "absorb"])
def test_loss_never_rises(method, operator):
    problem = posed(counted(operator), 0.3 * blocks(), dtype="float32")
    problem = problem if operator.linear else problem.replace(initial=np.full((32, 32), 3.0))
    losses = [row["loss"] for row in solved(to_the_end(method, iterations=40), problem).history]
    assert losses[-1] < 0.95 * losses[0]
    slack = 1e-6 if method is GradientDescent else 2e-3  # Landweber minimises the weighted squares
    assert all(b <= a * (1 + slack) for a, b in itertools.pairwise(losses))


@pytest.mark.parametrize("method", BOTH)
def test_a_nonlinear_operator_is_inverted(method):
    problem = posed(counted(Absorb(quanta=1e4)), 0.3 * blocks(), axes=("y", "x"))
    result = solved(to_the_end(method, iterations=300), problem)
    np.testing.assert_allclose(result.x, np.maximum(-np.log(problem.y / 1e4), 0), atol=2e-3)


@pytest.mark.parametrize("method", BOTH)
def test_what_lies_under_the_mask_does_not_matter(method):
    problem = posed(counted(blur()), 20 * blocks((16, 16)))
    mask = np.random.default_rng(5).random((16, 16)) > 0.2
    results = [
        solved(method(iterations=20), problem.replace(y=np.where(mask, problem.y, junk), mask=mask)).x
        for junk in (np.nan, 1e9)
    ]
    np.testing.assert_array_equal(*results)
    clean = solved(method(iterations=20), problem).x
    assert np.linalg.norm(results[0] - clean) < 0.3 * np.linalg.norm(clean)


@pytest.mark.parametrize("method", BOTH)
def test_stops_at_the_level_of_the_noise(method):
    x = blocks() * 20
    problem = posed(counted(blur(2.0)), x)
    stopped = solved(method(iterations=2000), problem)
    mean = problem.operator(stopped.x)
    assert np.mean((problem.y - mean) ** 2 / mean) == pytest.approx(1, abs=0.02)
    fitted = solved(to_the_end(method, iterations=2000), problem)
    errors = [np.linalg.norm(r.x - x) for r in (stopped, fitted)]
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("method", BOTH)
def test_a_complex_object_of_a_linear_operator_is_found(method):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((12, 4)) + 1j * rng.standard_normal((12, 4))
    x = rng.standard_normal((4, 2, 2)) + 1j * rng.standard_normal((4, 2, 2))
    problem = posed(Matrix(matrix=matrix), x, dtype="complex128", axes=("component", "y", "x"))
    result = solved(to_the_end(method, iterations=400), problem)
    np.testing.assert_allclose(result.x, x, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "factor"), [(GradientDescent(iterations=60), 0.01), (Landweber(), 0.02)])
def test_ptychography_from_a_known_probe(method, factor):
    """Σ(|Ψ| − √I)²/ΣI falls by these factors."""
    modality = pytest.importorskip("pwm_ptychography.modality").Ptychography.small()
    problem, _ = modality.simulate("chart")
    result = solved(method, problem)
    before, after = (
        modality.residuals(problem.operator(x), problem)["residual"] for x in (problem.initial, result.x)
    )
    assert after < factor * before


@pytest.mark.parametrize("method", BOTH)
def test_a_start_that_fits_already_is_all_but_kept(method):
    problem = posed(counted(blur(2.0)), 20 * blocks())
    fitted = solved(to_the_end(method, iterations=60), problem).x
    result = solved(method(), problem.replace(initial=fitted))
    assert len(result.history) == 1
    assert np.linalg.norm(result.x - fitted) < 5e-3 * np.linalg.norm(fitted)


@pytest.mark.parametrize("method", BOTH)
def test_an_overstated_noise_does_not_leave_the_object_flat(method):
    """A flat object within the stated noise says nothing of the true one."""
    x = 10 + 0.3 * blocks()
    problem = posed(Still(sigma=0.1), x)
    problem = problem.replace(operator=Still(sigma=3.0))
    result = solved(method(), problem)
    assert np.linalg.norm(result.x - x) < 0.2 * np.linalg.norm(x - x.mean())


@pytest.mark.parametrize("method", BOTH)
def test_data_that_reduce_are_fitted_in_their_reduced_form(method):
    """The likelihood takes the reduced maps, counting noise all channels."""
    x = maps(6)
    problem = posed(Whitened(matrix=spectra()), x, axes=("component", "y", "x"))
    reduced = solved(to_the_end(method, nonnegative=False, iterations=400), problem)
    whole = solved(to_the_end(method, nonnegative=False, iterations=400), problem.reduced())
    np.testing.assert_array_equal(reduced.x, whole.x)
    assert reduced.history[-1]["loss"] < 1e-3  # as many data as unknowns
    counting = solved(to_the_end(method, loss="poisson", iterations=30), problem)
    assert counting.history[-1]["loss"] > 100


def test_start_has_a_level_for_each_component():
    """Weighted by the noise: constant maps are found up to it."""
    x = np.ones((4, 8, 8)) * np.array([20.0, 2000.0, 0.2, 200.0])[:, None, None]
    problem = posed(counted(Matrix(matrix=spectra())), x, axes=("component", "y", "x"))
    start = starting_object(problem, Fit(problem)).numpy()
    assert np.ptp(start, axis=(1, 2)).max() == 0
    np.testing.assert_allclose(start[:, 0, 0], x[:, 0, 0], rtol=0.05)


def test_an_operator_without_noise_is_fitted_by_least_squares():
    problem = posed(blur(), blocks())
    assert problem.operator.noise() is None
    given, plain = (solved(GradientDescent(loss=n), problem).x for n in ("likelihood", "least-squares"))
    np.testing.assert_array_equal(given, plain)


def test_noise_free_data_of_a_gaussian_detector_are_fitted():
    x = blocks()
    problem = Problem(y=x, operator=Still(sigma=0.0), modality="test", shape=x.shape, dtype="float64")
    np.testing.assert_allclose(solved(GradientDescent(), problem).x, x, atol=1e-6)


def test_data_without_a_count_give_an_empty_object():
    problem = posed(counted(blur()), np.zeros((8, 8)))
    for method in BOTH:
        np.testing.assert_array_equal(solved(method(), problem).x, 0)
