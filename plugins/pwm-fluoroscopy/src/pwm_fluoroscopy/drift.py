"""Gain drift from the data alone: what a calibrator may start from."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from .registration import followed, pooled_by

_POOLED = 2  # cells in the side of a block
_FEWEST = 16  # blocks
_STRAIGHT = 0.1  # chance that what goes straight is taken for what does not
_DARK = 0.05  # of the brightest block's mean: blocks that are darker do not count
_SPEED = 0.5  # blocks/frame, rms: how fast the field may move as one
_ASTRAY = 0.05  # blocks/frame, rms: how fast blocks may move that were followed
_SCATTER = 10.0  # times its variance: how far what agrees may scatter
_ROUNDS = 100
# Standard errors, by the scatter of all slopes over the part of the field that agrees: measured, see below
_STILL, _FOLLOWED, _BENT = 0.075, 0.1, 0.25  # parts of it, and of its square (frames/%), among so many blocks
_MANY, _FEWER = 576, 0.75  # more were not tried; the power with which it grows where there are fewer


def gain_drift_from_cells(
    cells: np.ndarray, variance: np.ndarray, valid: np.ndarray
) -> tuple[float, float] | None:
    """The drift (%/frame) on which most of the field agrees, and its standard error.

    ``cells`` (frame, y, x) are means of direct quanta over small squares, in any unit, with their
    ``variance``; those not ``valid`` (y, x) do not count. A straight line is fitted to each block of 2 × 2
    cells, where it is and where it moves with most of the field: the drift with the smaller error is taken.

    What moves otherwise, or fills with contrast medium, misleads by an amount that noise does not tell: it is
    judged by the scatter s of all slopes over the part of the field that agrees. Among 576 blocks the
    standard error is 0.075 s in place, and the root of (0.1 s)² + (0.25 s²)² where the field is followed,
    since contrast medium moves along; with fewer blocks, of which each then shows more of the patient, it
    grows as their number to the power -3/4. The difference of the two ways over √2, the standard deviation of
    two numbers, is added. In 90 simulated sequences that did not serve to choose this, 30 each of 576, 256
    and 144 blocks, errors were 1.0, 1.5 and 1.3 of that, rms, and beyond two in 7, 10 and 13 % of them: what
    fills or moves as a whole misleads both.
    None for fewer than 3 frames or 16 blocks.
    """
    if len(cells) < 3 or not valid.any():
        return None
    found = []
    for stack, astray, linear, square in (
        ((cells, variance, valid), 0.0, _STILL, 0.0),
        (followed(cells, variance, valid), _ASTRAY, _FOLLOWED, _BENT),
    ):
        means, noise, whole = (pooled_by(_POOLED, part) for part in stack)
        agreed = _from_blocks(means, noise / _POOLED**2, whole == 1, astray)
        if agreed is not None:
            drift, own, scatter, count = agreed
            misled = np.hypot(linear * scatter, square * scatter**2) * max(1.0, _MANY / count) ** _FEWER
            found.append((float(np.hypot(own, misled)), drift))
    if not found:
        return None
    error, drift = min(found)
    return drift, float(np.hypot(error, np.std([d for _, d in found], ddof=1))) if len(found) > 1 else error


def _from_blocks(
    blocks: np.ndarray, variance: np.ndarray, valid: np.ndarray, astray: float
) -> tuple[float, float, float, float] | None:
    """Drift, its error by noise alone, the scatter of all slopes over the part that agrees, and their number.

    A block's relative slope is the drift where the patient stands still; where he moves by v, v · ∇ log is
    added to it (Gennert & Negahdaripour 1987, MIT AI memo 975). One drift and one v for most of the field are
    fitted together with the part of it that follows them, by expectation maximisation; the rest may have any
    slope (Jepson & Black 1993, doi:10.1109/CVPR.1993.341161). Each block may besides go ``astray`` by so many
    blocks/frame. Blocks that do not go straight are left out.
    """
    mean, slope, error, misfit = _lines(blocks, variance)
    bright = valid & (mean > _DARK * mean.max(initial=0.0, where=valid))
    straight = bright & (misfit < chi2.isf(_STRAIGHT, len(blocks) - 2))
    if straight.sum() < _FEWEST:
        return None
    gradient = np.gradient(np.log(np.where(bright, mean, mean[bright].mean())))
    steepness = [100 * g[straight] for g in gradient]
    own = np.hypot(error[straight], astray * np.hypot(*steepness))
    design = np.stack([np.ones(straight.sum()), *(_SPEED * s for s in steepness)], 1)
    drift, noise, followers = _agreed(slope[straight], own, design)
    return drift, noise, _spread(slope[bright]) * float(bright.sum()) / followers, float(bright.sum())


def _lines(blocks: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of straight lines in time: mean, slope in % of the first value, its standard error, and χ²."""
    n = np.arange(len(blocks)) - (len(blocks) - 1) / 2
    mean = blocks.mean(0)
    square = float(np.sum(n**2))
    rise = np.tensordot(n, blocks, 1) / square
    misfit = np.sum((blocks - mean - n[:, None, None] * rise) ** 2 / np.maximum(variance, 1e-30), 0)
    safe = np.where(mean > 0, mean, 1.0)
    first = np.maximum(safe - n[-1] * rise, _DARK * safe)
    return mean, 100 * rise / first, 100 * np.sqrt(np.tensordot(n**2, variance, 1)) / square / safe, misfit


def _agreed(slope: np.ndarray, error: np.ndarray, design: np.ndarray) -> tuple[float, float, float]:
    """The first of the parameters on which most slopes agree, its error, and how many slopes agree.

    These may scatter more than their errors. Of two starts, the densest place with nothing moving and all
    slopes alike, the likelier end.
    """
    width = 6 * max(_spread(slope), float(np.median(error)))
    places = np.quantile(slope, np.linspace(0.01, 0.99, 200))
    density = np.exp(-0.5 * ((places[:, None] - slope) / error) ** 2) @ (1 / error)
    still = np.exp(-0.5 * ((slope - places[np.argmax(density)]) / error) ** 2) + 1e-6
    prior = np.diag([0.0] + [1.0] * (design.shape[1] - 1))
    ends = []
    for follows in (still, np.ones(len(slope))):
        part = 0.5
        wide = error
        for _ in range(_ROUNDS):
            weight = follows / wide**2
            normal = design.T @ (weight[:, None] * design) + prior
            found = np.linalg.solve(normal, design.T @ (weight * slope))
            off = (slope - design @ found) / error
            scatter = float(np.clip(np.sum(follows * off**2) / follows.sum(), 1, _SCATTER))
            wide = np.sqrt(scatter) * error
            inside = part * np.exp(-0.5 * off**2 / scatter) / (np.sqrt(2 * np.pi) * wide)
            before, follows = follows, inside / (inside + (1 - part) / width)
            part = float(np.clip(follows.mean(), 0.01, 0.99))
            if np.abs(follows - before).max() < 1e-5:
                break
        likely = float(np.log(inside + (1 - part) / width).sum())
        ends.append((likely, float(found[0]), float(np.sqrt(np.linalg.inv(normal)[0, 0])), follows.sum()))
    _, drift, own, followers = max(ends)
    return drift, own, float(followers)


def _spread(values: np.ndarray) -> float:
    """The standard deviation of normal values, from their median distance to the median."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
