"""The pictures that a cell leaves for the gallery: truth, measurement, reconstruction and error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..driver import Result
from ..modality import Modality, View
from ..problem import Problem, Truth

ERROR_PART = 0.1  # errors are shown in ± this part of the truth's range, the same for every method
LARGEST = 512  # pixels along an edge; larger images are binned
LABELS = "gallery.json"  # what the pictures show, in words


class Picture(NamedTuple):
    """An image with the values shown as darkest and brightest, and its caption."""

    image: np.ndarray
    limits: tuple[float, float]
    colours: str
    caption: str


def draw_gallery(folder: Path, modality: Modality, problem: Problem, truth: Truth, result: Result) -> None:
    """Write PNGs of one image of the scored view, pixel by pixel, and :data:`LABELS` beside them.

    Of several images (frames, elements) it is the one that varies most in the truth. Truth and
    reconstruction are shown in the truth's range, the error in ± :data:`ERROR_PART` of it.
    """
    from matplotlib.image import imsave

    shown = pictures(modality, problem, truth, result)
    for name, picture in shown.items():
        low, high = picture.limits
        imsave(folder / f"{name}.png", _binned(picture.image), cmap=picture.colours, vmin=low, vmax=high)
    captions = {name: picture.caption for name, picture in shown.items()}
    (folder / LABELS).write_text(json.dumps(captions, ensure_ascii=False) + "\n", encoding="utf-8")


def pictures(modality: Modality, problem: Problem, truth: Truth, result: Result) -> dict[str, Picture]:
    """The four pictures by name."""
    want = modality.view(truth.x, problem)[0]
    finite = bool(np.isfinite(result.x).all())  # else there is nothing to align; the scorer says so
    got = modality.view(modality.align(result.x, truth, problem) if finite else result.x, problem)[0]
    number = int(np.argmax([np.var(image) for image in want.images]))
    true, mine = want.images[number], got.images[number]
    low, high = float(true.min()), float(true.max())
    if low == high:
        high = low + (abs(low) or 1.0)
    span = ERROR_PART * (high - low)
    part = f", image {number + 1} of {len(want.images)}" if len(want.images) > 1 else ""
    caption = f"{want.name}{part}, {_limits(low, high, want)}"
    return {
        "truth": Picture(true, (low, high), "gray", caption),
        "measurement": _measurement(modality, problem, number, len(want.images)),
        "reconstruction": Picture(mine, (low, high), "gray", caption),
        "error": Picture(mine - true, (-span, span), "RdBu_r", f"error, {_limits(-span, span, want)}"),
    }


def _measurement(modality: Modality, problem: Problem, number: int, count: int) -> Picture:
    """The data as one image: that of the same frame, the sum over what the object lacks, or the brightest.

    Data whose image axes are the object's are summed (over energies); others, such as diffraction
    patterns, would blur.
    """
    y = np.asarray(problem.y, dtype=np.float64)
    stack = y.reshape(-1, *y.shape[-2:])
    axes = modality.data_axes
    if len(stack) == 1:
        return _counts(stack[0], "data")
    if axes[:1] == modality.object_axes[:1] and len(stack) == count:
        return _counts(stack[number], f"{axes[0].name} {number + 1} of {len(stack)}")
    if axes[-2:] == modality.object_axes[-2:]:
        return _counts(stack.sum(0), f"sum over {axes[0].name}")
    best = int(np.argmax(stack.sum((1, 2))))
    return _counts(stack[best], f"{axes[0].name} {best + 1} of {len(stack)}")


def _counts(image: np.ndarray, caption: str) -> Picture:
    """Between percentiles, on a logarithmic scale where a few pixels hold nearly everything."""
    low, high = np.percentile(image, [0.5, 99.5])
    if image.min() >= 0 and high > 50 * max(float(np.median(image)), 1.0):
        image = np.log10(1 + image)
        low, high, caption = 0.0, image.max(), f"{caption}, logarithmic"
    return Picture(image, (float(low), float(high if high > low else low + 1)), "gray", caption)


def _binned(image: np.ndarray) -> np.ndarray:
    step = -(-max(image.shape) // LARGEST)
    rows, columns = (n // step * step for n in image.shape)
    part = image[:rows, :columns].reshape(rows // step, step, columns // step, step)
    return part.mean((1, 3)) if step > 1 else image


def _limits(low: float, high: float, view: View) -> str:
    return f"{low:.3g} to {high:.3g} {view.unit}".strip()
