"""How most of the field moves from frame to frame, and the video as it moves along."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_WIDTHS = (3.0, 1.5)  # cells, rms: smoothed so much, one after the other
_MOST = 64  # cells across by which the movement is looked for
_STEPS = 8  # Gauss-Newton steps at most
_ROUNDS = 4  # of reweighting in each
_SHORT = 0.01  # cells: a shorter step is none
_WIDE = 1.5  # standard deviations of what moves along: what is farther off counts less
_STIFF = 1e-3  # keeps the movement at rest where there is nothing to see it by
_DARK = 0.02  # of the mean: what is darker is as dark

Stack = tuple[np.ndarray, np.ndarray, np.ndarray]


def followed(cells: np.ndarray, variance: np.ndarray, valid: np.ndarray) -> Stack:
    """``cells`` (frame, y, x) at the points of the middle frame, wherever these are; the others likewise.

    From each frame to the next most of the field is taken to move affinely and to change in brightness by one
    factor; what does neither counts little (Odobez & Bouthemy 1995, doi:10.1006/jvci.1995.1029). Places count
    as valid (y, x) that are so in all frames. Interpolated linearly; the variance is that of what is
    interpolated.
    """
    moved, spread, seen = np.empty_like(cells), np.empty_like(variance), np.asarray(valid).copy()
    for k, place in enumerate(_places(cells, valid)):
        moved[k], spread[k] = _sampled(cells[k], place), _sampled(variance[k], place)
        seen &= _inside(valid, place)
    return moved, spread, seen


def _places(cells: np.ndarray, valid: np.ndarray) -> list[np.ndarray]:
    """Where (2, y, x) the points of the middle frame are in each frame."""
    pool = -(-max(cells.shape[1:]) // _MOST)
    pooled, whole = pooled_by(pool, cells), pooled_by(pool, valid) == 1
    scenes = [_smooth_logs(pooled, whole, width) for width in _WIDTHS]
    basis = _basis(whole.shape)
    motion, middle = np.zeros((len(cells), 2, 3)), len(cells) // 2
    for order in (range(middle + 1, len(cells)), range(middle - 1, -1, -1)):
        before, speed = middle, np.zeros((2, 3))
        for k in order:
            motion[k] = motion[before] + speed
            for scene in scenes:
                reference = _sampled(scene[before], _at(motion[before], basis))
                seen = whole & _inside(whole, _at(motion[before], basis))
                motion[k] = _registered(scene[k], reference, whole, seen, motion[k], basis)
            speed, before = motion[k] - motion[before], k
    return [_at(m * pool, _basis(valid.shape)) for m in motion]


def _registered(
    image: np.ndarray,
    reference: np.ndarray,
    whole: np.ndarray,
    seen: np.ndarray,
    motion: np.ndarray,
    basis: np.ndarray,
) -> np.ndarray:
    """The movement with which ``image`` comes closest to the ``reference`` where that is ``seen``."""
    for _ in range(_STEPS):
        place = _at(motion, basis)
        here = seen & _inside(whole, place)
        found = _sampled(image, place)
        slopes = [basis[:, here] * g[here] for g in np.gradient((found + reference) / 2)]
        design = np.concatenate([np.ones((1, int(here.sum()))), *slopes]).T
        step = _robust(design, (reference - found)[here])[1:].reshape(2, 3)
        motion = motion + step
        if np.abs(step).max() < _SHORT:
            break
    return motion


def _robust(design: np.ndarray, off: np.ndarray) -> np.ndarray:
    """The parameters that fit most of ``off``, with the weights of Geman & McClure (1987)."""
    weight, found = np.ones(len(off)), np.zeros(design.shape[1])
    stiff = np.diag([_STIFF * 1e-6] + [_STIFF] * (design.shape[1] - 1))
    for _ in range(_ROUNDS):
        found = np.linalg.solve(design.T @ (weight[:, None] * design) + stiff, design.T @ (weight * off))
        left = off - design @ found
        scale = _WIDE * 1.4826 * float(np.median(np.abs(left))) if len(left) else 1.0
        weight = 1 / (1 + (left / (scale + 1e-9)) ** 2) ** 2
    return found


def pooled_by(factor: int, values: np.ndarray) -> np.ndarray:
    """Means over squares of ``factor`` cells along the last two axes; a rest at the ends is left out."""
    ny, nx = (n // factor for n in values.shape[-2:])
    cut = values[..., : ny * factor, : nx * factor]
    return cut.reshape(*values.shape[:-2], ny, factor, nx, factor).mean((-3, -1))


def _smooth_logs(cells: np.ndarray, valid: np.ndarray, width: float) -> np.ndarray:
    """Logarithms of the frames, smoothed over what is valid."""
    part = ndimage.gaussian_filter(valid.astype(float), width)
    smooth = ndimage.gaussian_filter(np.where(valid, cells, 0), (0, width, width)) / np.maximum(part, 1e-3)
    return np.log(np.maximum(smooth, _DARK * smooth[:, valid].mean() if valid.any() else 1.0))


def _basis(shape: tuple[int, ...]) -> np.ndarray:
    """1, y and x (3, y, x), these two from −1 to 1."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    return np.stack(np.broadcast_arrays(1.0, y[:, None], x[None]))


def _at(motion: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The places (2, y, x) in cells to which the ``motion`` (2, 3) takes all cells."""
    return np.indices(basis.shape[1:]) + np.tensordot(motion, basis, 1)


def _sampled(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.map_coordinates(image, place, order=1, mode="nearest"))


def _inside(valid: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Whether all that is interpolated at a place is valid."""
    return np.asarray(ndimage.map_coordinates(valid.astype(float), place, order=1, cval=0.0) > 0.999)
