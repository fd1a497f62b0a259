"""The filters against closed forms, published properties and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_filters.motion import MotionCompensated
from pwm_filters.nlm import NonLocalMeans
from pwm_filters.spectral import SpectralWiener
from pwm_filters.temporal import RecursiveAverage
from pwm_filters.wiener import Wiener
from scipy.signal import wiener as scipy_wiener
from skimage import data, img_as_float32

from pwm_core import Denoiser
from pwm_core.errors import BadValue
from pwm_core.metrics import psnr
from pwm_core.testing import checks_for

EVERY: list[Denoiser] = [Wiener(), SpectralWiener(), NonLocalMeans(), RecursiveAverage(), MotionCompensated()]
NAMES = [type(d).__name__ for d in EVERY]
test_wiener_keeps_the_contract = checks_for("wiener")
test_spectral_wiener_keeps_the_contract = checks_for("spectral-wiener")
test_nlm_keeps_the_contract = checks_for("nlm")
test_recursive_average_keeps_the_contract = checks_for("recursive-average")
test_motion_compensated_keeps_the_contract = checks_for("motion-compensated")


def camera(size: int = 128) -> np.ndarray:
    image = img_as_float32(data.camera())
    return image.reshape(size, 512 // size, size, 512 // size).mean((1, 3))


def lattice(size: int = 128) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    wave = np.cos(2 * np.pi * (0.101 * y + 0.003 * x)) + np.cos(2 * np.pi * (0.101 * x - 0.003 * y))
    return (np.exp(2 * wave) / np.exp(4)).astype(np.float32)


def moving(frames: int = 9, size: int = 64, speed: int = 2) -> np.ndarray:
    """A textured square that moves over a textured ground, by whole pixels."""
    rng = np.random.default_rng(0)
    ground = np.kron(rng.random((size // 8, size // 8)), np.ones((8, 8)))
    square = 1 + np.kron(rng.random((4, 4)), np.ones((4, 4)))
    video = np.repeat(ground[None], frames, 0)
    for n, frame in enumerate(video):
        frame[20:36, 8 + speed * n : 24 + speed * n] = square
    return video.astype(np.float32)


def noisy(image: np.ndarray, sigma: float, seed: int = 1) -> np.ndarray:
    return (image + sigma * np.random.default_rng(seed).standard_normal(image.shape)).astype(np.float32)


# -- what all of them have in common ------------------------------------------------------------


@pytest.mark.parametrize("denoiser", EVERY, ids=NAMES)
@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(5, 40), st.integers(5, 40)),
    scale=st.sampled_from([1e-4, 1.0, 1e5]),
    seed=st.integers(0, 100),
)
def test_any_size_and_any_unit(denoiser: Denoiser, shape: tuple, scale: float, seed: int) -> None:
    image = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    clean = denoiser.denoise(image, 1.0)
    assert clean.shape == shape
    assert np.isfinite(clean).all()
    scaled = denoiser.denoise((image * scale).astype(np.float32), scale)
    np.testing.assert_allclose(scaled / scale, clean, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("denoiser", EVERY, ids=NAMES)
def test_without_noise_nothing_changes(denoiser: Denoiser) -> None:
    video = moving(3)
    np.testing.assert_allclose(denoiser.denoise(video, 0.0), video, atol=1e-6)


@pytest.mark.parametrize("denoiser", EVERY, ids=NAMES)
def test_a_constant_video_keeps_its_level_and_loses_most_of_its_noise(denoiser: Denoiser) -> None:
    video = noisy(np.full((6, 64, 64), 3.0, np.float32), 0.5)
    clean = denoiser.denoise(video, 0.5)
    assert clean.mean() == pytest.approx(3.0, abs=0.03)
    assert clean[-1].std() < 0.75 * 0.5


@pytest.mark.parametrize("denoiser", EVERY[:3], ids=NAMES[:3])
def test_images_of_a_stack_are_filtered_each_by_itself(denoiser: Denoiser) -> None:
    stack = noisy(np.stack([camera(64), lattice(64)]), 0.1)
    alone = np.stack([denoiser.denoise(image, 0.1) for image in stack])
    np.testing.assert_array_equal(denoiser.denoise(stack, 0.1), alone)


@pytest.mark.parametrize("denoiser", EVERY, ids=NAMES)
def test_mirrored_images_give_mirrored_results(denoiser: Denoiser) -> None:
    video = noisy(moving(4), 0.2)
    clean = denoiser.denoise(video, 0.2)
    for axis in (-1, -2):
        flipped = denoiser.denoise(np.ascontiguousarray(np.flip(video, axis)), 0.2)
        # block matching breaks ties one way, so that a few blocks may differ
        assert np.median(np.abs(np.flip(flipped, axis) - clean)) < 1e-4


# -- one by one ---------------------------------------------------------------------------------


def test_wiener_is_scipys_with_known_noise() -> None:
    image = noisy(camera(64), 0.1)
    inside = (slice(2, -2), slice(2, -2))  # SciPy continues an image by zeros
    ours = Wiener(window=5).denoise(image.astype(np.float64), 0.1)
    np.testing.assert_allclose(
        ours[inside], scipy_wiener(image.astype(np.float64), 5, 0.01)[inside], atol=1e-6
    )


def test_wiener_does_not_lose_digits_far_from_zero() -> None:
    image = noisy(camera(64), 0.1).astype(np.float64)
    np.testing.assert_allclose(
        Wiener().denoise(image + 1e7, 0.1) - 1e7, Wiener().denoise(image, 0.1), atol=1e-6
    )


def test_an_even_window_is_refused() -> None:
    with pytest.raises(BadValue, match="window must be odd"):
        Wiener(window=4)


def test_a_lattice_is_the_spectral_filters_own() -> None:
    for sigma in (0.1, 0.3):
        image = noisy(lattice(), sigma)
        spectral = psnr(SpectralWiener().denoise(image, sigma), lattice())
        assert spectral > psnr(Wiener().denoise(image, sigma), lattice()) + 4
        assert spectral > psnr(NonLocalMeans().denoise(image, sigma), lattice()) + 4
    image = noisy(camera(), 0.1)
    assert psnr(SpectralWiener().denoise(image, 0.1), camera()) < psnr(
        NonLocalMeans().denoise(image, 0.1), camera()
    )


def test_spectral_filtering_is_seamless_at_the_border() -> None:
    ramp = np.linspace(0, 10, 64, dtype=np.float32)[:, None] * np.ones((1, 64), np.float32)
    clean = SpectralWiener().denoise(noisy(ramp, 0.2), 0.2)
    assert np.abs(clean - ramp)[[0, -1]].max() < 1.0  # a periodic continuation would be off by 5


def test_nlm_is_as_good_as_scikit_images() -> None:
    from skimage.restoration import denoise_nl_means

    ahead = []
    for sigma in (0.05, 0.1, 0.2):
        image = noisy(camera(), sigma)
        theirs = (denoise_nl_means(image, 5, 9, h=h * sigma, sigma=sigma, fast_mode=True) for h in (0.6, 0.8))
        best = max(psnr(t, camera()) for t in theirs)
        ahead.append(psnr(NonLocalMeans().denoise(image, sigma), camera()) - best)
    assert np.mean(ahead) > -0.15
    assert min(ahead) > -0.5


def test_nlm_is_the_plain_sum_over_displacements() -> None:
    image = noisy(camera(64)[:20, :24], 0.1)
    patch, search, strength, sigma = 1, 2, 0.7, 0.1
    pad = patch + search
    wide = np.pad(image / sigma, pad, mode="symmetric").astype(np.float64)
    want = np.empty_like(image, dtype=np.float64)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            y, x = i + pad, j + pad
            own, total, weights = wide[y - 1 : y + 2, x - 1 : x + 2], wide[y, x], 1.0
            for dy in range(-search, search + 1):
                for dx in range(-search, search + 1):
                    if dy == dx == 0:
                        continue
                    other = wide[y + dy - 1 : y + dy + 2, x + dx - 1 : x + dx + 2]
                    w = np.exp(-max(np.mean((own - other) ** 2) - 2, 0) / strength**2)
                    total, weights = total + w * wide[y + dy, x + dx], weights + w
            want[i, j] = total / weights
    ours = NonLocalMeans(patch=patch, search=search, strength=strength).denoise(image, sigma)
    np.testing.assert_allclose(ours, want * sigma, atol=0.06 * sigma)


def test_nlm_finds_more_in_neighbouring_frames() -> None:
    video = noisy(moving(), 0.3)
    single = psnr(NonLocalMeans().denoise(video, 0.3), moving())
    assert psnr(NonLocalMeans(frames=5).denoise(video, 0.3), moving()) > single + 0.5


def test_the_recursive_average_is_its_recursion() -> None:
    steps = np.zeros((6, 4, 4), np.float64)
    steps[2:] = 1.0
    clean = RecursiveAverage(weight=0.3).denoise(steps, 1.0)
    np.testing.assert_allclose(clean[:, 0, 0], [0, 0, *(1 - 0.7 ** np.arange(1, 5))])


def test_the_recursive_average_leaves_the_stated_noise() -> None:
    still = np.random.default_rng(0).standard_normal((60, 64, 64))
    clean = RecursiveAverage(weight=0.4).denoise(still, 1.0)
    assert clean[30:].var() == pytest.approx(0.4 / 1.6, rel=0.05)


def test_compensation_follows_what_moves() -> None:
    truth = moving()
    video = noisy(truth, 0.2)
    compensated = MotionCompensated().denoise(video, 0.2)
    assert psnr(compensated, truth) > psnr(video, truth) + 5
    assert psnr(compensated, truth) > psnr(RecursiveAverage().denoise(video, 0.2), truth) + 3
    assert psnr(compensated, truth) > psnr(MotionCompensated(search=0).denoise(video, 0.2), truth) + 0.5


def test_what_appears_is_not_averaged_with_what_was_there() -> None:
    video = np.zeros((7, 48, 48), np.float32)
    video[3, 16:32, 16:32] = 5.0  # for one frame
    clean = MotionCompensated().denoise(noisy(video, 0.2), 0.2)
    assert clean[3, 20:28, 20:28].mean() == pytest.approx(5.0, abs=0.1)
    assert abs(clean[2, 20:28, 20:28].mean()) < 0.1
