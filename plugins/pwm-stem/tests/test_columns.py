"""The probe's size from the width of atomic columns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pwm_stem.columns import MOTION, probe_size_from_columns
from pwm_stem.modality import STEM
from pwm_stem.optics import FWHM, Lens, probe_profile

from pwm_core.scenario import pose

LENS = Lens()
PIXEL = 0.15  # Å


def columns(
    size: float,
    spacing: float = 2.8,
    n: int = 96,
    counts: float = 200.0,
    motion: float = MOTION,
    shift: tuple[float, float] = (0.0, 0.0),
):
    """Expected counts of columns on a square lattice, turned, with a probe whose source errs by ``size``.

    Columns are shifted by ``shift`` along the lattice's axes, in parts of the spacing.
    """
    blur = FWHM * math.hypot((LENS.source_size + size) / FWHM, motion) - LENS.source_size
    radius = np.arange(0, 4, 0.005)
    profile = probe_profile(LENS, radius, blur)
    y, x = np.mgrid[:n, :n] * PIXEL
    image = np.full((n, n), 0.1 * counts)
    cos, sin = math.cos(0.3), math.sin(0.3)
    for i in np.arange(-20, 20) + shift[0]:
        for j in np.arange(-20, 20) + shift[1]:
            cy, cx = spacing * (cos * i - sin * j) + 1.0, spacing * (sin * i + cos * j) + 1.3
            image += counts * np.interp(np.hypot(y - cy, x - cx), radius, profile / profile[0], right=0)
    return image


@pytest.mark.parametrize("size", [-0.12, 0.0, 0.05, 0.2])
@pytest.mark.parametrize("spacing", [2.2, 2.8])
def test_finds_the_size_of_the_source_without_noise(size, spacing):
    image = columns(size, spacing)
    found = probe_size_from_columns(image, image, PIXEL, LENS)
    assert found is not None
    assert found[0] == pytest.approx(size, abs=0.01)


def test_neither_unit_nor_dose_nor_noise_matter_beyond_the_error():
    image = columns(0.1)
    y = np.random.default_rng(0).poisson(image).astype(float)
    one = probe_size_from_columns(y, image, PIXEL, LENS)
    other = probe_size_from_columns(1e-3 * y, 1e-6 * image, PIXEL, LENS)
    assert one is not None
    assert other == pytest.approx(one, rel=1e-3)
    assert one[0] == pytest.approx(0.1, abs=2 * one[1])


def test_the_error_covers_what_thermal_motion_may_be():
    for motion in (0.06, 0.1):
        image = columns(0.05, motion=motion)
        found = probe_size_from_columns(image, image, PIXEL, LENS)
        assert found is not None
        assert abs(found[0] - 0.05) < 2 * found[1]
        assert found[1] < 0.03


def test_light_columns_that_are_not_seen_between_heavy_ones_do_not_mislead():
    """As in a perovskite, where oxygen's are 7 % as high as the heaviest and lie in the others' tails."""
    image = sum(
        columns(0.1, 3.9, counts=counts, shift=shift)
        for counts, shift in ((200, (0, 0)), (93, (0.5, 0.5)), (14, (0.5, 0)), (14, (0, 0.5)))
    )
    found = probe_size_from_columns(image + 60, image + 60, PIXEL, LENS)
    assert found is not None
    assert found[0] == pytest.approx(0.1, abs=0.02)


def test_without_columns_nothing_is_said():
    rng = np.random.default_rng(1)
    noise = rng.poisson(20.0, (96, 96)).astype(float)
    assert probe_size_from_columns(noise, np.full_like(noise, 20.0), PIXEL, LENS) is None
    image = columns(0.0)
    assert probe_size_from_columns(image, image, 1.0, LENS) is None  # pixels as wide as the probe
    flat = np.full((96, 96), 20.0)
    assert probe_size_from_columns(flat, flat, PIXEL, LENS) is None


def test_columns_of_all_widths_are_not_taken_for_a_probe():
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:128, :128] * PIXEL
    image = np.full((128, 128), 20.0)
    for cy in np.arange(1.5, 19, 2.6):
        for cx in np.arange(1.5, 19, 2.6):
            image += 200 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * rng.uniform(0.3, 0.65) ** 2))
    assert probe_size_from_columns(image, image, PIXEL, LENS) is None


def test_an_operator_without_noise_is_no_obstacle():
    problem, _ = pose(STEM.small(), "perovskite", "mismatch", seed=0)
    operator = problem.operator
    silent = operator.replace(outer=operator.outer.replace(statistics="none", readout=0.0))
    assert "probe.size" not in silent.estimate(problem.y)


@pytest.mark.slow
def test_errors_are_honest_on_generated_specimens():
    modality, far = STEM(), []
    for scene in range(60, 90):
        problem, truth = pose(modality, scene, "mismatch", seed=0)
        found = problem.operator.estimate(problem.y, problem.mask)
        for name in ("probe.size", "scan.distortion"):
            if name in found:
                far.append((found[name] - truth.theta[name]) / found[f"std:{name}"])
    assert len(far) > 30
    assert np.mean(np.abs(far) < 2) > 0.85
    assert np.sqrt(np.mean(np.square(far))) < 1.6
