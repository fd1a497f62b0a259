"""The pictures that a cell leaves: which image is shown, in which range, and what stands for the data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from pwm_core.benchmark.gallery import ERROR_PART, LARGEST, draw_gallery, pictures
from pwm_core.modality import Axis, View


def toy(
    object_axes: str = "yx",
    data_axes: str = "yx",
    truth: np.ndarray | None = None,
    y: np.ndarray | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Modality, problem, truth and result, as far as pictures need them."""
    rng = np.random.default_rng(1)
    x = rng.uniform(2, 5, (1, 12, 10)) if truth is None else truth
    modality = SimpleNamespace(
        object_axes=tuple(Axis(a, "nm") for a in object_axes),
        data_axes=tuple(Axis(a, "nm" if a in object_axes else "") for a in data_axes),
        align=lambda got, want, problem: got,
        view=lambda a, problem: (View("height", "nm", a),),
    )
    problem = SimpleNamespace(y=x[0] if y is None else y)
    return modality, problem, SimpleNamespace(x=x), SimpleNamespace(x=x + 0.1)


def test_pictures_share_the_truths_range_and_errors_a_part_of_it() -> None:
    modality, problem, truth, result = toy()
    shown = pictures(modality, problem, truth, result)
    low, high = truth.x.min(), truth.x.max()
    assert shown["truth"].limits == shown["reconstruction"].limits == (low, high)
    assert shown["error"].limits == pytest.approx((-ERROR_PART * (high - low), ERROR_PART * (high - low)))
    np.testing.assert_allclose(shown["error"].image, 0.1)


def test_of_many_images_the_liveliest_is_shown_with_its_own_data() -> None:
    truth = np.ones((3, 12, 10))
    truth[1, 4] = 7
    frames = np.arange(3.0)[:, None, None] + np.zeros((3, 12, 10))
    shown = pictures(*toy("tyx", "tyx", truth, frames))
    assert np.array_equal(shown["truth"].image, truth[1])
    assert np.array_equal(shown["measurement"].image, frames[1])
    assert shown["measurement"].caption == "t 2 of 3"
    assert "image 2 of 3" in shown["truth"].caption


def test_spectra_are_summed_and_of_patterns_the_brightest_is_shown() -> None:
    data = np.arange(4.0)[:, None, None] + np.ones((4, 12, 10))
    summed = pictures(*toy("yx", "eyx", y=data))["measurement"]
    assert summed.image == pytest.approx(np.full((12, 10), 10.0))
    assert summed.caption == "sum over e"
    brightest = pictures(*toy("yx", "fvu", y=data))["measurement"]
    assert brightest.image == pytest.approx(np.full((12, 10), 4.0))
    assert brightest.caption == "f 4 of 4"


def test_a_pattern_with_a_bright_centre_is_logarithmic() -> None:
    pattern = np.ones((20, 20))
    pattern[9:11, 9:11] = 1e5
    shown = pictures(*toy("yx", "fvu", y=pattern[None]))["measurement"]
    assert "logarithmic" in shown.caption
    assert shown.image.max() == pytest.approx(np.log10(1 + 1e5))


def test_large_pictures_are_binned_and_constant_ones_drawn(tmp_path: Path) -> None:
    side = 2 * LARGEST + 8
    draw_gallery(tmp_path, *toy(truth=np.ones((1, side, side))))
    assert imread(tmp_path / "truth.png").shape[:2] == (side // 3, side // 3)


def test_a_run_that_diverged_is_drawn_as_it_is(tmp_path: Path) -> None:
    modality, problem, truth, result = toy()
    modality.align = None  # never called: nothing can be aligned to it
    result.x = np.full_like(truth.x, np.nan)
    draw_gallery(tmp_path, modality, problem, truth, result)
    assert (imread(tmp_path / "reconstruction.png")[..., 3] == 0).all()  # transparent
