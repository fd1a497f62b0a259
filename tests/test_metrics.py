"""Metrics and scores: against scikit-image, against cases worked out by hand, and at their edges."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pwm_core import Axis, Modality, Operator, Problem, Truth, param, score
from pwm_core.errors import BadValue
from pwm_core.metrics import (
    blind_score,
    consistency,
    data_range,
    nrmse,
    psnr,
    recovery_ratio,
    ssim,
    standard_score,
)
from pwm_core.modality import View


def images(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def skimage_ssim(estimate: np.ndarray, truth: np.ndarray, span: float) -> float:
    return structural_similarity(
        truth, estimate, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=span
    )


# -- PSNR and SSIM ------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.floats(-100, 100), st.floats(0.01, 2))
def test_psnr_and_ssim_of_an_image_are_those_of_scikit_image(
    seed: int, scale: float, offset: float, noise: float
) -> None:
    truth = scale * images(seed, 16, 21) + offset
    estimate = truth + noise * scale * images(seed + 1, 16, 21)
    span = truth.max() - truth.min()
    assert psnr(estimate, truth) == pytest.approx(peak_signal_noise_ratio(truth, estimate, data_range=span))
    assert ssim(estimate, truth) == pytest.approx(skimage_ssim(estimate, truth, span))


def test_a_stack_is_measured_with_the_range_of_the_whole_array() -> None:
    truth = images(0, 3, 16, 16) * np.array([1, 10, 100])[:, None, None]
    estimate = truth + images(1, 3, 16, 16)
    span = truth.max() - truth.min()
    assert psnr(estimate, truth) == pytest.approx(peak_signal_noise_ratio(truth, estimate, data_range=span))
    each = [skimage_ssim(e, t, span) for e, t in zip(estimate, truth, strict=True)]
    assert ssim(estimate, truth) == pytest.approx(np.mean(each))
    own = [skimage_ssim(e, t, t.max() - t.min()) for e, t in zip(estimate, truth, strict=True)]
    assert ssim(estimate, truth) != pytest.approx(np.mean(own), abs=0.01)


def test_the_range_is_the_truths_and_never_the_estimates() -> None:
    truth = np.zeros((16, 16))
    truth[0, 0] = 2.0
    assert psnr(truth + 1, truth) == pytest.approx(10 * math.log10(2.0**2 / 1))
    spiked = truth.copy()
    spiked[5, 5] = 1000.0
    assert psnr(spiked, truth) == pytest.approx(10 * math.log10(4 / (1000.0**2 / 256)))


def test_a_perfect_estimate_has_infinite_psnr_and_standard_score_one() -> None:
    truth = images(2, 16, 16)
    assert psnr(truth, truth) == math.inf
    assert ssim(truth, truth) == pytest.approx(1)
    assert standard_score(psnr(truth, truth), ssim(truth, truth)) == pytest.approx(1)
    assert nrmse(truth, truth) == 0


@pytest.mark.parametrize(("value", "span"), [(5.0, 5.0), (-3.0, 3.0), (0.0, 1.0)])
def test_a_constant_truth_is_measured_by_its_magnitude(value: float, span: float) -> None:
    truth = np.full((12, 12), value)
    assert data_range(truth) == span
    assert psnr(truth + span / 10, truth) == pytest.approx(20)
    assert ssim(truth, truth) == pytest.approx(1)
    assert 0 <= ssim(truth + images(0, 12, 12) * span, truth) < 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, bool])
def test_any_real_dtype_is_compared_in_double_precision(dtype: Any) -> None:
    truth = (images(0, 12, 12) * 200).astype(dtype)
    estimate = (images(1, 12, 12) * 200).astype(dtype)
    wanted = psnr(estimate.astype(float), truth.astype(float))
    assert psnr(estimate, truth) == pytest.approx(wanted)
    assert ssim(estimate, truth) == pytest.approx(ssim(estimate.astype(float), truth.astype(float)))


def test_shapes_and_kinds_that_cannot_be_compared_are_refused() -> None:
    truth = images(0, 16, 16)
    for metric in (psnr, ssim, consistency):
        with pytest.raises(BadValue, match=r"has shape \(15, 16\), expected \(16, 16\)"):
            metric(truth[1:], truth)
        with pytest.raises(BadValue, match="amplitude and phase"):
            metric(truth + 0j, truth)
    with pytest.raises(BadValue, match="at least 11 x 11"):
        ssim(truth[:10], truth[:10])


def test_an_estimate_beyond_all_measure_has_psnr_of_minus_infinity() -> None:
    assert psnr(np.full((12, 12), 1e200), images(0, 12, 12)) == -math.inf


def test_nrmse_of_complex_arrays_by_hand() -> None:
    assert nrmse(np.array([1 + 1j, 0]), np.array([1, 1j])) == pytest.approx(math.sqrt(2 / 2))


# -- consistency and scores ---------------------------------------------------------------------


def test_consistency_by_hand() -> None:
    y = np.array([3.0, 4.0])
    assert consistency(y, y) == 1
    assert consistency(y, np.array([3.0, 3.0])) == pytest.approx(1 - 1 / 5)
    assert consistency(y, np.zeros(2)) == 0
    assert consistency(y, -y) == 0  # residual above ‖y‖
    assert consistency(y, np.array([3.0, np.nan])) == 0
    assert consistency(y, np.full(2, 1e200)) == 0
    assert consistency(np.zeros(2), np.zeros(2)) == 1
    assert consistency(np.zeros(2), y) == 0


def test_consistency_counts_only_valid_elements() -> None:
    y, mean = np.array([[3.0, np.nan], [4.0, np.inf]]), np.array([[3.0, 7.0], [3.0, np.nan]])
    assert consistency(y, mean, np.isfinite(y)) == pytest.approx(0.8)
    one_for_all = np.array([True, False])
    assert consistency(y, mean, one_for_all) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("p", "s", "standard"),
    [(15, 0, 0), (30, 0.5, 0.5), (45, 1, 1), (60, 1, 1), (-5, 0.2, 0.1), (math.inf, 1, 1), (-math.inf, 0, 0)],
)
def test_standard_score_by_hand(p: float, s: float, standard: float) -> None:
    assert standard_score(p, s) == pytest.approx(standard)


@pytest.mark.parametrize(
    ("p", "s", "c", "blind"),
    [(10, 0, 0, 0), (30, 0.5, 0.5, 0.5), (50, 1, 1, 1), (70, 1, 1, 1), (0, 1, 0, 0.4), (0, 0, 1, 0.2)],
)
def test_blind_score_by_hand(p: float, s: float, c: float, blind: float) -> None:
    assert blind_score(p, s, c) == pytest.approx(blind)


def test_recovery_ratio_is_told_only_where_there_is_a_gap_to_recover() -> None:
    assert recovery_ratio(30, 20, 25) == pytest.approx(0.5)
    assert recovery_ratio(30, 20, 15) == pytest.approx(-0.5)
    assert recovery_ratio(30, 29.4, 30) == pytest.approx(1)
    assert recovery_ratio(30, 29.5, 30) is None
    assert recovery_ratio(20, 30, 25) is None


# -- the scorer ---------------------------------------------------------------------------------


class Gain(Operator):
    gain: float = param(1.0, low=0)

    def apply(self, x: torch.Tensor, gain: Any) -> torch.Tensor:
        return gain * x


class Toy(Modality):
    name = "toy"
    object_axes = (Axis("y", "px"), Axis("x", "px"))
    data_axes = object_axes

    def view(self, x: np.ndarray, problem: Problem) -> tuple[View, ...]:
        return View("value", "", x[None]), View("square", "", x[None] ** 2)


def toy_case() -> tuple[Problem, Truth]:
    x = images(0, 16, 16)
    return Problem(y=x.copy(), operator=Gain(), modality="toy", shape=x.shape, dtype="float64"), Truth(x)


def test_a_perfect_reconstruction_scores_one() -> None:
    problem, truth = toy_case()
    result = score(truth.x, problem, truth, Toy())
    assert result.psnr == math.inf
    assert result.standard == pytest.approx(1)
    assert result.blind == pytest.approx(1)
    assert result.consistency == 1
    assert result.residuals == {"residual": 0}
    assert result.reason == ""


def test_the_score_is_that_of_the_first_view_and_the_data_at_the_estimated_parameters() -> None:
    problem, truth = toy_case()
    x = truth.x + 0.1
    result = score(x, problem, truth, Toy(), {"gain": 2.0})
    assert (result.psnr, result.ssim) == (result.views["value"]["psnr"], result.views["value"]["ssim"])
    assert result.psnr == pytest.approx(psnr(x, truth.x))
    assert result.views["square"]["psnr"] == pytest.approx(psnr(x**2, truth.x**2))
    assert result.consistency == pytest.approx(consistency(problem.y, 2 * x))
    assert result.standard == pytest.approx(standard_score(result.psnr, result.ssim))
    assert result.blind == pytest.approx(blind_score(result.psnr, result.ssim, result.consistency))


def test_the_scorer_aligns_before_it_compares() -> None:
    class Signless(Toy):
        name = "signless"

        def align(self, x: np.ndarray, truth: Truth, problem: Problem) -> np.ndarray:
            return x * np.sign((x * truth.x).sum())

    problem, truth = toy_case()
    assert score(-truth.x, problem, truth, Signless()).psnr == math.inf
    assert score(-truth.x, problem, truth, Toy()).psnr < 10


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_estimate_that_is_not_finite_scores_zero_with_the_reason(bad: float) -> None:
    problem, truth = toy_case()
    x = truth.x.copy()
    x[3, :2] = bad
    result = score(x, problem, truth, Toy())
    assert (result.standard, result.blind, result.consistency, result.ssim) == (0, 0, 0, 0)
    assert result.reason == "2 of 256 values are not finite"
    assert json.loads(json.dumps(result.as_dict()))["psnr"] == "-inf"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the toy modality squares the estimate
def test_an_estimate_too_large_to_compare_scores_zero_with_the_reason() -> None:
    problem, truth = toy_case()
    result = score(truth.x * 1e200, problem, truth, Toy())
    assert (result.standard, result.blind) == (0, 0)
    assert "too large" in result.reason


def test_an_estimate_of_the_wrong_shape_is_an_error() -> None:
    problem, truth = toy_case()
    with pytest.raises(BadValue, match=r"the reconstruction has shape \(16, 15\), expected \(16, 16\)"):
        score(truth.x[:, 1:], problem, truth, Toy())


def test_a_constant_truth_is_scored() -> None:
    x = np.full((16, 16), 4.0)
    problem = Problem(y=x, operator=Gain(), modality="toy", shape=x.shape, dtype="float64")
    result = score(x + 0.4, problem, Truth(x), Toy())
    assert result.psnr == pytest.approx(20)
    assert math.isfinite(result.standard)
