"""Multiple least squares: closed forms, noise, masks, and what is refused."""

import numpy as np
import pytest
import torch
from pwm_mls.least_squares import LinearFit
from pwm_mls.mls import MultipleLeastSquares, uncertainty
from pwm_spectroscopy.assembly import operator_for
from pwm_spectroscopy.instruments import EDXInstrument, XRFInstrument

from pwm_core import Problem, run
from pwm_core.errors import BadValue, Unsuitable
from pwm_core.operator import Operator
from pwm_core.primitives import Detect
from pwm_core.testing import checks_for

test_mls = checks_for("mls")

SIDE = 12


class Matrix(Operator):
    """Spectra (energy, component) times maps (component, y, x), and a factor for each pixel."""

    matrix: np.ndarray
    factor: np.ndarray | float = 1.0

    def apply(self, x):
        spectra = torch.tensordot(torch.as_tensor(self.matrix).to(x), x, dims=1)
        return spectra * torch.as_tensor(self.factor).to(x)


@pytest.fixture(scope="module")
def operator():
    return operator_for(("O", "Ti", "V", "Ba"), EDXInstrument(probe_size=0.0), channels=512, gain=0.02)


def posed(operator, x, y=None, **more):
    y = operator(x) if y is None else y
    return Problem(
        y=y, operator=operator, modality="stem-edx", shape=x.shape, axes=("component", "y", "x"), **more
    )


def solved(problem, **settings):
    return run(MultipleLeastSquares(**settings), problem, device="cpu", threads=1).x


def maps(seed=0, components=4, side=SIDE):
    return np.random.default_rng(seed).uniform(1, 10, (components, side, side))


@pytest.mark.parametrize("settings", [{}, {"weights": "none"}, {"weights": "pixel"}, {"nonnegative": True}])
def test_data_without_noise_give_the_object_back(operator, settings):
    x = maps()
    np.testing.assert_allclose(solved(posed(operator, x, dtype="float64"), **settings), x, rtol=1e-6)


def test_data_without_noise_of_an_xray_beam_give_the_object_back():
    h = operator_for(("S", "Ca", "Fe", "matrix"), XRFInstrument(spot_size=0.0), channels=512, gain=0.04)
    x = maps(1)
    np.testing.assert_allclose(solved(posed(h, x.astype(np.float32))), x, rtol=1e-3, atol=1e-3)


def test_amounts_are_those_of_weighted_linear_least_squares(operator):
    y = operator.sample(maps(2), np.random.default_rng(0))
    problem = posed(operator, maps(2), y, dtype="float64")
    root = np.sqrt(LinearFit.of(problem).weights)[:, None]
    expected = np.linalg.lstsq(root * operator.columns(), root * y.reshape(512, -1), rcond=None)[0]
    np.testing.assert_allclose(solved(problem).reshape(4, -1), expected, rtol=1e-8, atol=1e-8)


def test_weights_are_the_inverse_of_the_expected_mean_spectrum(operator):
    x = np.broadcast_to(np.array([3.0, 4, 2, 5])[:, None, None], (4, 64, 64)).copy()
    y = operator.sample(x, np.random.default_rng(0))
    mean = operator(x).mean((1, 2))
    bright = mean > 0.05
    weights = LinearFit.of(posed(operator, x, y)).weights
    assert abs(weights * mean - 1)[bright].mean() < 0.04


@pytest.mark.parametrize("weights", ["mean", "none", "pixel"])
def test_scatter_about_the_truth_is_what_the_uncertainty_says(operator, weights):
    x = np.broadcast_to(np.array([3.0, 4, 2, 5])[:, None, None], (4, 40, 40)) * np.linspace(1, 3, 40)
    errors, stated = [], []
    for seed in range(8):
        problem = posed(operator, x, operator.sample(x, np.random.default_rng(seed)))
        errors.append(solved(problem, weights=weights) - x)
        stated.append(uncertainty(problem, weights))
    error, variance = np.array(errors), np.array(stated) ** 2
    for half in (np.s_[..., :20], np.s_[..., 20:]):
        ratio = error[half].var((0, 2, 3)) / variance[half].mean((0, 2, 3))
        np.testing.assert_allclose(ratio, 1, atol=0.1)
    assert abs(error.mean((0, 2, 3)) / np.sqrt(variance.mean((0, 2, 3)))).max() < 0.05


def test_info_states_the_deviation_in_a_mean_pixel(operator):
    x = np.broadcast_to(np.array([3.0, 4, 2, 5])[:, None, None], (4, 32, 32)).copy()
    problem = posed(operator, x, operator.sample(x, np.random.default_rng(0)))
    row = run(MultipleLeastSquares(), problem, device="cpu").history[0]
    mean = uncertainty(problem).mean((1, 2))
    assert [row[f"std:{e}"] for e in ("O", "Ti", "V", "Ba")] == pytest.approx(mean, rel=0.05)


def test_free_amounts_of_a_trace_are_unbiased_and_nonnegative_ones_are_not(operator):
    x = np.broadcast_to(np.array([3.0, 4, 0.05, 5])[:, None, None], (4, 64, 64)).copy()
    problem = posed(operator, x, operator.sample(x, np.random.default_rng(0)))
    error = uncertainty(problem)[2].mean() / 64
    assert abs(solved(problem)[2].mean() - 0.05) < 4 * error
    assert solved(problem, nonnegative=True)[2].mean() - 0.05 > 10 * error
    assert solved(problem, nonnegative=True).min() == 0


def test_what_the_beam_blurs_stays_blurred():
    h = operator_for(("O", "Ti"), EDXInstrument(probe_size=3.0), channels=512, gain=0.02)
    x = np.ones((2, 16, 16))
    x[:, 8, 8] = 40
    blurred = h.beam.blur(torch.from_numpy(x), 3.0).numpy()
    np.testing.assert_allclose(solved(posed(h, x, dtype="float64")), blurred, rtol=1e-6)


def test_what_lies_under_a_mask_does_not_matter(operator):
    x = maps(3)
    mask = np.ones((512, SIDE, SIDE), bool)
    mask[:20], mask[:, :, :2] = False, False
    y = np.where(mask, operator(x), np.nan)
    found = solved(posed(operator, x, y, mask=mask, dtype="float64"))
    np.testing.assert_allclose(found[:, :, 2:], x[:, :, 2:], rtol=1e-6)
    assert not found[:, :, :2].any()


@pytest.mark.parametrize("nonnegative", [False, True])
def test_single_masked_data_are_left_out_pixel_by_pixel(operator, nonnegative):
    x, rng = maps(4), np.random.default_rng(0)
    mask = rng.random((512, SIDE, SIDE)) > 0.3
    y = np.where(mask, operator(x), 1e6)
    found = solved(posed(operator, x, y, mask=mask, dtype="float64"), nonnegative=nonnegative)
    np.testing.assert_allclose(found, x, rtol=1e-6)


def test_integers_in_read_only_memory_are_taken_as_they_are(operator, tmp_path):
    y = operator.sample(maps(5), np.random.default_rng(0))
    path = tmp_path / "counts.dat"
    y.astype(">u2").tofile(path)
    mapped = np.memmap(path, ">u2", "r", shape=y.shape)
    one, other = (solved(posed(operator, maps(5), counts)) for counts in (mapped, y.astype(np.float32)))
    np.testing.assert_array_equal(one, other)


def test_an_operator_that_knows_only_full_maps_will_do():
    g = np.random.default_rng(0).random((30, 3))
    x = maps(6, components=3)
    even = Matrix(matrix=g, factor=np.full((SIDE, SIDE), 2.0))
    np.testing.assert_allclose(solved(posed(even, x, dtype="float64")), x, rtol=1e-8)
    uneven = Matrix(matrix=g, factor=np.linspace(1, 2, SIDE))
    with pytest.raises(Unsuitable, match="varies"):
        solved(posed(uneven, x))


def test_gaussian_noise_has_equal_weights_of_its_own_size():
    g = np.random.default_rng(0).random((30, 3))
    h = Detect(name="detector", mode="linear", statistics="gaussian", readout=0.5) @ Matrix(matrix=g)
    x = maps(7, components=3, side=40)
    problem = posed(h, x, h.sample(x, np.random.default_rng(1)))
    errors = (solved(problem) - x).reshape(3, -1)
    np.testing.assert_allclose(np.cov(errors), 0.25 * np.linalg.inv(g.T @ g), rtol=0.15, atol=2e-3)
    np.testing.assert_allclose(
        uncertainty(problem)[:, 0, 0] ** 2, 0.25 * np.diag(np.linalg.inv(g.T @ g)), rtol=1e-4
    )


def test_what_cannot_be_fitted_is_refused(operator):
    x = maps()
    g = np.random.default_rng(0).random((30, 4))
    with pytest.raises(BadValue, match="not independent"):
        solved(posed(Matrix(matrix=np.c_[g[:, :3], g[:, 0]]), x))
    with pytest.raises(BadValue, match="no counts"):
        solved(posed(operator, x, np.zeros((512, SIDE, SIDE))))
    with pytest.raises(BadValue, match="not finite"):
        solved(posed(operator, x, np.full((512, SIDE, SIDE), np.nan)))
    piled = operator.replace(outer=operator.detector.replace(pile_up=1e-4))
    with pytest.raises(Unsuitable, match="not linear"):
        solved(posed(piled, x, operator(x)))
    with pytest.raises(Unsuitable, match="spectra of pixels"):
        solved(posed(operator, x, operator(x)[:, :, :-1]))
