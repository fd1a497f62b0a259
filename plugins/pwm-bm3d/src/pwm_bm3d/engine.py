"""Both stages on a whole image: it is cut into bands of rows, which threads work on and whose sums are added.

The bands depend on the image alone and are added in order: the result is the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from .stages import hard_band, wiener_band
from .transforms import AREA, BIOR, DCT, PATCH
from .vectors import LANES

if TYPE_CHECKING:
    from .denoiser import BM3D

T = TypeVar("T")

_BAND = 24  # rows of reference patches in a band
_WIENER_LIMIT = 1.0  # largest mean squared difference from the reference patch in the second stage, in sigma²
_WINDOW = np.kaiser(PATCH, 2.0).astype(np.float32)  # beta of the paper


class Flat(NamedTuple):
    """An image as the kernels take it: rows end to end."""

    pixels: np.ndarray
    stride: int
    height: int
    width: int


def filtered(image: np.ndarray, settings: BM3D) -> np.ndarray:
    """The float32 image (y, x), whose noise has standard deviation one, denoised."""
    height, width = image.shape
    noisy = _flat(_grown(image), settings.search)
    kind = BIOR if settings.transform == "bior1.5" else DCT
    limit, threshold = np.float32(np.inf), np.float32(settings.threshold)

    def hard(*band: object) -> None:
        hard_band(kind, noisy.pixels, *noisy[1:], *band, settings.group, limit, threshold, _window())

    clean = _staged(hard, noisy, settings)
    if settings.stages == "both":
        pilot = _flat(clean, settings.search)
        nearest = np.float32(_WIENER_LIMIT * AREA)

        def wiener(*band: object) -> None:
            pixels = noisy.pixels, pilot.pixels
            wiener_band(*pixels, *noisy[1:], *band, settings.group_wiener, nearest, _window())

        clean = _staged(wiener, noisy, settings)
    return clean[:height, :width]


def _staged(stage: Callable[..., None], image: Flat, settings: BM3D) -> np.ndarray:
    """Run a stage on all bands; the weighted mean of all filtered patches at every pixel."""
    columns = _grid(image.width, settings.step)
    total, weights = np.zeros((2, image.height, image.stride), np.float32)

    def work(rows: np.ndarray) -> tuple[slice, np.ndarray]:
        reach = slice(
            max(int(rows[0]) - settings.search, 0), min(int(rows[-1]) + settings.search + PATCH, image.height)
        )
        sums = np.zeros((2, (reach.stop - reach.start) * image.stride), np.float32)
        stage(rows, columns, settings.search, sums[0], sums[1], reach.start * image.stride)
        return reach, sums.reshape(2, -1, image.stride)

    for reach, sums in _in_order(work, _bands(image.height, settings.step), settings.threads):
        total[reach] += sums[0]
        weights[reach] += sums[1]
    return total / _spread(weights)


def _in_order(work: Callable[[np.ndarray], T], bands: list[np.ndarray], threads: int) -> Iterator[T]:
    """What ``work`` makes of each band, in their order."""
    if threads == 1 or len(bands) == 1:
        yield from map(work, bands)
        return
    with ThreadPoolExecutor(min(threads, len(bands)), "pwm-bm3d") as pool:
        yield from pool.map(work, bands)


def _grid(length: int, step: int) -> np.ndarray:
    """Where reference patches begin along an axis: every ``step``, and at the end."""
    return np.unique(np.append(np.arange(0, length - PATCH + 1, step), length - PATCH))


def _bands(height: int, step: int) -> list[np.ndarray]:
    grid = _grid(height, step)
    return [grid[i : i + _BAND] for i in range(0, len(grid), _BAND)]


def _grown(image: np.ndarray) -> np.ndarray:
    """At least as large as a patch, by mirroring."""
    return np.pad(image, [(0, max(PATCH - n, 0)) for n in image.shape], mode="symmetric")


def _flat(image: np.ndarray, search: int) -> Flat:
    """With room before and behind for the displacements that vectors take along but nobody asked for."""
    height, width = image.shape
    room = search + 2 * LANES
    pixels = np.zeros(height * width + 2 * room, np.float32)[room:]
    pixels[: height * width] = image.ravel()
    return Flat(pixels, width, height, width)


def _window() -> np.ndarray:
    """The weights of the pixels of a patch, (64,)."""
    return np.outer(_WINDOW, _WINDOW).ravel()


def _spread(weights: np.ndarray) -> np.ndarray:
    """The sum of all windows at every pixel, from the weights of the patches at their first pixels."""
    height, width = weights.shape
    across, down = np.zeros_like(weights), np.zeros_like(weights)
    for j, w in enumerate(_WINDOW):
        across[:, j:] += w * weights[:, : width - j]
    for i, w in enumerate(_WINDOW):
        down[i:] += w * across[: height - i]
    return down
