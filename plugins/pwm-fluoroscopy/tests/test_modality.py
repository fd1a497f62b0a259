"""The simulated fluoroscope: dose, noise, scenes, scores, the first estimate and the figure."""

import numpy as np
import pytest
from pwm_fluoroscopy.modality import Fluoroscopy
from pwm_fluoroscopy.scenes import KINDS, Stage, draw, draw_any
from pwm_fluoroscopy.scenes.movement import heartbeat
from pwm_fluoroscopy.scenes.tree import tree
from pwm_fluoroscopy.scenes.tubes import Tube
from pwm_fluoroscopy.scenes.tubes import draw as draw_tubes

from pwm_core import score
from pwm_core.driver import Result
from pwm_core.errors import BadValue, UnknownName
from pwm_core.modality import stream
from pwm_core.testing import checks_for

test_fluoroscopy = checks_for("fluoroscopy")

SMALL = Fluoroscopy.small()


def test_exposure_control_keeps_the_dose():
    for scene in SMALL.scenes:
        problem, truth = SMALL.replace(quanta=35.0).simulate(scene)
        assert problem.operator(truth.x).mean() / SMALL.gain == pytest.approx(35.0, rel=1e-4)


def test_counts_scatter_as_quanta_and_readout_do():
    modality = Fluoroscopy(frames=8, size=96, quanta=12.0, gain=5.0, readout=2.0)
    problem, truth = modality.simulate("guidewire", seed=1)
    mean = problem.operator(truth.x).astype(float)
    scaled = (problem.y - mean) / np.sqrt(5.0 * mean + 10.0**2)
    assert abs(scaled.mean()) < 4 / np.sqrt(scaled.size)
    assert scaled.var() == pytest.approx(1, abs=5 * np.sqrt(2 / scaled.size))


def test_the_truth_has_a_reduced_chi2_of_one():
    problem, truth = SMALL.simulate("vessels")
    found = SMALL.residuals(problem.operator(truth.x), problem)["reduced chi2"]
    assert found == pytest.approx(1, abs=5 * np.sqrt(2 / problem.y.size))


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_move_and_start_from_zero(kind):
    x = draw(kind, Stage(6, 64, 0.4, 1 / 30), np.random.default_rng(0))
    assert x.dtype == np.float32
    assert x.min() == 0
    assert 0.3 < x.max() < 4
    assert np.abs(np.diff(x, axis=0)).max() > 0.02


def test_standard_and_generated_objects_come_from_streams_of_their_own():
    seeds = [stream("standard", "fluoroscopy", s).entropy for s in KINDS]
    seeds += [stream("generated", "fluoroscopy", n).entropy for n in range(500)]
    assert len(set(seeds)) == len(seeds)
    a, b = (SMALL.simulate(n)[1].x for n in (0, 1))
    assert not np.array_equal(a, b)
    with pytest.raises(UnknownName, match="it has coronary, vessels"):
        SMALL.simulate("coronery")


def test_the_object_depends_on_the_scene_alone():
    a, b = (SMALL.simulate("coronary", seed=s, theta={"detector.lag": float(s)})[1].x for s in (1, 2))
    np.testing.assert_array_equal(a, b)


def test_generated_sequences_are_non_negative_and_finite():
    for seed in range(4):
        x = draw_any(Stage(3, 40, 0.5, 1 / 15), np.random.default_rng(seed))
        assert np.isfinite(x).all()
        assert x.min() == 0


def test_a_straight_vessel_has_the_chord_of_a_cylinder():
    stage = Stage(2, 64, 0.2, 1 / 30)
    line = np.stack([np.full(50, 6.4), np.linspace(-5, 18, 50)], -1)
    drawn = draw_tubes([Tube(line, np.full(50, 1.5))], stage, wall=0.5)
    y, x = stage.place
    chord = stage.sample(drawn.chord, (y, x))
    expected = 2 * np.sqrt(np.maximum(1.5**2 - (y - 6.4) ** 2, 0))
    inside = np.abs(y - 6.4) < 1.3
    np.testing.assert_allclose(chord[inside], expected[inside], atol=0.05)
    np.testing.assert_allclose(stage.sample(drawn.along, (y, x))[inside], (x + 5)[inside], atol=0.3)
    assert drawn.wall[drawn.lumen > 0].min() >= 2 * 0.5 - 1e-6


def test_vessels_fork_by_murrays_law():
    branches = tree(np.zeros(2), 0.0, 2.0, np.random.default_rng(0), length=20.0)
    ends = {tuple(np.round(b.points[-1], 6)): b.radius[-1] for b in branches}
    for end, radius in ends.items():
        children = [b.radius[0] for b in branches if tuple(np.round(b.points[0], 6)) == end]
        if len(children) == 2:
            assert sum(r**3 for r in children) == pytest.approx(radius**3, rel=1e-6)


def test_coronary_speeds_are_those_of_the_literature():
    """Peak speeds of the coronary arteries lie between about 20 and 250 mm/s."""
    stage = Stage(2, 192, 0.2, 1 / 30)
    y, x = stage.place
    for seed in range(10):
        warp = heartbeat(stage, np.random.default_rng(seed))
        times = np.linspace(0, 1.5, 300)
        path = np.array([[c[96, 96] for c in warp(t, (y, x))] for t in times])
        speed = np.hypot(*np.diff(path, axis=0).T) / (times[1] - times[0])
        assert 15 < speed.max() < 250


def test_the_first_estimate_is_near_and_finite_even_without_quanta():
    for quanta, close in ((0.5, 6), (20.0, 15), (1e5, 22)):
        modality = SMALL.replace(quanta=quanta)
        problem, truth = modality.simulate("diaphragm")
        assert np.isfinite(problem.initial).all()
        assert problem.initial.min() >= 0
        assert score(problem.initial, problem, truth, modality).psnr > close


def test_scatter_is_taken_off_the_first_estimate():
    modality = SMALL.replace(quanta=1e6, scatter=1.0, blur=0.0)
    problem, truth = modality.simulate("diaphragm")
    assert np.mean(problem.initial - truth.x) == pytest.approx(0, abs=0.02)


def test_a_pulse_must_leave_time_to_read_out():
    with pytest.raises(BadValue, match=r"at most 10 ms"):
        SMALL.replace(rate=50.0, pulse=15.0).simulate("vessels")


def test_the_figure_shows_frames_line_and_place():
    from matplotlib import pyplot

    problem, truth = SMALL.simulate("guidewire")
    result = Result(problem.initial, {}, [{"step": 1, "seconds": 0.1, "loss": 2.0}], "finished", 0.1, None)
    for known in (truth, None):
        figure = SMALL.figure(problem, result, known, None, "a heading")
        titles = [a.get_title() for a in figure.axes]
        assert "measurement, frame 3" in titles
        assert "attenuation on the line" in titles
        assert "attenuation in the circle" in titles
        assert ("truth, frame 0" in titles) == (known is not None)
        pyplot.close(figure)
