"""R: affine motion and sub-pixel shifts against exact cases and another implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from pwm_core.errors import BadValue
from pwm_core.primitives import Rotate, Shift

RNG = np.random.default_rng(8)


def _blob(n: int, y: float, x: float, sigma: float = 3.0) -> np.ndarray:
    r = np.arange(n) - (n - 1) / 2
    return np.exp(-((r[:, None] - y) ** 2 + (r - x) ** 2) / (2 * sigma**2))


def test_nothing_moves_at_zero():
    x = RNG.random((5, 6))
    np.testing.assert_allclose(Rotate()(x), x, atol=1e-14)
    np.testing.assert_allclose(Shift()(x), x, atol=1e-14)


@pytest.mark.parametrize("shape", [(6, 6), (7, 7), (5, 8)])
def test_right_angles_are_exact(shape: tuple[int, int]):
    x = RNG.random(shape)
    np.testing.assert_allclose(Rotate(angle=180.0)(x), x[::-1, ::-1], atol=1e-12)
    if shape[0] == shape[1]:
        np.testing.assert_allclose(Rotate(angle=90.0)(x), np.rot90(x), atol=1e-12)


def test_whole_shifts_are_exact_and_what_enters_is_zero_or_the_border():
    x = RNG.random((6, 7))
    moved = Rotate(shift_y=2.0, shift_x=-1.0)(x)
    np.testing.assert_allclose(moved[2:, :-1], x[:-2, 1:], atol=1e-14)
    assert not moved[:2].any()
    edge = Rotate(shift_y=2.0, boundary="edge")(x)
    np.testing.assert_allclose(edge[:2], np.broadcast_to(x[0], (2, 7)), atol=1e-14)
    far = Rotate(shift_y=50.0, shift_x=-50.0)
    assert not far(x).any()
    np.testing.assert_allclose(far.replace(boundary="edge")(x), x[0, -1], atol=1e-14)


@pytest.mark.parametrize(
    ("motion", "image"),
    [
        ({"angle": 30.0}, lambda y, x: (y * np.cos(np.pi / 6) - x / 2, y / 2 + x * np.cos(np.pi / 6))),
        ({"scale": 10.0}, lambda y, x: (1.1 * y, 1.1 * x)),
        ({"shear": 20.0}, lambda y, x: (y, x + 0.2 * y)),
        ({"shift_y": 1.3, "shift_x": -0.6}, lambda y, x: (y + 1.3, x - 0.6)),
        ({"angle": 90.0, "shift_x": 2.5, "scale": 20.0}, lambda y, x: (-1.2 * x, 1.2 * y + 2.5)),
    ],
)
def test_a_point_goes_where_the_motion_takes_it(motion: dict, image):
    y, x = 4.0, -6.0
    seen = Rotate(**motion)(_blob(48, y, x))
    r = np.arange(48) - 23.5
    centre = (seen * r[:, None]).sum() / seen.sum(), (seen * r).sum() / seen.sum()
    np.testing.assert_allclose(centre, image(y, x), atol=2e-3)


def test_scale_is_a_magnification_and_area_grows_with_its_square():
    x = _blob(64, 0, 0)
    assert Rotate(scale=10.0)(x).sum() == pytest.approx(1.1**2 * x.sum(), rel=1e-3)


def test_agrees_with_spline_interpolation_of_scipy_on_smooth_images():
    x = _blob(40, 3, -5)
    theirs = ndimage.rotate(x, 17.0, reshape=False, order=3, mode="constant")
    np.testing.assert_allclose(Rotate(angle=17.0)(x), theirs, atol=3e-3)


def test_there_and_back_is_nearly_the_identity():
    x, node = _blob(40, 3, -5), Rotate(name="stage")
    back = node(node(x, {"stage.angle": 11.0}), {"stage.angle": -11.0})
    np.testing.assert_allclose(back, x, atol=5e-3)


def test_derivatives_are_continuous_across_whole_pixels():
    x, node = RNG.random((8, 8)), Rotate(name="r")
    for value in (-1.0, 0.0, 1.0):
        below, above = (
            node.jvp(x, dtheta={"r.shift_x": 1.0}, theta={"r.shift_x": value + e}) for e in (-1e-9, 1e-9)
        )
        np.testing.assert_allclose(below, above, atol=1e-6)


def test_another_geometry_overrides_the_matrix():
    class SlowAxis(Rotate):
        def matrix(
            self, angle: torch.Tensor, scale: torch.Tensor, shear: torch.Tensor, *args: Any, **theta: Any
        ) -> Any:
            return (1 + scale / 100, shear / 100), (angle * 0, angle * 0 + 1)

    seen, r = SlowAxis(scale=20.0)(_blob(48, 5.0, -4.0)), np.arange(48) - 23.5
    assert (seen * r[:, None]).sum() / seen.sum() == pytest.approx(6.0, abs=2e-3)
    assert (seen * r).sum() / seen.sum() == pytest.approx(-4.0, abs=2e-3)


def test_fourier_shift_is_exact_for_band_limited_images_and_unitary():
    n, t = 16, np.arange(16)
    wave = np.cos(2 * np.pi * 3 * t / n)[:, None] * np.sin(2 * np.pi * 2 * t / n)
    dy, dx = 0.37, -1.21
    expected = np.cos(2 * np.pi * 3 * (t - dy) / n)[:, None] * np.sin(2 * np.pi * 2 * (t - dx) / n)
    node = Shift(dy=dy, dx=dx, name="drift")
    np.testing.assert_allclose(node(wave), expected, atol=1e-13)
    np.testing.assert_allclose(node.adjoint(expected, wave), wave, atol=1e-13)
    x = RNG.random((5, 7))
    np.testing.assert_allclose(Shift(dy=2.0, dx=-1.0)(x), np.roll(x, (2, -1), axis=(0, 1)), atol=1e-13)


def test_a_complex_image_shifts_part_by_part():
    x = RNG.random((6, 8)) + 1j * RNG.random((6, 8))  # even lengths, where the Nyquist term matters
    node = Shift(dy=0.3, dx=0.8)
    np.testing.assert_allclose(node(x), node(x.real) + 1j * node(x.imag), atol=1e-13)


def test_unknown_boundary_is_refused():
    with pytest.raises(BadValue, match="boundary"):
        Rotate(boundary="wrap")  # type: ignore[arg-type]
    with pytest.raises(BadValue, match="scale"):
        Rotate(scale=-100.0)
