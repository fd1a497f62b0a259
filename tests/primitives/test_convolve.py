"""C: convolution against direct sums, closed forms and its own transfer function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pwm_core import param
from pwm_core.errors import BadValue
from pwm_core.primitives import Convolve

RNG = np.random.default_rng(2)


def _gaussian(n: int, sigma: float) -> np.ndarray:
    r = np.arange(n) - n // 2
    g = np.exp(-(r**2) / (2 * sigma**2))
    return np.outer(g, g) / np.outer(g, g).sum()


@settings(max_examples=25, deadline=None)
@given(a=st.floats(0, 3), b=st.floats(0, 3))
def test_widths_add_in_squares_and_the_total_is_kept(a: float, b: float):
    x, blur = RNG.random((12, 15)), Convolve()
    twice = blur(blur(x, {"sigma": a}), {"sigma": b})
    np.testing.assert_allclose(twice, blur(x, {"sigma": float(np.hypot(a, b))}), atol=1e-12)
    assert twice.sum() == pytest.approx(x.sum())


def test_a_point_becomes_the_gaussian_and_width_zero_is_the_identity():
    x = np.zeros((32, 32))
    x[16, 16] = 1
    np.testing.assert_allclose(Convolve(sigma=2.0)(x), _gaussian(32, 2.0), atol=1e-8)
    np.testing.assert_allclose(Convolve()(x), x, atol=1e-15)


def test_width_is_in_the_unit_of_the_pixel_size():
    x = RNG.random((16, 16))
    np.testing.assert_allclose(Convolve(sigma=3.0, pixel_size=2.0)(x), Convolve(sigma=1.5)(x), atol=1e-14)
    along_y = ndimage.gaussian_filter1d(x, 2.0, axis=0, mode="wrap", truncate=8)
    np.testing.assert_allclose(Convolve(sigma=2.0, pixel_size=(1.0, 1e9))(x), along_y, atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 3), (4, 5), (5, 4)])
@pytest.mark.parametrize(("boundary", "mode"), [("periodic", "wrap"), ("zero", "constant")])
def test_a_kernel_acts_as_the_direct_sum(shape: tuple[int, int], boundary: str, mode: str):
    kernel, x = RNG.random(shape), RNG.random((9, 8))
    direct = ndimage.convolve(x, kernel, mode=mode)
    np.testing.assert_allclose(Convolve(kernel=kernel, boundary=boundary)(x), direct, atol=1e-12)


def test_complex_fields_are_blurred_part_by_part():
    x = RNG.random((7, 8)) + 1j * RNG.random((7, 8))
    blur = Convolve(sigma=1.0, kernel=RNG.random((3, 3)))
    np.testing.assert_allclose(blur(x), blur(x.real) + 1j * blur(x.imag), atol=1e-13)


def test_transfer_function_is_that_of_the_operator():
    blur, x = Convolve(sigma=1.0, kernel=RNG.random((3, 4)), name="psf"), RNG.random((8, 9))
    for theta in (None, {"psf.sigma": 2.0}):
        otf = blur.transfer_function((8, 9), theta)
        np.testing.assert_allclose(np.fft.ifft2(np.fft.fft2(x) * otf), blur(x, theta), atol=1e-13)


def test_an_instrument_brings_its_own_differentiable_transfer_function():
    class Pupil(Convolve):
        defocus: float = param(2.0, unit="rad", symbol="Δf", doc="phase at the edge of the pupil")

        def transfer(self, fy: torch.Tensor, fx: torch.Tensor, *args: Any, **theta: Any) -> torch.Tensor:
            f2 = (fy**2 + fx**2) / 0.2**2
            pupil = (f2 <= 1) * torch.exp(1j * theta["defocus"] * f2)
            psf = torch.fft.ifft2(pupil).abs() ** 2
            return torch.fft.fft2(psf / psf.sum())

    x, h = RNG.random((16, 15)), 1e-5
    node = Pupil(name="probe")
    assert node(x).sum() == pytest.approx(x.sum())
    change = (node(x, {"probe.defocus": 2 + h}) - node(x, {"probe.defocus": 2 - h})) / (2 * h)
    assert node.vjp(x, x)[1]["probe.defocus"] == pytest.approx((x * change).sum(), rel=1e-6)
    assert np.abs(change).max() > 1e-4
    np.testing.assert_allclose(node.transfer_function((16, 15))[0, 0], 1)


def test_bad_kernels_are_refused():
    with pytest.raises(BadValue, match="2 axes"):
        Convolve(kernel=np.ones(3))
    with pytest.raises(BadValue, match="real"):
        Convolve(kernel=np.ones((3, 3)) * 1j)
    with pytest.raises(BadValue, match="larger than the image"):
        Convolve(kernel=np.ones((9, 3)))(np.ones((8, 8)))
    with pytest.raises(BadValue, match="boundary"):
        Convolve(boundary="reflect")  # type: ignore[arg-type]
    with pytest.raises(BadValue, match="sigma"):
        Convolve(sigma=-1.0)
