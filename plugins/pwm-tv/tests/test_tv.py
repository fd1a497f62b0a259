"""Total variation: known solutions, the dual's bounds, scikit-image's objective, units, video, maps."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_tv.fit import Fit
from pwm_tv.scaling import inner
from pwm_tv.thinning import KEPT, least, thinned
from pwm_tv.tv import TotalVariation
from pwm_tv.variation import Variation

from pwm_core import run
from pwm_core.errors import Unsuitable
from pwm_core.testing import checks_for

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

from problems import Absorb, Matrix, Still, Weigh, blocks, blur, counted, maps, posed, spectra

test_tv_keeps_the_contract = pytest.mark.slow(checks_for("tv"))


def variation(weight=0.7, axes=(0, 1), **options):
    return Variation(torch.tensor(weight, dtype=torch.float64), axes, (1.0,) * len(axes), **options)


def solved(problem, **options):
    return run(TotalVariation(**options), problem, device="cpu", threads=1)


def prox(tv, v, steps=400, metric=1.0):
    v = torch.as_tensor(v, dtype=torch.float64)
    dual = tv.start(v)
    x = tv.prox(v, torch.full_like(v, metric), dual, steps, False)
    return x, dual


def test_a_step_shrinks_by_the_strength_over_the_lengths_of_its_sides():
    """In one dimension a step of lengths n and m loses λ/n on one side and λ/m on the other."""
    v = np.r_[np.zeros(10), np.full(20, 5.0)][None]
    x, _ = prox(variation(weight=1.5), v)
    np.testing.assert_allclose(x[0], np.r_[np.full(10, 0.15), np.full(20, 5 - 0.075)], atol=1e-6)


def test_strong_variation_leaves_the_mean():
    v = np.random.default_rng(0).standard_normal((12, 10))
    x, _ = prox(variation(weight=100.0), v, steps=2000)
    np.testing.assert_allclose(x, np.full(v.shape, v.mean()), atol=1e-4)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize(
    ("shape", "axes", "steps"),
    [
        ((17, 23), (0, 1), (1.0, 0.7)),
        ((3, 17, 23), (1, 2), (1.0, 1.0)),
        ((17, 23, 3), (0, 1), (1.0, 1.0)),
        ((2, 5, 17, 23), (1, 2, 3), (0.5, 1.0, 2.0)),
        ((4, 23), (1,), (1.0,)),
        ((400, 400), (0, 1), (1.0, 1.0)),  # enough for threads
    ],
)
def test_compiled_steps_are_those_of_torch(shape, axes, steps, nonnegative):
    rng = np.random.default_rng(5)
    v, weight, metric = (
        torch.from_numpy(a) for a in (rng.normal(0, 3, shape), *rng.uniform(0.5, 1.5, (2, *shape)))
    )
    tv = Variation(weight, axes, steps)
    ours, theirs = tv.start(v), tv.start(v)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in range(2):  # the second goes on from the first
            found = tv.prox(v, metric, ours, 9, nonnegative)
            inverse = 1 / metric
            length = tv._dual_step(inverse)
            expected = tv._in_torch(v, inverse, length, theirs, 9, nonnegative)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ours.p, theirs.p, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ours.q, theirs.q, rtol=1e-10, atol=1e-10)
    assert ours.momentum == pytest.approx(theirs.momentum)
    assert tv.of(found) == pytest.approx(float(tv._length(tv.gradient(found)).sum()), rel=1e-12)


def test_adjoint_of_the_gradient():
    rng = np.random.default_rng(0)
    weight = torch.from_numpy(rng.uniform(0.5, 2, (5, 6, 7)))
    tv = Variation(weight, (0, 1, 2), (1.0, 0.5, 2.0))
    x, p = (
        torch.from_numpy(rng.standard_normal((5, 6, 7))),
        torch.from_numpy(rng.standard_normal((3, 5, 6, 7))),
    )
    assert inner(tv.gradient(x), p) == pytest.approx(inner(x, tv.adjoint(p)))


@pytest.mark.parametrize("together", [(), (0,)])
def test_the_dual_is_feasible_and_the_gap_closes(together):
    v = np.random.default_rng(1).standard_normal((3, 16, 16)) + blocks((16, 16))
    tv = variation(axes=(1, 2), together=together)
    gaps = []
    for steps in (5, 50, 500):
        x, dual = prox(tv, v, steps)
        square = (dual.p**2).sum(0)
        length = (square.sum(together, keepdim=True) if together else square).sqrt()
        assert float(length.max()) <= 1 + 1e-9
        gaps.append(tv.gap(x, dual.p))
    assert gaps[0] > gaps[1] > gaps[2] >= -1e-9
    assert gaps[2] < 1e-3 * tv.of(x)


def test_objective_is_no_higher_than_that_of_scikit_image():
    skimage = pytest.importorskip("skimage.restoration")
    y = blocks((48, 48)) + np.random.default_rng(2).standard_normal((48, 48))
    problem = posed(Still(), blocks((48, 48))).replace(y=y)
    ours = solved(problem, nonnegative=False, strength=0.9, tolerance=1e-6).x
    theirs = skimage.denoise_tv_chambolle(y, weight=0.9, eps=1e-12, max_num_iter=3000)
    tv = variation(weight=0.9)
    ours, theirs = (0.5 * np.sum((x - y) ** 2) + tv.of(torch.from_numpy(x)) for x in (ours, theirs))
    assert ours <= theirs * (1 + 1e-5)


def test_without_variation_it_is_the_likeliest_object():
    factor = np.random.default_rng(1).uniform(0.5, 2, (16, 16))
    problem = posed(counted(Weigh(factor=factor)), blocks((16, 16)) * 50)
    np.testing.assert_allclose(solved(problem, strength=0.0, tolerance=1e-7).x, problem.y / factor, rtol=1e-4)


def test_poisson_solution_is_optimal():
    """No small change of the object lowers its objective: likelihood plus variation in units of noise."""
    problem = posed(counted(blur()), 20 * blocks((16, 16)))
    result = solved(problem, tolerance=1e-5, iterations=300)
    rng = np.random.default_rng(0)
    last = result.history[-1]
    scale = last["variation"] / variation(weight=1.0).of(torch.from_numpy(result.x))
    noise = problem.operator.noise()

    def objective(x):
        return noise.nll(problem.y, problem.operator(x)) + scale * variation(weight=1.0).of(
            torch.from_numpy(x)
        )

    best = objective(result.x)
    for size in (1e-2, 1.0):
        for _ in range(10):
            other = np.maximum(result.x + size * rng.standard_normal(result.x.shape), 0)
            assert objective(other) > best
        assert objective(result.x * (1 + 1e-3 * size)) > best - 1e-3


@settings(max_examples=3, deadline=None)
@given(units=st.integers(-20, 20))
def test_units_of_the_object_do_not_matter(units):
    plain = posed(counted(blur()), 20 * blocks((12, 12)))
    scaled = plain.replace(operator=counted(Weigh(factor=np.full((12, 12), 2.0**units)) @ blur()))
    here, there = (solved(p, iterations=15) for p in (plain, scaled))
    np.testing.assert_allclose(there.x * 2.0**units, here.x, rtol=1e-4)


@pytest.mark.parametrize("dose", [5.0, 500.0])
@pytest.mark.parametrize("operator", [Weigh(factor=np.ones((48, 48))), blur()], ids=["noisy", "blurred"])
def test_the_strength_chosen_predicts_as_well_as_the_best(operator, dose):
    """The error of the mean of the data is near its least value; far strengths double it."""
    x = dose / 6 * blocks((48, 48))
    problem = posed(counted(operator, readout=0.5), x, dtype="float32")
    true = operator(x)

    def error(**options):
        mean = operator(solved(problem, **options).x)
        return np.sum((mean - true) ** 2 / true)

    assert error() < 1.25 * min(error(strength=s) for s in (0.25, 0.5, 1.0, 2.0))


@pytest.mark.parametrize("readout", [0.0, 3.0], ids=["counts", "readout"])
def test_thinned_data_are_independent_and_have_the_mean_of_the_data(readout):
    mean = np.full((300, 300), 12.0)
    fit = Fit(posed(counted(Weigh(factor=np.ones((300, 300))), readout), mean))
    parts = thinned(fit, torch.from_numpy(mean), np.random.default_rng(1))
    kept, others = (p.numpy().ravel() for p in parts)
    variance = 12 + readout**2
    assert kept.mean() == pytest.approx(12, abs=0.1)
    assert others.mean() == pytest.approx(12, abs=0.2)
    assert kept.var() == pytest.approx(variance / KEPT, rel=0.03)
    assert others.var() == pytest.approx(variance / (1 - KEPT), rel=0.03)
    assert abs(np.corrcoef(kept, others)[0, 1]) < 0.015
    np.testing.assert_allclose(KEPT * kept + (1 - KEPT) * others, fit.data.numpy().ravel())


@settings(max_examples=30, deadline=None)
@given(exponent=st.floats(-5, 5))
def test_the_least_of_a_parabola_is_found(exponent):
    goal = 0.8 * 2**exponent
    assert least(lambda s: 1e3 * np.log2(s / goal) ** 2) == pytest.approx(goal, rel=1e-6)


def test_no_strength_can_be_chosen_without_a_stated_noise():
    with pytest.raises(Unsuitable, match="states no noise"):
        solved(posed(blur(), blocks()))


def test_nonlinear_absorption_in_video():
    """Frames of I₀·exp(−x): time helps, and the result is far better than frame by frame logarithms."""
    x = np.stack([0.2 + 0.2 * np.roll(blocks((32, 32)), t // 3, 1) for t in range(6)])
    problem = posed(counted(Absorb(quanta=200.0)), x, dtype="float32", axes=("frame", "y", "x"))
    logarithm = -np.log(np.maximum(problem.y, 1) / 200)
    errors = [
        np.linalg.norm(e - x) for e in (solved(problem).x, solved(problem, time_weight=0.0).x, logarithm)
    ]
    assert errors[0] < errors[1] < 0.6 * errors[2]


def test_maps_of_unlike_scale_gain_alike():
    x = maps(24)
    problem = posed(counted(Matrix(matrix=spectra())), x, dtype="float32", axes=("component", "y", "x"))
    root = 1 / np.sqrt(problem.y.mean((1, 2)))[:, None]
    fitted = np.linalg.lstsq(root * spectra(), root * problem.y.reshape(64, -1), rcond=None)[0].reshape(
        x.shape
    )
    found = solved(problem)
    ratios = [
        np.linalg.norm(f - t) / np.linalg.norm(g - t) for f, g, t in zip(found.x, fitted, x, strict=True)
    ]
    assert max(ratios) < 1.05
    assert np.mean(ratios) < 0.75


def test_vectorial_variation_shares_edges():
    """Components with the same edges gain from it, each at its best strength."""
    x = np.stack([3 * blocks(), 20 - 3 * blocks()])
    problem = posed(
        counted(Matrix(matrix=np.array([[1.0, 0.1], [0.1, 1.0]]))), x, axes=("component", "y", "x")
    )
    own, shared = (
        min(np.linalg.norm(solved(problem, vectorial=v, strength=s).x - x) for s in (0.5, 0.8, 1.2, 1.8))
        for v in (False, True)
    )
    assert shared < own


def test_what_lies_under_the_mask_does_not_matter():
    problem = posed(counted(blur()), 20 * blocks((20, 20)))
    mask = np.random.default_rng(5).random((20, 20)) > 0.3
    results = [
        solved(problem.replace(y=np.where(mask, problem.y, junk), mask=mask)).x for junk in (np.nan, 1e9)
    ]
    np.testing.assert_array_equal(*results)
    whole = solved(problem).x
    assert np.linalg.norm(results[0] - whole) < 0.1 * np.linalg.norm(whole)


def test_complex_objects_and_objects_without_an_image_are_refused():
    problem = posed(Weigh(factor=np.ones((8, 8))), np.ones((8, 8)), dtype="complex64")
    with pytest.raises(Unsuitable, match="real objects"):
        solved(problem)
    with pytest.raises(Unsuitable, match="needs image axes"):
        solved(problem.replace(dtype="float32", y=problem.y.real, axes=("a", "b")))
