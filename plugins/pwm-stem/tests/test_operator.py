"""The operator: conservation, adjoint, derivatives, and the predicted effect of each parameter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_stem.operator import assemble, probe_of
from pwm_stem.optics import Lens, probe_profile
from pwm_stem.scan import Scan

from pwm_core.errors import BadValue, Unsuitable
from pwm_core.primitives import Detect
from pwm_core.problem import Problem

PIXEL = 0.15
RNG = np.random.default_rng(5)


def operator(pixel=PIXEL, dose=1.0, **lens):
    return assemble(Lens(**lens), Scan(name="scan", label="scan", pixel_size=pixel), pixel, dose=dose)


def fringes(n, cycles_y, cycles_x):
    """A plane wave with these cycles per field about its middle, and uneven ground so that phases show."""
    y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2,) * 2, indexing="ij")
    return 2 + np.cos(2 * np.pi * (cycles_y * y + cycles_x * x) / n)


def test_the_graph_prints_as_published():
    assert str(operator()) == "P(e⁻) → C(probe) → D(g, η₁)"
    assert operator().expanded() == "P(e⁻) → C(probe) → R(scan) → D(g, η₁)"


def test_a_point_becomes_the_probe():
    x = np.zeros((129, 129))
    x[64, 64] = 1 / PIXEL**2  # per Å²
    image = operator(dose=300.0)(x, {"probe.size": 0.1, "probe.angle": 0.5})
    y, x_ = (np.indices(x.shape) - 64) * PIXEL
    r = np.hypot(y, x_)
    expected = 300 * probe_profile(Lens(), r[r < 3], size=0.1, angle=0.5)
    np.testing.assert_allclose(image[r < 3], expected, atol=2e-3 * expected.max())
    assert image.sum() * PIXEL**2 == pytest.approx(300, rel=0.02)  # tails of the probe reach out of the field


def test_electrons_are_conserved_and_a_uniform_specimen_stays_uniform():
    x = np.full((50, 70), 0.02)
    np.testing.assert_allclose(operator(dose=500.0)(x), 10.0, rtol=1e-12)
    spots = RNG.random((60, 90))
    assert operator()(spots).sum() == pytest.approx(
        spots.sum(), rel=1e-3
    )  # reflection gives back what leaves


def test_the_border_is_continued_by_reflection():
    x = RNG.random((60, 60))
    op = operator()
    twice = np.block(
        [
            [x[::-1, ::-1], x[::-1], x[::-1, ::-1]],
            [x[:, ::-1], x, x[:, ::-1]],
            [x[::-1, ::-1], x[::-1], x[::-1, ::-1]],
        ]
    )
    np.testing.assert_allclose(op(x), op(twice)[60:120, 60:120], atol=1e-3)


def test_on_coarse_pixels_the_probe_is_a_point():
    x = RNG.random((64, 64))
    np.testing.assert_allclose(operator(pixel=32.7)(x), x, atol=0.02)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(33, 60), st.integers(33, 60), st.floats(-0.12, 0.23), st.floats(-0.6, 1.15), st.floats(-3, 3),
    st.booleans(),
)  # fmt: skip
def test_adjoint_at_every_state_of_the_instrument(ny, nx, size, angle, distortion, moving):
    theta = {"probe.size": size, "probe.angle": angle, "scan.distortion": distortion}
    if moving:
        theta |= {"scan.drift_y": 1.5, "scan.drift_x": -0.7, "scan.jitter": RNG.normal(0, 0.1, ny)}
    op, x, v = operator(dose=500.0), RNG.random((ny, nx)), RNG.random((ny, nx))
    left, right = np.vdot(v, op(x, theta)), np.vdot(op.adjoint(v, x, theta), x)
    assert left == pytest.approx(right, rel=1e-10)


@pytest.mark.parametrize(
    "name", ["probe.size", "probe.angle", "scan.distortion", "scan.drift_y", "scan.drift_x", "beam.dose"]
)
def test_derivative_to_each_parameter_is_that_of_finite_differences(name):
    op, x = operator(dose=5.0), RNG.random((48, 48))
    theta = {
        "probe.size": 0.07,
        "probe.angle": 0.3,
        "scan.distortion": 0.4,
        "scan.drift_y": 0.2,
        "scan.drift_x": 0.3,
    }
    v = RNG.standard_normal(x.shape)
    exact = float(op.vjp(x, v, theta, wrt=[name])[1][name])
    at, step = {**op.theta, **theta}[name], 1e-5
    slope = np.vdot(v, op(x, {**theta, name: at + step}) - op(x, {**theta, name: at - step})) / (2 * step)
    assert exact == pytest.approx(slope, rel=1e-3)
    pushed = op.jvp(x, dtheta={name: 1.0}, theta=theta)
    assert np.vdot(v, pushed) == pytest.approx(exact, rel=1e-6)


def test_forward_derivative_to_the_object_is_the_operator_itself():
    op, x, dx = operator(), RNG.random((40, 40)), RNG.random((40, 40))
    np.testing.assert_allclose(op.jvp(x, dx), op(dx), rtol=1e-8)


def test_the_kept_filter_and_autograds_agree():
    op, x, v = operator(), RNG.random((50, 50)), RNG.random((50, 50))
    plain = op.vjp(x, v, wrt=[])[0]
    traced = op.vjp(x, v, wrt=["probe.angle"])[0]
    np.testing.assert_allclose(plain, traced, rtol=1e-9)


@pytest.mark.parametrize("s", [-0.6, 0.5, 1.15, 5.0])
@pytest.mark.parametrize(("down", "right"), [(0, 20), (20, 0), (12, -16)])
def test_distortion_moves_lattice_peaks_by_its_per_cent(s, down, right):
    x, inner = fringes(256, down, right), (slice(20, -20),) * 2
    seen = operator()(x, {"scan.distortion": s})
    moved = fringes(256, down * (1 - s / 200) + right * s / 200, right * (1 + s / 100))
    contrast = operator()(x)[inner].std() / x[inner].std()
    expected = 2 + contrast * (moved - 2)
    np.testing.assert_allclose(seen[inner], expected[inner], atol=0.02)
    assert np.abs(seen - operator()(x))[inner].max() > 0.03


def test_drift_moves_the_last_line_against_the_first():
    n, x = 256, fringes(256, 0, 16)
    still, moved = (operator()(x, {"scan.drift_x": d}) for d in (0.0, 1.5))
    period = n * PIXEL / 16
    phases = [np.angle(np.fft.fft(a, axis=1)[:, 16]) for a in (still, moved)]
    turned = np.angle(np.exp(1j * (phases[1] - phases[0]))) * period / (2 * np.pi)
    np.testing.assert_allclose(turned, np.linspace(-0.75, 0.75, n), atol=0.02)


def test_jitter_moves_its_line_alone():
    x, jitter = fringes(64, 0, 4), np.zeros(64)
    jitter[10] = 0.3
    still, moved = operator()(x), operator()(x, {"scan.jitter": jitter})
    changed = np.abs(moved - still).max(1) > 1e-6
    assert changed[10]
    assert changed.sum() == 1
    np.testing.assert_allclose(moved[10, :-2], still[10, 2:], atol=1e-9)  # 0.3 Å are two pixels


def test_an_undistorted_scan_changes_nothing():
    x = torch.rand(40, 41, dtype=torch.float64)
    scan = Scan(name="scan", pixel_size=PIXEL)
    assert torch.equal(scan(x), x)
    zero = torch.zeros((), dtype=torch.float64)
    assert torch.allclose(scan(x, {"scan.distortion": zero}), x, atol=1e-12)


def test_jitter_of_the_wrong_length_is_refused():
    with pytest.raises(BadValue, match="64 lines"):
        operator()(np.ones((64, 64)), {"scan.jitter": np.zeros(5)})


def test_other_operators_are_no_micrographs():
    with pytest.raises(Unsuitable, match="Probe"):
        probe_of(Problem(y=np.ones((4, 4)), operator=Detect(mode="linear"), modality="m", shape=(4, 4)))
