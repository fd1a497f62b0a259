"""The two modalities: scenes, noise, scores and figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_spectroscopy.operator import spectrum_image_of
from pwm_spectroscopy.scenes import find
from pwm_spectroscopy.stem_edx import StemEDX
from pwm_spectroscopy.xrf import XRF

from pwm_core import score
from pwm_core.driver import Result
from pwm_core.errors import UnknownName, Unsuitable
from pwm_core.modality import TIERS, stream
from pwm_core.primitives import Detect
from pwm_core.problem import Truth
from pwm_core.scenario import pose
from pwm_core.testing import checks_for

test_xrf = checks_for("xrf")
test_stem_edx = checks_for("stem-edx")

BOTH = pytest.mark.parametrize("kind", [XRF, StemEDX], ids=["xrf", "stem-edx"])
PAGES = {
    "excitation_energy_drift": ((-0.01, 0.02), (-0.012, 0.018), (-0.007, 0.023)),
    "detector_resolution": ((126.0, 138.0), (125.2, 137.2), (127.2, 139.2)),
    "matrix_absorption": ((0.97, 1.06), (0.964, 1.054), (0.979, 1.069)),
    "beam_spot_size": ((0.8, 1.4), (0.76, 1.36), (0.86, 1.46)),
    "absorption_correction_error": ((-3.0, 6.0), (-3.6, 5.4), (-2.1, 6.9)),
    "detector_solid_angle": ((-0.15, 0.15),) * 3,
    "peak_overlap": ((-0.6, 1.2), (-0.72, 1.08), (-0.42, 1.38)),
    "bremsstrahlung_background": ((-0.15, 0.15),) * 3,
}


def test_the_tables_are_those_of_the_pages():
    rows = {s.name: s for kind in (XRF, StemEDX) for s in kind.specs}
    assert {name: tuple(s.range(t) for t in TIERS) for name, s in rows.items()} == PAGES


@BOTH
def test_counts_are_poisson_about_the_operators_mean(kind):
    problem, truth = kind.small().simulate(kind.scenes[0], seed=3)
    mean = problem.operator(truth.x).astype(float)
    assert (problem.y == np.round(problem.y)).all()
    bright = mean > 3
    scaled = ((problem.y - mean) / np.sqrt(np.maximum(mean, 1e-9)))[bright]
    assert scaled.size > 500
    assert abs(scaled.mean()) < 4 / np.sqrt(scaled.size)
    assert scaled.var() == pytest.approx(1, abs=5 * np.sqrt(2.2 / scaled.size))
    assert problem.y.sum() == pytest.approx(mean.sum(), abs=5 * np.sqrt(mean.sum()))


@BOTH
def test_dose_scales_the_counts(kind):
    name = "photons" if kind is XRF else "electrons"
    modality = kind.small()
    more = modality.replace(**{name: 4 * getattr(modality, name)})
    a, b = (m.simulate(0)[0].y.sum() for m in (modality, more))
    assert b / a == pytest.approx(4, rel=0.05)


@BOTH
def test_the_spectrum_covers_the_same_energies_at_any_number_of_channels(kind):
    top = {XRF: 20.48, StemEDX: 10.24}[kind]
    for channels in (256, 1024):
        operator = kind(size=11, channels=channels).simulate(1)[0].operator
        assert operator.detector.channels * operator.detector.gain == pytest.approx(top)


@BOTH
def test_scenes_are_what_their_class_says(kind):
    for sample in kind.samples:
        x = sample.maps((64, 64), np.random.default_rng(0))
        scale = np.array(list(sample.full_scale.values()))
        assert x.shape == (len(scale), 64, 64)
        assert x.dtype == np.float32
        assert (x >= 0).all()
        reached = x.max(axis=(1, 2)) / scale
        assert (reached <= 1 + 1e-6).all()
        assert (reached > 0.15).all(), dict(zip(sample.components, reached, strict=True))
        assert (x.std(axis=(1, 2)) > 0.01 * scale).all()


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from([XRF, StemEDX]), number=st.integers(0, 10**6))
def test_generated_samples_are_sound(kind, number):
    sample, rng = find(kind.samples, kind.pool, kind.name, number)
    x = sample.maps((24, 20), rng)
    assert np.isfinite(x).all()
    assert (x >= 0).all()
    assert x.any(axis=(1, 2)).sum() >= len(x) - 2  # a rare phase may be missing


@BOTH
def test_generated_samples_come_from_all_classes_and_never_from_a_standard_stream(kind):
    names = {find(kind.samples, kind.pool, kind.name, n)[0].name for n in range(40)}
    assert names == {*kind.scenes, "assorted"}
    standard = {stream("standard", kind.name, s).entropy for s in kind.scenes}
    generated = {stream("generated", kind.name, n).entropy for n in range(1000)}
    assert not standard & generated


@BOTH
def test_an_unknown_scene_is_named(kind):
    with pytest.raises(UnknownName, match=f"{kind.name} has no scene 'moon'; it has {kind.scenes[0]}"):
        kind.small().simulate("moon")


@BOTH
def test_every_element_counts_alike_in_the_scored_view(kind):
    """The same relative error of any one element costs about the same, trace or not."""
    modality = kind.small().replace(size=32)
    problem, truth = modality.simulate(kind.scenes[0])
    operator = spectrum_image_of(problem)
    first, *each = modality.view(truth.x, problem)
    assert first.images.shape[0] == len(operator.elements) == len(each)
    assert [v.name for v in each] == list(operator.elements)
    assert first.images.max(axis=(1, 2)).min() > 0.15
    assert first.images.max() <= 1 + 1e-6
    np.testing.assert_array_equal(each[0].images[0], truth.x[0])


def test_background_maps_are_not_scored():
    modality = XRF.small()
    problem, truth = modality.simulate("soil")
    wrong = truth.x.copy()
    wrong[-1] = 0
    assert score(wrong, problem, truth, modality).psnr == np.inf


def test_a_common_factor_is_taken_out_of_edx_maps_only():
    for kind, same in ((StemEDX, True), (XRF, False)):
        modality = kind.small()
        problem, truth = modality.simulate(kind.scenes[0])
        marks = score((1.2 * truth.x).astype(np.float32), problem, truth, modality)
        assert (marks.psnr > 60) == same
    modality = StemEDX.small()
    problem, truth = modality.simulate("dust")
    nothing = np.zeros_like(truth.x)
    np.testing.assert_array_equal(modality.align(nothing, truth, problem), nothing)
    np.testing.assert_array_equal(modality.align(-truth.x, truth, problem), -truth.x)


@BOTH
def test_chi_square_is_one_at_the_truth_and_grows_with_misfit(kind):
    modality = kind.small().replace(size=32)
    problem, truth = modality.simulate(kind.scenes[0])
    good = modality.residuals(problem.operator(truth.x), problem)["reduced chi2"]
    assert good == pytest.approx(1, abs=0.4)
    assert modality.residuals(1.1 * problem.operator(truth.x), problem)["reduced chi2"] > 3 * good
    mask = np.zeros(problem.y.shape, bool)
    mask[20:60] = True
    spoiled = problem.replace(y=np.where(mask, problem.y, 99.0), mask=mask)
    assert modality.residuals(problem.operator(truth.x), spoiled)["reduced chi2"] < 2.5


@BOTH
def test_the_mismatch_scenario_hides_the_true_parameters(kind):
    problem, truth = pose(kind.small(), kind.scenes[0], "mismatch", seed=1)
    nominal = kind.small().nominal()
    assert {k: problem.operator.theta[k] for k in nominal} == nominal
    assert all(truth.theta[k] != nominal[k] for k in nominal)
    assert set(problem.ranges) == set(nominal)


def test_another_operator_is_refused():
    problem, _ = XRF.small().simulate("soil")
    with pytest.raises(Unsuitable, match="SpectrumImage"):
        spectrum_image_of(problem.replace(operator=Detect(mode="linear")))


def result_of(x):
    return Result(x=x, theta={}, history=[], status="done", seconds=0.0, method=None)


@pytest.mark.parametrize(("kind", "scene"), [(XRF, "soil"), (StemEDX, "particles")])
@pytest.mark.parametrize("known", [True, False])
def test_figure_names_elements_lines_and_scale(kind, scene, known):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    modality = kind.small()
    problem, truth = modality.simulate(scene)
    noisy = truth.x * 1.05
    figure = modality.figure(problem, result_of(noisy), truth if known else None, None, "a heading")
    operator = spectrum_image_of(problem)
    axes = [a for part in figure.subfigs for a in part.axes]
    titles = {a.get_title() for a in axes}
    assert set(operator.elements) <= titles
    assert {f"{e}, true" for e in operator.elements} <= titles or not known
    words = {t.get_text() for a in axes for t in a.texts}
    assert "Fe Kα" in words
    assert any("µm" in w or "nm" in w for w in words)
    pyplot.close(figure)


@pytest.mark.parametrize(("count", "known"), [(1, True), (3, False), (12, False)])
def test_figure_holds_any_number_of_elements(count, known):
    from pwm_spectroscopy.assembly import operator_for
    from pwm_spectroscopy.instruments import XRFInstrument

    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    names = ("Si", "S", "Cl", "K", "Ca", "Ti", "Mn", "Fe", "Cu", "Zn", "As", "Pb")[:count]
    operator = operator_for((*names, "matrix", "continuum"), XRFInstrument(), channels=256, gain=0.08)
    x = np.random.default_rng(0).random((count + 2, 12, 14)).astype(np.float32)
    problem, _ = XRF.small().simulate("soil")
    mask = np.ones((256, 12, 14), bool)
    mask[:10] = False
    problem = problem.replace(y=operator(x), operator=operator, shape=x.shape, mask=mask)
    figure = XRF.small().figure(problem, result_of(x), Truth(x, {}) if known else None, None, "a heading")
    figure.canvas.draw()
    pyplot.close(figure)
