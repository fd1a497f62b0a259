"""Both calibrators: they find θ where the data tell it, and say where the data do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pwm_calibrate.gradient import Gradient
from pwm_calibrate.search import Search
from pwm_calibrate.task import Task

from pwm_core.calibrated import Calibrated
from pwm_core.driver import run
from pwm_core.errors import BadValue
from pwm_core.methods import build, find_method
from pwm_core.operator import Compose
from pwm_core.registry import installed
from pwm_core.scenario import pose
from pwm_core.testing.problems import DitheredWidefield, LeastSquares, Widefield

STEP = "stage.step"
CALIBRATORS = (Gradient(), Search(evaluations=15, scan=4))
either = pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda c: type(c).__name__.lower())


def dithered(scene=0, seed=0, **theta):
    return pose(DitheredWidefield(size=16), scene, "calibrated", seed=seed, theta=theta or None)


def calibrate(calibrator, problem, seed=0, method=None):
    return list(calibrator.solve(problem, method or LeastSquares(), np.random.default_rng(seed)))


@either
def test_finds_the_true_parameter_within_its_errors(calibrator):
    problem, _ = dithered(**{STEP: 1.3})
    last = calibrate(calibrator, problem)[-1]
    error = last.info[f"std:{STEP}"]
    assert 0.001 < error < 0.1
    assert abs(last.theta[STEP] - 1.3) < 4 * error


@either
def test_the_object_is_the_methods_own_at_the_parameter_found(calibrator):
    problem, _ = dithered(**{STEP: 1.3})
    last = calibrate(calibrator, problem)[-1]
    at = problem.replace(operator=problem.operator.at(last.theta))
    alone = list(LeastSquares().solve(at, np.random.default_rng(0)))[-1]
    torch.testing.assert_close(last.x, alone.x)


def test_both_agree_within_two_standard_errors():
    for scene in range(2):
        problem, _ = dithered(scene)
        first, second = (calibrate(c, problem)[-1] for c in CALIBRATORS)
        error = first.info[f"std:{STEP}"]
        assert abs(first.theta[STEP] - second.theta[STEP]) < 2 * error
        assert second.info[f"std:{STEP}"] == pytest.approx(error, rel=0.5)


@either
def test_stays_inside_a_range_that_the_truth_lies_outside_of_and_says_so(calibrator, caplog):
    problem, _ = dithered(**{STEP: 1.3})
    problem = problem.replace(ranges={STEP: (-0.5, 0.9)})
    with caplog.at_level("INFO", "pwm.calibrate"):
        steps = calibrate(calibrator, problem)
    assert f"{STEP} is at the end of its range" in caplog.text
    assert all(-0.5 <= s.theta[STEP] <= 0.9 for s in steps)
    assert steps[-1].theta[STEP] == pytest.approx(0.9, abs=0.01)


@either
def test_a_blur_that_the_object_can_mimic_is_kept_and_said_to_be_unknown(calibrator):
    problem, _ = pose(Widefield(size=16), 1, "calibrated")
    last = calibrate(calibrator, problem)[-1]
    assert last.info["std:psf.sigma"] == math.inf
    assert last.theta["psf.sigma"] == problem.operator.theta["psf.sigma"]


@either
def test_the_same_seed_gives_the_same_answer(calibrator):
    problem, _ = dithered(2)
    one, two = (calibrate(calibrator, problem, seed=5)[-1] for _ in "ab")
    assert one.theta == two.theta
    assert one.info == two.info


def test_valid_data_alone_count():
    problem, _ = dithered(**{STEP: 1.3})
    mask = np.ones(problem.y.shape, bool)
    mask[1, 3:5, 4:9] = False
    spoiled = problem.replace(y=np.where(mask, problem.y, 0 * problem.y), mask=mask)
    # the method itself knows of no mask: only θ is asked about
    last = calibrate(Gradient(), spoiled)[-1]
    assert last.theta[STEP] == pytest.approx(1.3, abs=0.15)


@either
def test_without_ranges_there_is_nothing_to_calibrate(calibrator):
    problem, _ = dithered()
    with pytest.raises(BadValue, match="nothing to calibrate"):
        calibrate(calibrator, problem.replace(ranges={}))
    with pytest.raises(BadValue, match="empty"):
        calibrate(calibrator, problem.replace(ranges={STEP: (1.0, 1.0)}))


def test_runs_as_a_method_and_the_result_has_theta():
    problem, _ = dithered(**{STEP: 1.3})
    result = run(Calibrated(calibrator=Gradient(), reconstructor=LeastSquares()), problem)
    assert result.theta[STEP] == pytest.approx(1.3, abs=0.1)
    assert f"std:{STEP}" in result.history[-1]
    assert "profile" in result.history[1]  # the first is the object that it starts from


class Hinting(Compose):
    """An operator whose data suggest a value of a parameter."""

    value: float = 0.0
    error: float = 1.0
    path: str = STEP

    def estimate(self, y, mask=None):
        return {self.path: self.value, f"std:{self.path}": self.error}


def hinting(problem, **hint):
    whole = problem.operator
    return problem.replace(operator=Hinting(outer=whole.outer, inner=whole.inner, **hint))


@either
def test_a_hint_decides_where_the_data_say_nothing(calibrator):
    problem, _ = pose(Widefield(size=16), 1, "calibrated")
    last = calibrate(calibrator, hinting(problem, value=1.4, error=0.05, path="psf.sigma"))[-1]
    assert last.theta["psf.sigma"] == pytest.approx(1.4, abs=1e-3)
    assert last.info["std:psf.sigma"] == pytest.approx(0.05, rel=0.05)


def test_a_hint_is_weighed_against_the_data_and_leads_to_the_right_minimum():
    problem, _ = dithered(**{STEP: 2.5})
    last = calibrate(Gradient(), hinting(problem, value=2.3, error=0.5))[-1]
    assert last.theta[STEP] == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize("hint", [{"value": 9.0, "error": 0.5}, {"value": 1.0, "error": 50.0}])
def test_a_hint_outside_the_range_or_without_weight_changes_nothing(hint):
    problem, _ = dithered(**{STEP: 1.3})
    plain, hinted = calibrate(Gradient(), problem)[-1], calibrate(Gradient(), hinting(problem, **hint))[-1]
    assert hinted.theta[STEP] == pytest.approx(plain.theta[STEP], abs=2e-3)


@pytest.mark.parametrize(
    ("value", "error", "used"),
    [
        (1.8, 0.1, False),  # contradicts the nominal value, but is more than two errors outside
        (1.58, 0.1, True),  # less than that: the end of the range is as good
        (1.3, 0.1, True),  # clear, whether or not the nominal value would do
        (1.45, 0.17, False),  # vague, and the nominal value would do
        (1.55, 0.17, True),  # as vague, and it would not
        (1.55, 0.25, False),  # tells less than the range
    ],
)
def test_estimates_move_parameters_only_where_they_are_trustworthy(value, error, used, caplog):
    problem, _ = pose(Widefield(size=16), 1, "calibrated")
    problem = problem.replace(ranges={"psf.sigma": (0.8, 1.55)})
    assert problem.operator.theta["psf.sigma"] == 1.2
    hinted = hinting(problem, value=value, error=error, path="psf.sigma")
    with caplog.at_level("INFO", logger="pwm.calibrate"):
        task = Task(hinted, LeastSquares(), np.random.default_rng(0), 3)
    assert task.theta(task.start)["psf.sigma"] == pytest.approx(min(value, 1.55) if used else 1.2)
    assert ("not used" in caplog.text) != used


@pytest.mark.slow
def test_estimates_beforehand_do_not_make_scans_worse(monkeypatch):
    """Strain of a specimen looks like distortion of the scan: 240 specimens, in fields 29 Å wide."""
    found = installed()
    if "stem" not in {e.card.name for e in found.of("modality")}:
        pytest.skip("the modality stem is not installed")
    modality, name = found.find("stem", "modality").load()(size=192), "scan.distortion"
    monkeypatch.setattr("pwm_stem.operator.probe_size_from_columns", lambda *_: None)  # takes a second each
    change = []
    for scene in range(500, 740):
        problem, truth = pose(modality, scene, "calibrated", seed=0)
        task = Task(problem, LeastSquares(), np.random.default_rng(0), 3)
        change.append(abs(task.theta(task.start)[name] - truth.theta[name]) - abs(truth.theta[name]))
    worse, better = np.array(change) > 0.1, np.array(change) < -0.1  # %
    assert worse.mean() < 0.02
    assert better.mean() > 0.35


@pytest.mark.slow
def test_95_percent_intervals_hold_the_truth_90_to_99_times_in_100():
    inside = 0
    for seed in range(200):
        problem, truth = dithered(scene=seed, seed=seed)
        last = calibrate(Gradient(), problem)[-1]
        inside += abs(last.theta[STEP] - truth.theta[STEP]) < 1.96 * last.info[f"std:{STEP}"]
    assert 180 <= inside <= 198


SMALL = (
    ("xrf", "gradient-descent", ("beam.energy_drift", "detector.resolution")),
    ("stem-edx", "gradient-descent", ("detector.peak_overlap", "emission.bremsstrahlung")),
    ("ptychography", "epie", ("probe.error", "scan.drift", "probe.coherence")),
    ("stem", "wiener", ()),
    ("fluoroscopy", "wiener", ()),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "method", "determined"), SMALL, ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_modality_tells_what_it_can(modality, method, determined):
    found = installed()
    if modality not in {e.card.name for e in found.of("modality")}:
        pytest.skip(f"the modality {modality} is not installed")
    problem, truth = pose(found.find(modality, "modality").load().small(), 0, "calibrated")
    last = calibrate(Gradient(), problem, method=build(find_method(found, method), {}))[-1]
    for name in determined:
        assert abs(last.theta[name] - truth.theta[name]) < 4 * last.info[f"std:{name}"]
    for name, (low, high) in problem.ranges.items():
        assert low <= last.theta[name] <= high
        if last.info[f"std:{name}"] == math.inf:
            assert last.theta[name] == problem.operator.theta[name]


@pytest.mark.slow
def test_both_find_the_errors_of_an_illumination_that_the_method_retrieves():
    found = installed()
    if "ptychography" not in {e.card.name for e in found.of("modality")}:
        pytest.skip("the modality ptychography is not installed")
    problem, truth = pose(found.find("ptychography", "modality").load().small(), 0, "calibrated")
    method = build(find_method(found, "epie"), {})
    lasts = [calibrate(c, problem, method=method)[-1] for c in (Gradient(), Search(evaluations=30, scan=2))]
    for name in ("probe.error", "scan.drift", "probe.coherence"):
        one, other = lasts
        assert abs(one.theta[name] - truth.theta[name]) < 4 * one.info[f"std:{name}"]
        low, high = problem.ranges[name]
        assert abs(other.theta[name] - one.theta[name]) < 0.05 * (high - low)


@pytest.mark.slow
def test_an_illumination_is_not_held_where_the_data_contradict_the_model(caplog):
    found = installed()
    if "ptychography" not in {e.card.name for e in found.of("modality")}:
        pytest.skip("the modality ptychography is not installed")
    problem, truth = pose(found.find("ptychography", "modality").load().small(), 1, "calibrated")
    true = problem.operator.at({n: truth.theta[n] for n in problem.ranges})
    k = np.fft.fftfreq(problem.y.shape[-1])
    coma = np.exp(1000j * k[:, None] * (k[:, None] ** 2 + k**2))  # which no parameter of the model makes
    modes = np.fft.ifft2(np.fft.fft2(true.modes(problem.like).numpy()) * coma).astype(np.complex64)
    data = true.at({"probe.modes": modes}).sample(truth.x, np.random.default_rng(0))
    with caplog.at_level("INFO", "pwm.calibrate"):
        for step in Gradient().solve(
            problem.replace(y=data.astype(np.float32)),
            build(find_method(found, "epie"), {}),
            np.random.default_rng(0),
        ):
            stated = step.theta
            if "; not held" in caplog.text:
                break
    assert "; not held" in caplog.text
    assert "probe.modes" in stated  # retrieved again


@pytest.mark.slow
def test_an_object_below_zero_does_not_weigh_elements_without_counts_too_much():
    """Of sparse spectra plain least squares makes an object whose data are below zero here and there."""
    found = installed()
    if "stem-edx" not in {e.card.name for e in found.of("modality")}:
        pytest.skip("the modality stem-edx is not installed")
    modality = found.find("stem-edx", "modality").load()(size=32)
    problem, truth = pose(modality, 100, "calibrated")
    last = calibrate(Gradient(), problem, method=build(find_method(found, "mls"), {}))[-1]
    for name in ("detector.peak_overlap", "emission.bremsstrahlung"):
        assert abs(last.theta[name] - truth.theta[name]) < 3 * last.info[f"std:{name}"]
