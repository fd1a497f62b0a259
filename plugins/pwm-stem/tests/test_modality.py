"""The simulated instrument: dose and noise, scenes, the scored view, and its figure."""

import numpy as np
import pytest
from pwm_stem.modality import STEM, rim
from pwm_stem.objects import KINDS

from pwm_core import score
from pwm_core.driver import Result, run
from pwm_core.errors import BadValue, UnknownName
from pwm_core.method import Iterate, Reconstructor
from pwm_core.modality import stream
from pwm_core.scenario import pose
from pwm_core.testing import checks_for

test_stem = checks_for("stem")
test_micrograph = checks_for("micrograph")


class Mean(Reconstructor):
    """The data divided by the dose."""

    def solve(self, problem, rng):
        for _ in range(2):
            yield Iterate(problem.data / problem.operator.theta["beam.dose"], loss=1.0)


def result_of(problem) -> Result:
    return run(Mean(), problem, device="cpu")


def test_dose_is_current_times_dwell():
    assert STEM(current=20.0, dwell=4.0).dose == pytest.approx(499.3, abs=0.1)
    problem, truth = STEM(readout=0.0).simulate("perovskite")
    assert problem.y.mean() == pytest.approx(499.3 * truth.x.mean(), rel=0.01)
    assert 6 < problem.y.mean() < 10


@pytest.mark.parametrize(("gain", "readout"), [(1.0, 0.0), (1.0, 0.3), (40.0, 25.0)])
def test_counts_have_the_mean_and_variance_of_the_model(gain, readout):
    modality = STEM(gain=gain, readout=readout)
    problem, truth = modality.simulate("particles", seed=3)
    mean = problem.operator(truth.x).astype(float)
    scaled = (problem.y - mean) / np.sqrt(gain * mean + readout**2)
    assert abs(scaled.mean()) < 4 / np.sqrt(scaled.size)
    assert scaled.var() == pytest.approx(1, abs=5 * np.sqrt(2 / scaled.size) + 0.005)
    bright = mean > np.percentile(mean, 80)
    assert scaled[bright].var() == pytest.approx(1, abs=0.06)
    assert modality.residuals(mean, problem)["chi2"] == pytest.approx(1, abs=0.05)


def test_no_training_seed_draws_a_scene_that_is_scored():
    standard = {stream("standard", "stem", kind).entropy for kind in KINDS}
    generated = {stream("generated", "stem", number).entropy for number in range(20_000)}
    assert len(standard) == 4
    assert len(generated) == 20_000
    assert not standard & generated
    small = STEM.small()
    scored = {small.simulate(kind)[1].x.tobytes() for kind in KINDS}
    assert not scored & {small.simulate(number)[1].x.tobytes() for number in range(10)}


def test_the_object_depends_on_the_scene_alone():
    modality = STEM.small()
    a, b = modality.simulate(7, seed=1)[1], modality.simulate(7, seed=2, theta={"probe.size": 0.1})[1]
    np.testing.assert_array_equal(a.x, b.x)
    with pytest.raises(UnknownName, match="it has perovskite, particles"):
        modality.simulate("perovskit")
    with pytest.raises(BadValue, match="pixel"):
        STEM(pixel=-1.0)


def test_the_view_is_the_undistorted_image_of_the_nominal_probe():
    modality = STEM.small()
    problem, truth = modality.simulate("boundary", theta={"scan.distortion": 1.0, "probe.size": 0.2})
    seen = modality.view(truth.x, problem)[0]
    ideal = modality.simulate("boundary")[0].operator(truth.x) / modality.dose
    cut = rim(modality.size)
    np.testing.assert_allclose(seen.images[0], ideal[cut:-cut, cut:-cut], rtol=1e-4)
    assert seen.unit == "e⁻/e⁻"


def test_detail_beyond_the_aperture_is_not_scored():
    modality = STEM.small()
    problem, truth = modality.simulate("perovskite")
    y, x = np.indices(truth.x.shape)
    beyond = truth.x + 0.5 * (-1.0) ** (x + y).astype(np.float32)  # 2.5 1/Å, the probe ends at 1.75
    assert score(beyond.astype(np.float32), problem, truth, modality).psnr > 55


def test_the_rim_covers_the_largest_distortion():
    for n in (64, 256, 1024):
        assert rim(n) > 1.15e-2 * 1.5 * n / 2


def test_drift_and_jitter_act_and_are_unknown_in_scenario_mismatch():
    modality = STEM.small().replace(drift_x=300.0, drift_y=-200.0, line_jitter=0.05)
    problem, truth = modality.simulate("perovskite", seed=2)
    seconds = modality.size**2 * modality.dwell * 1e-6
    assert problem.operator.theta["scan.drift_x"] == pytest.approx(300 * seconds)
    assert np.std(truth.theta["scan.jitter"]) == pytest.approx(0.05, rel=0.4)
    steady = STEM.small().simulate("perovskite", seed=2)[0].operator
    assert np.abs(problem.operator(truth.x) - steady(truth.x)).max() > 0.5
    blind, _ = pose(modality, "perovskite", "mismatch", seed=2)
    np.testing.assert_array_equal(blind.operator.theta["scan.jitter"], None)
    assert blind.operator.theta["scan.drift_x"] == 0


def test_each_parameter_moves_the_data_as_much_as_expected():
    """For SrTiO3 at 200 kV and 22 mrad: +0.1 Å changes the image by a tenth, +0.5 mrad by a hundredth."""
    modality = STEM(c3=0.0, focal_spread=0.0)
    problem, truth = modality.simulate("perovskite")
    ideal = problem.operator(truth.x).astype(float)

    def change(name, value):
        return np.linalg.norm(problem.operator(truth.x, {name: value}) - ideal) / np.linalg.norm(ideal)

    print([change(n, v) for n, v in (("probe.size", 0.1), ("probe.angle", 0.5), ("scan.distortion", 0.5))])
    assert change("probe.size", 0.1) == pytest.approx(0.096, rel=0.3)
    assert change("probe.angle", 0.5) == pytest.approx(0.011, rel=0.3)
    assert 0.05 < change("scan.distortion", 0.5) < 0.6


def test_figures_of_simulated_and_of_measured_data():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    modality = STEM.small()
    problem, truth = modality.simulate("monolayer")
    result = result_of(problem)
    for known, titles in (
        (truth, {"truth at nominal resolution", "error"}),
        (None, {"misfit", "spectrum, measurement"}),
    ):
        figure = modality.figure(problem, result, known, None, "heading")
        found = {axes.get_title() for axes in figure.axes}
        assert titles | {"measurement", "reconstruction", "spectrum, reconstruction"} <= found
        assert figure.get_suptitle() == "heading"
        assert any(text.get_text().endswith(("pm", "nm")) for text in figure.axes[0].texts)
        pyplot.close(figure)
