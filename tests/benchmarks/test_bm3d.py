"""BM3D against its authors' package and scikit-image's non-local means: quality and time of one thread."""

import time

import numpy as np
import pytest
from pwm_bm3d.denoiser import BM3D
from skimage import data
from skimage.restoration import denoise_nl_means
from skimage.transform import resize

SIGMAS = (0.05, 0.1, 0.2)


def lattice(size=256, a=17.3, b=21.1, tilt=0.2, width=2.2):
    """Heavy atoms at the corners and light ones at the centres of an oblique lattice."""
    y, x = np.mgrid[:size, :size] - size / 2
    u, v = np.cos(tilt) * x + np.sin(tilt) * y, np.cos(tilt) * y - np.sin(tilt) * x
    image = np.zeros((size, size))
    for shift, weight in ((0, 1), (0.5, 0.45)):
        du, dv = (u / a + shift + 0.5) % 1 - 0.5, (v / b + shift + 0.5) % 1 - 0.5
        image += weight * np.exp(-((du * a) ** 2 + (dv * b) ** 2) / (2 * width**2))
    return 0.05 + 0.9 * image / image.max()


SCENES = {
    "camera": lambda: data.camera() / 255,
    "coins": lambda: data.coins() / 255,
    "page": lambda: data.page() / 255,
    "brick": lambda: data.brick() / 255,
    "moon": lambda: data.moon() / 255,
    "lattice": lattice,
}


def noisy(truth, sigma):
    return (truth + sigma * np.random.default_rng(1).standard_normal(truth.shape)).astype(np.float32)


def psnr(image, truth):
    return 10 * np.log10(1 / np.mean((image - truth) ** 2))


def timed(denoise, image, sigma):
    """What comes out, and the processor seconds that it took."""
    before = time.process_time()
    clean = denoise(image, sigma)
    return clean, time.process_time() - before


def non_local_means(image, sigma):
    settings = {"patch_size": 5, "patch_distance": 9, "h": 0.8 * sigma, "sigma": sigma, "fast_mode": True}
    return denoise_nl_means(image, **settings)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("scene", SCENES)
def test_as_good_as_the_package_and_twice_as_fast(scene, sigma, record_property):
    pytest.importorskip("bm3d", reason="the extra pwm-bm3d[reference] is not installed")
    truth = SCENES[scene]()
    image = noisy(truth, sigma)
    ours, package = BM3D(), BM3D(backend="bm3d")
    ours.denoise(image[:40, :40], sigma)  # compiles
    found = {
        label: timed(f, image, sigma)
        for label, f in (("bm3d", ours.denoise), ("package", package.denoise), ("nlm", non_local_means))
    }
    quality = {label: psnr(clean, truth) for label, (clean, _) in found.items()}
    seconds = {label: s for label, (_, s) in found.items()}
    for label in found:
        record_property(f"{label}_db", quality[label])
        record_property(f"{label}_s", seconds[label])
    words = (f"{label} {quality[label]:.2f} dB {seconds[label]:.2f} s" for label in found)
    print(f"{scene} {truth.shape} sigma {sigma}:", ", ".join(words))
    assert quality["bm3d"] > quality["package"] - 0.1
    assert quality["bm3d"] > quality["nlm"]
    assert seconds["bm3d"] < seconds["package"] / 2


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_time(benchmark, size):
    image = noisy(resize(data.camera() / 255, (size, size)), 0.1)
    benchmark.pedantic(BM3D().denoise, args=(image, 0.1), rounds=3, warmup_rounds=1)
