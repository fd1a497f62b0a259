"""Π: line integrals against closed forms, sums and another implementation."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.transform import radon

from pwm_core.errors import BadValue
from pwm_core.primitives import ConeProject, FanProject, Project, joseph

SIZE, SIGMA, MIDDLE = 48, 4.0, (5.0, -3.0)  # a smooth blob at (y, x) from the middle


def _blob(n: int = SIZE) -> np.ndarray:
    r = np.arange(n) - (n - 1) / 2
    return np.exp(-((r[:, None] - MIDDLE[0]) ** 2 + (r - MIDDLE[1]) ** 2) / (2 * SIGMA**2))


def _blob_integral(distance: np.ndarray) -> np.ndarray:
    return SIGMA * np.sqrt(2 * np.pi) * np.exp(-(distance**2) / (2 * SIGMA**2))


def _disc(n: int, radius: float, supersample: int = 8) -> np.ndarray:
    """A disc about the middle, each pixel by the part of it that the disc covers."""
    r = (np.arange(n * supersample) + 0.5) / supersample - n / 2
    inside = (r[:, None] ** 2 + r**2 <= radius**2).astype(float)
    return inside.reshape(n, supersample, n, supersample).mean((1, 3))


def _bins(n: int) -> np.ndarray:
    return np.arange(n) - (n - 1) / 2


def test_views_along_the_axes_are_plain_sums():
    x = np.random.default_rng(0).random((6, 6))
    views = Project(angles=np.array([0.0, 90.0, 180.0, 270.0]), pixel_size=0.5)(x)
    for view, sums in zip(views, (x.sum(0), x.sum(1), x.sum(0)[::-1], x.sum(1)[::-1]), strict=True):
        np.testing.assert_allclose(view, 0.5 * sums, atol=1e-12)


def test_parallel_projection_of_a_disc_is_its_chord():
    radius, angles = 20.0, np.arange(0.0, 180.0, 7.0)
    chord = 2 * np.sqrt(np.maximum(radius**2 - _bins(64) ** 2, 0))
    inner = np.abs(_bins(64)) < radius - 2
    views = Project(angles=angles)(_disc(64, radius))
    assert np.abs(views - chord)[:, inner].max() < 0.02 * 2 * radius
    assert np.abs((views - chord)[:, inner].mean()) < 0.02


def test_parallel_projection_of_a_blob_is_its_closed_form():
    angles = np.arange(0.0, 360.0, 17.0)
    phi = np.deg2rad(angles)[:, None]
    distance = _bins(SIZE) - (MIDDLE[1] * np.cos(phi) + MIDDLE[0] * np.sin(phi))
    np.testing.assert_allclose(Project(angles=angles)(_blob()), _blob_integral(distance), atol=0.1)


def test_fan_projection_of_a_blob_is_its_closed_form():
    angles, near, far = np.arange(0.0, 360.0, 31.0), 90.0, 150.0
    phi = np.deg2rad(angles)[:, None]
    across, along = np.array([np.sin(phi), np.cos(phi)]), np.array([np.cos(phi), -np.sin(phi)])
    ray = far * along + _bins(64) * 1.5 * across
    ray /= np.sqrt((ray**2).sum(0))
    to_blob = np.array(MIDDLE)[:, None, None] + near * along
    distance = ray[0] * to_blob[1] - ray[1] * to_blob[0]
    node = FanProject(
        angles=angles, source_object=near, source_detector=far, detectors=64, detector_pixel=1.5
    )
    np.testing.assert_allclose(node(_blob()), _blob_integral(distance), atol=0.1)


def test_cone_projection_of_a_ball_is_its_closed_form():
    n, sigma, near, far = 24, 3.0, 60.0, 100.0
    r = _bins(n)
    ball = np.exp(-((r[:, None, None] - 2) ** 2 + r[:, None] ** 2 + (r - 1) ** 2) / (2 * sigma**2))
    angles = np.array([0.0, 50.0, 90.0, 200.0])
    node = ConeProject(angles=angles, source_object=near, source_detector=far, detector_pixel=1.7)
    phi = np.deg2rad(angles)[:, None, None]
    source = np.stack(np.broadcast_arrays(0 * phi, -near * np.cos(phi), near * np.sin(phi)), -1)
    s, v = r * 1.7, (r * 1.7)[:, None]
    ray = np.stack(
        np.broadcast_arrays(v, far * np.cos(phi) + s * np.sin(phi), -far * np.sin(phi) + s * np.cos(phi)), -1
    )
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    distance = np.linalg.norm(np.cross(np.array([2.0, 0.0, 1.0]) - source, ray), axis=-1)
    expected = sigma * np.sqrt(2 * np.pi) * np.exp(-(distance**2) / (2 * sigma**2))
    np.testing.assert_allclose(node(ball), expected, atol=0.12)


def test_parallel_beam_conserves_the_mass_in_every_view():
    x = _blob()
    views = Project(angles=np.arange(0.0, 180.0, 3.0), detectors=80, pixel_size=0.5)(x)
    np.testing.assert_allclose(views.sum(-1) * 0.5, x.sum() * 0.5**2, rtol=1e-3)


def test_agrees_with_scikit_image_about_the_same_middle():
    x = _blob(49)  # of odd size, where its middle n//2 is ours; it turns the other way
    x[x < 1e-3] = 0
    angles = np.arange(0.0, 180.0, 20.0)
    np.testing.assert_allclose(Project(angles=angles)(x), radon(x, -angles, circle=True).T, atol=0.05)


def test_a_displaced_axis_displaces_the_projection_and_an_angle_offset_turns_the_views():
    x, angles = _blob(), np.array([0.0, 35.0, 90.0])
    node = Project(angles=angles, name="scan")
    np.testing.assert_allclose(node(x, {"scan.centre": 3.0})[:, 3:], node(x)[:, :-3], atol=1e-12)
    np.testing.assert_allclose(
        node(x, {"scan.angle_offset": 10.0}), Project(angles=angles + 10)(x), atol=1e-12
    )


def test_a_distant_source_makes_a_parallel_beam():
    x, angles = _blob(), np.arange(0.0, 180.0, 40.0)
    far = {"source_object": 1e7, "source_detector": 1e7}
    parallel = Project(angles=angles)(x)
    np.testing.assert_allclose(FanProject(angles=angles, **far)(x), parallel, atol=1e-4)
    volume = np.stack([x, 2 * x, 3 * x])
    cone = ConeProject(angles=angles, **far)(volume)
    np.testing.assert_allclose(cone, np.moveaxis(Project(angles=angles)(volume), 0, 1), atol=1e-4)


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch):
    x, node = (
        np.random.default_rng(1).random((2, 9, 8)),
        Project(angles=np.arange(0.0, 180.0, 11.0), centre=0.2),
    )
    y, back = node(x), node.adjoint(node(x), x)
    monkeypatch.setattr(joseph, "BLOCK", 1)
    np.testing.assert_allclose(node(x), y, rtol=1e-14)
    np.testing.assert_allclose(node.adjoint(y, x), back, rtol=1e-13)


def test_the_detector_may_have_another_number_and_size_of_bins():
    node = Project(angles=np.zeros(1), detectors=10, detector_pixel=0.5)
    views = node(np.ones((4, 4)))
    assert views.shape == (1, 10)
    np.testing.assert_allclose(views[0, 2:-2], 4.0)


def test_impossible_geometry_is_refused():
    with pytest.raises(BadValue, match="inside the object"):
        FanProject(angles=np.zeros(1), source_object=3.0)(np.ones((8, 8)))
    with pytest.raises(BadValue, match="positive"):
        Project(angles=np.zeros(1), pixel_size=0.0)
    with pytest.raises(BadValue, match="1 axes"):
        Project(angles=np.zeros((1, 2)))
    with pytest.raises(BadValue, match="source_object"):
        ConeProject(angles=np.zeros(1), source_object=-5.0)
