"""P: energy, group property, closed forms and limits of free-space propagation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwm_core.errors import BadValue
from pwm_core.primitives import Propagate

WAVELENGTH, PIXEL = 633e-9, 4e-6
NEAR = {"wavelength": WAVELENGTH, "pixel_size": PIXEL}
methods = pytest.mark.parametrize("method", ["fresnel", "angular-spectrum"])


def _field(n: int = 16, m: int = 17, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, m)) + 1j * rng.standard_normal((n, m))


def _coordinates(n: int) -> tuple[np.ndarray, np.ndarray]:
    r = (np.arange(n) - n // 2) * PIXEL
    return r[:, None], r


def _beam(n: int, waist: float, z: float) -> np.ndarray:
    """A Gaussian beam at z, without its carrier (Goodman; Siegman, Lasers, chapter 17)."""
    y, x = _coordinates(n)
    q = 1 / (1 + 1j * WAVELENGTH * z / (np.pi * waist**2))
    return q * np.exp(-(x**2 + y**2) * q / waist**2)


@settings(max_examples=25, deadline=None)
@given(
    a=st.floats(-0.02, 0.02),
    b=st.floats(-0.02, 0.02),
    method=st.sampled_from(["fresnel", "angular-spectrum"]),
)
def test_near_field_is_a_unitary_group(a: float, b: float, method: str):
    u, p = _field(), Propagate(method=method, **NEAR)
    once = p(u, {"distance": a})
    assert np.linalg.norm(once) == pytest.approx(np.linalg.norm(u), rel=1e-12)
    np.testing.assert_allclose(p(once, {"distance": b}), p(u, {"distance": a + b}), atol=1e-9)
    np.testing.assert_allclose(p.adjoint(once, u, {"distance": a}), u, atol=1e-11)


@methods
@pytest.mark.parametrize("padded", [False, True])
def test_distance_zero_is_the_identity(method: str, padded: bool):
    u = _field()
    np.testing.assert_allclose(Propagate(method=method, padded=padded, **NEAR)(u), u, atol=1e-13)


@methods
@pytest.mark.parametrize("padded", [False, True])
def test_gaussian_beam_spreads_as_its_closed_form(method: str, padded: bool):
    n, waist, z = 256, 60e-6, 0.02
    expected = _beam(n, waist, z)
    found = Propagate(distance=z, method=method, padded=padded, **NEAR)(_beam(n, waist, 0.0))
    np.testing.assert_allclose(found, expected, atol=2e-5)
    width = np.sqrt(
        (np.abs(found[n // 2]) ** 2 * _coordinates(n)[1] ** 2).sum() / (np.abs(found[n // 2]) ** 2).sum()
    )
    rayleigh = np.pi * waist**2 / WAVELENGTH
    assert 2 * width == pytest.approx(waist * np.sqrt(1 + (z / rayleigh) ** 2), rel=1e-5)


def test_tilted_plane_wave_gains_the_phase_of_its_path():
    n, k, z = 32, 3, 1e-3
    wave = np.exp(2j * np.pi * k * np.arange(n) / n) * np.ones((n, 1))
    sine = WAVELENGTH * k / (n * PIXEL)
    exact = np.exp(2j * np.pi / WAVELENGTH * z * (np.sqrt(1 - sine**2) - 1))
    np.testing.assert_allclose(Propagate(distance=z, **NEAR)(wave), wave * exact, atol=1e-12)
    paraxial = np.exp(-2j * np.pi / WAVELENGTH * z * sine**2 / 2)
    np.testing.assert_allclose(
        Propagate(distance=z, method="fresnel", **NEAR)(wave), wave * paraxial, atol=1e-12
    )


def test_fresnel_and_angular_spectrum_agree_for_paraxial_waves_and_differ_for_steep_ones():
    z = {"distance": 0.02}
    exact, paraxial = Propagate(**NEAR), Propagate(method="fresnel", **NEAR)
    smooth, fine = _beam(128, 60e-6, 0.0), _beam(128, 60e-6, 0.0) * (-1) ** np.arange(128)
    assert np.abs(exact(smooth, z) - paraxial(smooth, z)).max() < 1e-5
    assert np.abs(exact(fine, z) - paraxial(fine, z)).max() > 1e-3


def test_evanescent_waves_decay_in_either_direction():
    n, pixel = 16, WAVELENGTH / 4
    wave = np.exp(2j * np.pi * 6 * np.arange(n) / n) * np.ones((n, 1))
    decay = 2 * np.pi / WAVELENGTH * np.sqrt((6 * 4 / n) ** 2 - 1)
    for z in (1e-7, -1e-7):
        found = Propagate(distance=z, wavelength=WAVELENGTH, pixel_size=pixel)(wave)
        np.testing.assert_allclose(np.abs(found), np.exp(-decay * abs(z)), rtol=1e-10)


def test_padding_keeps_light_that_leaves_from_coming_back():
    n, z = 64, 0.012
    y, x = _coordinates(n)
    tilt = np.exp(2j * np.pi * 0.2 / PIXEL * x)  # walks off by λ·z·0.2/PIXEL, six tenths of the frame
    u = np.exp(-((x - 0.3 * n * PIXEL) ** 2 + y**2) / (30e-6) ** 2) * tilt
    periodic = np.abs(Propagate(distance=z, **NEAR)(u)) ** 2
    aperiodic = np.abs(Propagate(distance=z, padded=True, **NEAR)(u)) ** 2
    assert periodic.sum() == pytest.approx((np.abs(u) ** 2).sum())
    assert aperiodic.sum() < 1e-3 * periodic.sum()


def test_padded_propagation_is_that_of_a_much_larger_frame():
    """Of an aperture; the band limit cuts what would leave the frame anyway (Matsushima & Shimobaba)."""
    n, big, z = 64, 512, 0.004
    u = np.zeros((n, n), complex)
    u[20:44, 20:44] = 1
    wide = np.zeros((big, big), complex)
    inner = slice(big // 2 - n // 2, big // 2 + n // 2)
    wide[inner, inner] = u
    expected = Propagate(distance=z, **NEAR)(wide)[inner, inner]
    padded, periodic = Propagate(distance=z, padded=True, **NEAR)(u), Propagate(distance=z, **NEAR)(u)
    error = np.linalg.norm(padded - expected) / np.linalg.norm(expected)
    assert error < 0.02
    assert error < np.linalg.norm(periodic - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("n", [7, 8])
def test_far_field_is_the_centred_unitary_transform(n: int):
    u = _field(n, n + 1)
    far = Propagate(method="fraunhofer")
    fy = np.arange(n) - n // 2
    fx = np.arange(n + 1) - (n + 1) // 2
    ey = np.exp(-2j * np.pi * np.outer(fy, fy) / n)
    ex = np.exp(-2j * np.pi * np.outer(fx, fx) / (n + 1))
    np.testing.assert_allclose(far(u), ey @ u @ ex / np.sqrt(n * (n + 1)), atol=1e-12)
    np.testing.assert_allclose(far.adjoint(far(u), u), u, atol=1e-12)
    flat = far(np.ones((n, n)))
    assert np.abs(flat[n // 2, n // 2]) ** 2 == pytest.approx((np.abs(flat) ** 2).sum())


def test_pixel_sizes_may_differ_between_the_axes():
    u = _field(12, 12)
    p = Propagate(distance=1e-3, wavelength=WAVELENGTH, pixel_size=(2e-6, 5e-6))
    q = Propagate(distance=1e-3, wavelength=WAVELENGTH, pixel_size=(5e-6, 2e-6))
    np.testing.assert_allclose(p(u).T, q(u.T.copy()), atol=1e-12)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "near"}, "fraunhofer"),
        ({"wavelength": 1e-9}, "pixel_size"),
        ({"method": "fresnel", "pixel_size": 1e-6}, "wavelength"),
        ({"method": "fraunhofer", "padded": True}, "padded"),
        ({"distance": float("nan"), **NEAR}, "distance"),
    ],
)
def test_incomplete_optics_are_refused(wrong: dict, words: str):
    with pytest.raises(BadValue, match=words):
        Propagate(**wrong)
