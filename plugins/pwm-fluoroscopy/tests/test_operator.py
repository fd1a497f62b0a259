"""The forward model: Beer and Lambert, pulse, scatter, blur, lag, drift, and their derivatives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_fluoroscopy.motion import SubFrames
from pwm_fluoroscopy.operator import FlatPanel, fluoroscope
from pwm_fluoroscopy.scenes.materials import IODINE, WATER
from pwm_fluoroscopy.spread import Blur, ScatterGlare

from pwm_core.errors import BadValue

PLAIN = {"pixel": 0.2, "frame_time": 33.3, "quanta": 30.0, "gain": 2.0}


def video(frames=5, size=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.2, 1.5, (frames, size, size + 4))


def test_the_graph_prints_in_the_notation_of_the_field():
    H = fluoroscope(**PLAIN)
    assert str(H) == "Π(proj) → Σ_t → D(g, η₁)"
    assert H.expanded() == "R(pulse) → M(beam) → Σ_t → C(scatter, glare) → C(screen) → D(detector)"


def test_blocks_of_frames_change_nothing(monkeypatch):
    H, x = fluoroscope(**PLAIN), video(7)
    whole = torch.from_numpy(x)
    for part in H.parts:
        whole = part._forward(whole, {})
    v = np.random.default_rng(1).standard_normal(x.shape)
    gradient = H.vjp(x, v)
    monkeypatch.setattr("pwm_fluoroscopy.operator._BLOCK", 1)
    monkeypatch.setattr("pwm_fluoroscopy.operator._KEPT", 1)
    np.testing.assert_allclose(H(x), whole.numpy(), rtol=1e-12)
    again = H.vjp(x, v)
    np.testing.assert_allclose(again[0], gradient[0], rtol=1e-10)
    for name in ("pulse.blur", "detector.lag", "detector.gain_drift"):
        assert again[1][name] == pytest.approx(gradient[1][name], rel=1e-9)


def test_ten_millimetres_of_water_let_81_per_cent_pass():
    """μ/ρ of water is 0.2059 cm²/g at 60 keV (NIST 126); 1 mm of diluted contrast medium lets 87 % pass."""
    H = fluoroscope(**PLAIN, scatter=0.0)
    empty, water = (H(np.full((3, 16, 16), t * WATER)) for t in (0.0, 10.0))
    np.testing.assert_allclose(water / empty, np.exp(-0.2059), rtol=1e-6)
    np.testing.assert_allclose(empty, 2.0 * 30.0, rtol=1e-6)
    assert np.exp(-185 * IODINE) == pytest.approx(np.exp(-0.7579 * 0.185), rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(lag=st.floats(0, 30), blur=st.floats(-6, 11.5), seed=st.integers(0, 100))
def test_a_still_scene_is_blind_to_pulse_and_lag(lag, blur, seed):
    H, x = fluoroscope(**PLAIN), np.repeat(video(1, seed=seed), 6, 0)
    np.testing.assert_allclose(H(x, {"detector.lag": lag, "pulse.blur": blur}), H(x), rtol=1e-9)


def pulse_mean(x, width, frame_time):
    """exp(−x) along straight lines from frame to frame, integrated over the pulse in closed form."""
    u = width / 2 / frame_time
    before, after = np.concatenate([x[:1], x[:-1]]), np.concatenate([x[1:], x[-1:]])
    halves = [np.exp(-x) * -np.expm1(-u * d) / (u * d + 1e-300) for d in (before - x, after - x)]
    return np.where(before == x, np.exp(-x), halves[0]) / 2 + np.where(after == x, np.exp(-x), halves[1]) / 2


@pytest.mark.parametrize("blur", [-5.0, 0.0, 11.5])
def test_the_pulse_integrates_the_transmission_of_moving_anatomy(blur):
    H, x = fluoroscope(**PLAIN, scatter=0.0, glare=0.0, blur=0.0, lag=0.0), video(6)
    expected = 60 * pulse_mean(x, 8 + blur, 33.3)
    np.testing.assert_allclose(H(x, {"pulse.blur": blur}), expected, rtol=1e-5)


def test_a_pulse_ends_at_nothing_and_at_the_frame():
    node, x = SubFrames(name="pulse", width=8.0, frame_time=20.0), torch.from_numpy(video(4))
    np.testing.assert_allclose(node(x, {"pulse.blur": -30.0})[::4], x)
    np.testing.assert_array_equal(node(x, {"pulse.blur": 12.0}), node(x, {"pulse.blur": 40.0}))
    with pytest.raises(BadValue, match="between 0 and the frame's 20 ms"):
        SubFrames(name="pulse", width=25.0, frame_time=20.0)


@settings(max_examples=20, deadline=None)
@given(ratio=st.floats(0, 2), glare=st.floats(0, 0.3), size=st.sampled_from([(24, 24), (32, 48), (96, 64)]))
def test_scatter_adds_its_ratio_and_glare_adds_nothing(ratio, glare, size):
    node = ScatterGlare(name="s", pixel_size=0.4, ratio=ratio, glare=glare, reach=3.2, sigma=6.4)
    x = np.random.default_rng(0).random((2, *size))
    np.testing.assert_allclose(node(x).sum((1, 2)), (1 + ratio) * x.sum((1, 2)), rtol=1e-9)
    np.testing.assert_allclose(node(np.ones((1, *size))), 1 + ratio, rtol=1e-9)


def test_wide_kernels_have_the_shape_that_is_stated():
    """The answer to a point far from any border, against h_glare and h_scatter written out."""
    node = ScatterGlare(name="s", pixel_size=0.5, ratio=0.5, glare=0.2, reach=8.0, sigma=10.0)
    x = np.zeros((400, 400))
    x[200:202, 200:202] = 0.25
    y, x2 = np.indices(x.shape) - 200.5
    r = 0.5 * np.hypot(y, x2)
    expected = 0.25 * (
        0.2 * np.exp(-r / 8) / (2 * np.pi * 64) + 0.5 * np.exp(-(r**2) / 200) / (2 * np.pi * 100)
    )
    ring = (r > 4) & (r < 30)
    np.testing.assert_allclose(node(x)[ring], expected[ring], atol=0.01 * expected[ring].max())


def test_beyond_the_border_the_scene_is_mirrored():
    """A scene and its mirror image side by side are answered like the scene alone."""
    x = np.random.default_rng(3).random((40, 40))
    both = np.concatenate([x, x[:, ::-1]], 1)
    for node in (
        ScatterGlare(name="s", pixel_size=0.4, reach=3.2, sigma=3.2),
        Blur(name="b", pixel_size=0.1),
    ):
        np.testing.assert_allclose(node(both)[:, :40], node(x), rtol=1e-6)


def test_the_screen_blurs_by_its_width_and_keeps_the_sum():
    node, x = Blur(name="screen", sigma=0.15, pixel_size=0.05), np.zeros((64, 50))
    x[30, 24] = 1
    y = node(x)
    assert y.sum() == pytest.approx(1, abs=1e-9)
    assert np.sum(y * (np.arange(50) - 24) ** 2) * 0.05**2 == pytest.approx(0.15**2, rel=1e-6)


def test_a_collimator_leaves_only_scatter():
    field = np.ones((24, 28), bool)
    field[:, :10] = False
    covered = fluoroscope(**PLAIN, field=field, blur=0.0)(video())
    assert 0 < covered[:, :, :8].max() < 0.3 * covered[:, :, 12:].mean()
    assert (
        fluoroscope(**PLAIN, field=field, scatter=0.0, glare=0.0, blur=0.0)(video())[:, :, :10].max() < 1e-12
    )


def test_the_impulse_response_of_the_panel_is_its_lag():
    """One bright frame leaves (1 − a) aⁿ behind it, with a = exp(−T/(20 ms + lag))."""
    panel = FlatPanel(name="detector", mode="linear", frame_time=33.3)
    x = np.zeros((8, 2, 2))
    x[2] = 1
    for lag in (-3.0, 0.0, 6.0):
        a = np.exp(-33.3 / (20 + lag))
        got = panel(x, {"detector.lag": lag})[:, 0, 0]
        np.testing.assert_allclose(got[2:], (1 - a) * a ** np.arange(6), rtol=1e-9)
        assert not got[:2].any()


@pytest.mark.parametrize("drift", [-0.5, 0.5, 1.0])
def test_drift_multiplies_frame_n_by_one_and_n_times_itself(drift):
    H, x = fluoroscope(**PLAIN), video(6)
    ratio = H(x, {"detector.gain_drift": drift}) / H(x)
    expected = np.broadcast_to(1 + drift / 100 * np.arange(6)[:, None, None], x.shape)
    np.testing.assert_allclose(ratio, expected, rtol=1e-9)


def test_each_parameter_moves_the_data_as_its_formula_says():
    """Pulse: w/8T of the second difference of a small x. Lag: da/dτ = a T/τ². Both to first order."""
    T, tau, small = 33.3, 20.0, 1e-4
    still = {**PLAIN, "scatter": 0.0, "glare": 0.0, "blur": 0.0}
    x = small * video(6)
    second = x[2:] - 2 * x[1:-1] + x[:-2]
    moved = fluoroscope(**still, lag=0.0).jvp(x, dtheta={"pulse.blur": 1.0})
    np.testing.assert_allclose(moved[1:-1], -60 * second / (8 * T), atol=60 * small * 1e-5)
    a = np.exp(-T / tau)
    q = 60 * np.exp(-np.array([0.0, 0, 1, 1, 1]))[:, None, None] * np.ones((5, 16, 16))
    panel = FlatPanel(name="detector", mode="linear", frame_time=T)
    step = panel.jvp(q, dtheta={"detector.lag": 1.0})[2]
    np.testing.assert_allclose(step, -(q[2] - q[1]) * a * T / tau**2, rtol=1e-9)


@pytest.mark.parametrize(
    "node",
    [
        SubFrames(name="pulse", width=8.0, frame_time=33.3),
        ScatterGlare(name="scatter", pixel_size=0.4, reach=5.0, sigma=8.0),
        Blur(name="screen", pixel_size=0.2),
        FlatPanel(name="detector", mode="linear", frame_time=33.3),
    ],
)
def test_the_linear_parts_have_adjoints(node):
    x = video()
    y = node(x)
    v = np.random.default_rng(2).standard_normal(y.shape)
    assert np.vdot(v, y) == pytest.approx(np.vdot(node.adjoint(v, x), x), rel=1e-10)


def test_derivatives_agree_with_finite_differences():
    H, x, rng = fluoroscope(**PLAIN, readout=1.0), video(), np.random.default_rng(4)
    point = {"pulse.blur": 3.0, "detector.lag": 2.0, "detector.gain_drift": 0.4}
    v, dx = rng.standard_normal(x.shape), rng.standard_normal(x.shape)
    to_x, to_theta = H.vjp(
        x, v, point, wrt=[*point, "beam.flux", "scatter.ratio", "scatter.reach", "screen.sigma"]
    )
    slope = np.vdot(v, H(x + 1e-5 * dx, point) - H(x - 1e-5 * dx, point)) / 2e-5
    assert np.vdot(to_x, dx) == pytest.approx(slope, rel=1e-6)
    for name, value in to_theta.items():
        at = point.get(name, H.theta[name])
        h = 1e-5 * max(1.0, abs(at))
        ends = [np.vdot(v, H(x, {**point, name: at + s * h})) for s in (1, -1)]
        assert value == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5, abs=1e-7), name


def test_impossible_instruments_are_refused():
    with pytest.raises(BadValue, match="positive length in mm"):
        fluoroscope(pixel=0.0, frame_time=33.0, quanta=20.0)
    with pytest.raises(BadValue, match="needs an input of shape"):
        fluoroscope(**PLAIN)(np.zeros((8, 8)))
