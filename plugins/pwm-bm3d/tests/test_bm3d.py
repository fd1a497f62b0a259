"""What any BM3D must do, and how near it is to the package of the method's authors."""

from __future__ import annotations

import builtins
import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_bm3d.denoiser import BM3D
from skimage import data

from pwm_core.errors import BadValue, Unsuitable


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@functools.cache
def camera(size: int = 96) -> np.ndarray:
    return data.camera()[80 : 80 + size, 200 : 200 + size] / 255


@functools.cache
def lattice(size: int = 128) -> np.ndarray:
    """Two kinds of atoms on an oblique lattice that no pixel grid fits."""
    y, x = np.mgrid[:size, :size]
    u, v = 2 * np.pi * (0.98 * x + 0.2 * y) / 17.3, 2 * np.pi * (0.98 * y - 0.2 * x) / 21.1
    return (np.exp(2 * np.cos(u) + 2 * np.cos(v)) + 0.5 * np.exp(-2 * np.cos(u) - 2 * np.cos(v))) / np.exp(4)


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    return float(10 * np.log10(np.ptp(truth) ** 2 / np.mean((image - truth) ** 2)))


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("scene", [camera, lattice])
def test_as_good_as_the_package_of_the_authors(scene: Any, sigma: float) -> None:
    pytest.importorskip("bm3d", reason="the extra pwm-bm3d[reference] is not installed")
    noisy = scene() + sigma * noise(scene().shape)
    theirs = BM3D(backend="bm3d").denoise(noisy, sigma)
    assert psnr(BM3D().denoise(noisy, sigma), scene()) > psnr(theirs, scene()) - 0.1


def test_each_stage_gains() -> None:
    noisy = camera() + 0.1 * noise(camera().shape)
    found = [psnr(BM3D(stages=s).denoise(noisy, 0.1), camera()) for s in ("hard", "both")]
    assert psnr(noisy, camera()) + 5 < found[0] < found[1]


def test_a_wider_search_helps_on_a_lattice() -> None:
    noisy = lattice() + 0.2 * noise(lattice().shape)
    near, far = (psnr(BM3D(search=r, step=3).denoise(noisy, 0.2), lattice()) for r in (12, 48))
    assert far > near + 0.5


def test_without_noise_nothing_changes() -> None:
    np.testing.assert_array_equal(BM3D().denoise(camera(), 0.0), camera())


def test_as_sigma_falls_the_image_comes_back() -> None:
    changes = [np.abs(BM3D().denoise(camera(), s) - camera()).max() for s in (1e-2, 1e-3, 1e-4, 1e-9)]
    assert changes == sorted(changes, reverse=True)
    assert changes[2] < 5e-4
    assert changes[3] == 0


@pytest.mark.parametrize("value", [0.0, -3.5, 1e6])
def test_a_constant_image_stays(value: float) -> None:
    np.testing.assert_allclose(BM3D().denoise(np.full((30, 41), value), 0.1), value, rtol=1e-12)


def test_pure_noise_loses_nearly_all_its_variance() -> None:
    assert BM3D().denoise(noise((128, 128)), 1.0).var() < 0.05


@pytest.mark.parametrize("turn", [np.fliplr, np.flipud, np.transpose, np.rot90], ids=lambda f: f.__name__)
def test_turning_the_image_turns_the_result(turn: Any) -> None:
    """Nearly: ties in the search, the order of groups and the grid of reference patches are not symmetric."""
    noisy = camera() + 0.1 * noise(camera().shape)
    plain, turned = BM3D().denoise(noisy, 0.1), BM3D().denoise(turn(noisy), 0.1)
    assert np.sqrt(np.mean((turned - turn(plain)) ** 2)) < 0.01
    assert abs(psnr(turned, turn(camera())) - psnr(plain, camera())) < 0.15


@settings(max_examples=10, deadline=None)
@given(a=st.floats(1e-6, 1e6), offset=st.floats(-100, 100))
def test_units_and_offset_do_not_matter(a: float, offset: float) -> None:
    noisy = camera(40) + 0.1 * noise((40, 40))
    expected = a * (BM3D().denoise(noisy, 0.1) + offset)
    np.testing.assert_allclose(BM3D().denoise(a * (noisy + offset), a * 0.1), expected, atol=2e-3 * a)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 50), st.integers(1, 50)),
    step=st.integers(1, 8),
    search=st.sampled_from([1, 7, 19, 60]),
    group=st.sampled_from([2, 4, 8, 16, 32]),
    transform=st.sampled_from(["bior1.5", "dct"]),
)
def test_any_size_and_setting(
    shape: tuple[int, int, int], step: int, search: int, group: Any, transform: Any
) -> None:
    """Every image of a stack on its own; no pixel left out; nothing invented beyond the range of the data."""
    denoiser = BM3D(step=step, search=search, group=group, group_wiener=group, transform=transform)
    images = 5 + noise(shape)
    clean = denoiser.denoise(images, 1.0)
    assert clean.shape == shape
    np.testing.assert_array_equal(clean[-1], denoiser.denoise(images[-1], 1.0))
    assert np.abs(clean - 5).max() <= 1.5 * np.abs(images - 5).max()


def test_the_number_of_threads_does_not_matter() -> None:
    noisy = data.camera()[:200, :100] + 20 * noise((200, 100))
    one, three = (BM3D(threads=n).denoise(noisy, 20.0) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize(("given_type", "returned"), [("f4", "f4"), ("f8", "f8"), ("u1", "f4"), ("i4", "f4")])
def test_floating_types_are_kept(given_type: str, returned: str) -> None:
    image = (100 + 10 * noise((20, 24))).astype(given_type)
    assert BM3D().denoise(image, 10.0).dtype == returned


@pytest.mark.parametrize(
    ("image", "sigma", "said"),
    [
        (np.full((9, 9), np.nan), 0.1, "81 of the image's 81 pixels are not finite"),
        (np.ones((9, 9), complex), 0.1, "real images"),
        (np.ones(9), 0.1, r"shape \(9,\)"),
        (np.ones((0, 9)), 0.1, r"shape \(0, 9\)"),
        (np.ones((9, 9)), -1.0, "sigma must be"),
        (np.ones((9, 9)), np.nan, "sigma must be"),
    ],
)
def test_bad_input_is_refused(image: np.ndarray, sigma: float, said: str) -> None:
    with pytest.raises(BadValue, match=said):
        BM3D().denoise(image, sigma)


def test_the_package_takes_no_settings_of_ours() -> None:
    with pytest.raises(BadValue, match="step and search cannot be set with backend=bm3d"):
        BM3D(backend="bm3d", step=4, search=10)


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "bm3d":
            raise ImportError("No module named 'bm3d'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Unsuitable, match=r"pip install 'pwm-bm3d\[reference\]'"):
        BM3D(backend="bm3d").denoise(camera(), 0.1)
