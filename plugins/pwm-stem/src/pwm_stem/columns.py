"""The width of the probe from atomic columns, which are all of nearly the same width and far narrower."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, maximum_filter
from scipy.sparse import csr_array, diags_array, hstack, kron
from scipy.sparse.linalg import splu

from .optics import FWHM, Lens, probe_profile, probe_width

MOTION, _MOTIONS = 0.08, 0.02  # Å, rms thermal motion in solids at room temperature, and how it varies
_ANGLE = 0.02  # to which part of it a convergence angle is known
_FEWEST = 12  # columns
_WIDEST = 320  # px: of larger images the middle tells enough
_ROUNDS, _FIRST = 6, 4  # rounds of fitting; those in which bright columns count more, and then sure ones
_SIGNAL, _FAINT = 5.0, 0.02  # height of a column over its noise, and over the brightest ones'
_CORE, _ELSEWHERE = 1.4, 1e-3  # rms widths of the probe in which pixels count, and what the others count
_UNEQUAL = 0.007  # Å²: columns differ by so much
_VAGUE = 0.015  # Å²: columns that are less sure each are fitted to the noise, and too narrow
_ODD = 3.0  # times as unequal as that: the specimen is not of columns
_HATS = 3.0  # Å between the nodes of the background
_FINE = 0.01  # Å between the nodes of the profile
_MARGIN = 2.0  # widths of the probe, rms, from the border of the image to the first columns


class Columns(NamedTuple):
    """Places (px) and heights over the background (in the image's unit), of equal length."""

    y: np.ndarray
    x: np.ndarray
    height: np.ndarray


class _Fit(NamedTuple):
    columns: Columns
    wider: np.ndarray  # Å²: by how much the square of each column's rms width exceeds the profile's
    errors: np.ndarray  # Å², of that; empty if not asked for
    left: np.ndarray  # the image without the fit


def probe_size_from_columns(
    image: np.ndarray, variance: np.ndarray, pixel: float, lens: Lens
) -> tuple[float, float] | None:
    """By how much (Å) the source is larger than ``lens`` says, and the standard error; None without columns.

    ``image`` (y, x) in any unit, with the ``variance`` of its noise; ``pixel`` in Å. Each column is the
    probe's profile blurred by thermal motion, with a height, a place and a width of its own, over a smooth
    background; all are fitted together, as StatSTEM does with Gaussians (De Backer et al. 2016,
    doi:10.1016/j.ultramic.2016.08.018). The width that columns agree on, less thermal motion, is the probe's.
    The error holds what is not known of thermal motion and of the convergence angle. None too if columns
    are too noisy, or of too different widths, to tell.
    """
    start = [max(0, (n - _WIDEST) // 2) for n in image.shape]
    middle = tuple(slice(s, s + _WIDEST) for s in start)
    image, variance = np.asarray(image, float)[middle], np.asarray(variance, float)[middle]
    width = probe_width(lens)
    if not 2 * pixel < width < pixel * min(image.shape) / 8:
        return None  # too coarse to show widths, or too fine to show enough columns
    sigma = width / FWHM / pixel
    base = (lens.source_size / FWHM) ** 2
    source, found = base + MOTION**2, _peaks(image, variance, sigma)
    if len(found.y) < _FEWEST:
        return None
    for k in range(_ROUNDS):
        fit = _fit(image, variance, pixel, lens, source, found, errors=k >= _FIRST)
        if len(fit.columns.y) < _FEWEST:
            return None
        trust = fit.columns.height**2 if k < _FIRST else 1 / (fit.errors**2 + _UNEQUAL**2)
        step = _median(fit.wider, trust)
        source = max(source + min(max(step, -0.02), 0.02), 0.3 * base)
        found = _joined(fit.columns, _peaks(fit.left, variance, sigma), sigma) if k == 1 else fit.columns
    unequal = _median((fit.wider - step) ** 2 * trust, trust) / 0.455  # the median of χ² with one degree
    if source <= MOTION**2 or unequal > _ODD or _median(fit.errors, trust) > _VAGUE:
        return None
    size = FWHM * math.sqrt(source - MOTION**2)
    error = math.hypot(1.25 * math.sqrt(max(unequal, 1) / trust.sum()), 2 * MOTION * _MOTIONS)
    return size - lens.source_size, math.hypot(FWHM**2 * error / (2 * size), _by_angle(lens, size))


def _by_angle(lens: Lens, size: float) -> float:
    """The error (Å) of a source ``size`` found with a convergence angle that is somewhat wrong."""
    offset = size - lens.source_size
    by_angle = probe_width(lens, offset, _ANGLE * lens.convergence) - probe_width(lens, offset)
    by_size = probe_width(lens, 1.02 * size - lens.source_size) - probe_width(lens, offset)
    return abs(by_angle / by_size) * 0.02 * size


def _peaks(image: np.ndarray, variance: np.ndarray, sigma: float) -> Columns:
    """Maxima that are about as wide as the probe (``sigma`` px, rms) and stand out of the noise."""
    band = gaussian_filter(image, 0.7 * sigma) - gaussian_filter(image, 1.6 * sigma)
    noise = np.sqrt(gaussian_filter(variance, sigma)) * 0.3 / sigma
    peak = (band == maximum_filter(band, 2 * round(0.8 * sigma) + 1)) & (band > _SIGNAL * noise)
    if peak.any():
        peak &= band > _FAINT * np.quantile(band[peak], 0.9)
    edge = math.ceil(_MARGIN * sigma)
    inside = np.zeros_like(peak)
    inside[edge:-edge, edge:-edge] = True
    y, x = np.nonzero(peak & inside)
    return Columns(y.astype(float), x.astype(float), 3 * band[y, x])


def _joined(one: Columns, other: Columns, sigma: float) -> Columns:
    """All of one, and those of the other that are not the same."""
    apart = np.hypot(one.y[:, None] - other.y, one.x[:, None] - other.x).min(0) > sigma
    return Columns(*(np.concatenate([a, b[apart]]) for a, b in zip(one, other, strict=True)))


def _fit(
    image: np.ndarray,
    variance: np.ndarray,
    pixel: float,
    lens: Lens,
    source: float,
    found: Columns,
    *,
    errors: bool,
) -> _Fit:
    """One Gauss–Newton step for all columns and the background together.

    ``source`` (Å²) is the squared rms width of source and thermal motion in the profile. Pixels count less
    the further they are from all columns: light columns between heavy ones, which are not found, make these
    too narrow otherwise, since the background rises to them.
    """
    count = len(found.y)
    hats = _hats(image.shape, _HATS / pixel)
    design = hstack([_design(image.shape, pixel, lens, source, found), hats]).tocsr()
    part = _near(image.shape, found, _CORE * probe_width(lens) / FWHM / pixel).ravel()
    weighted = design.T @ diags_array(part / variance.ravel())
    # a column under a neighbour, or hardly above the noise, should not run away
    loose = np.tile([0.0, (0.1 * pixel) ** -2.0, (0.1 * pixel) ** -2.0, 0.1**-2.0], count)
    ridge = np.concatenate([loose, np.full(hats.shape[1], 1e-9)])
    normal = splu((weighted @ design + diags_array(ridge)).tocsc())
    answer = normal.solve(weighted @ image.ravel())
    left = (image.ravel() - design @ answer).reshape(image.shape)
    height, dy, dx, wider = answer[: 4 * count].reshape(count, 4).T
    real = height > 0
    ratio = np.clip(found.height[real] / height[real], 0, 3)  # changes were per old height
    y, x = (
        place[real] + np.clip(ratio * d[real] / pixel, -0.5, 0.5)
        for place, d in ((found.y, dy), (found.x, dx))
    )
    columns = Columns(y, x, height[real])
    spread = np.zeros(0)
    if errors:
        which = 4 * np.flatnonzero(real) + 3
        unit = np.zeros((design.shape[1], len(which)))
        unit[which, np.arange(len(which))] = 1
        response = part[:, None] * (design @ normal.solve(unit))
        spread = ratio * np.sqrt(np.sum(response**2 / variance.reshape(-1, 1), 0))
    return _Fit(columns, ratio * wider[real], spread, left)


def _design(shape: tuple[int, int], pixel: float, lens: Lens, source: float, found: Columns) -> csr_array:
    """Pixels by 4 unknowns a column: its height, its shift (Å) along y and x, its excess width (Å²)."""
    reach = 2.5 * probe_width(lens)
    radius = np.arange(0, reach + 3 * _FINE, _FINE)

    def profile(width: float) -> np.ndarray:
        return probe_profile(lens, radius, FWHM * math.sqrt(width) - lens.source_size)

    table = profile(source)
    peak = table[0]
    steep = np.gradient(table, _FINE)
    widening = (profile(1.02 * source) - profile(0.98 * source)) / (0.04 * source)
    n = math.ceil(reach / pixel)
    window = np.arange(-n, n + 1)
    y = np.rint(found.y).astype(int)[:, None, None] + window[:, None] + np.zeros_like(window)
    x = np.rint(found.x).astype(int)[:, None, None] + np.zeros_like(window)[:, None] + window
    dy, dx = ((p - f[:, None, None]) * pixel for p, f in ((y, found.y), (x, found.x)))
    distance = np.hypot(dy, dx)
    near = (distance < reach) & (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    y, x, dy, dx, distance = (a[near] for a in (y, x, dy, dx, distance))
    which = np.nonzero(near)[0]
    height = found.height[which]
    value, slope, change = (np.interp(distance, radius, t / peak) for t in (table, steep, widening))
    pull = -height * slope / np.maximum(distance, 1e-9)
    parts = np.stack([value, pull * dy, pull * dx, height * change], 1)
    rows = np.repeat(y * shape[1] + x, 4)
    columns = (4 * which[:, None] + np.arange(4)).ravel()
    return csr_array((parts.ravel(), (rows, columns)), shape=(shape[0] * shape[1], 4 * len(found.y)))


def _near(shape: tuple[int, int], found: Columns, reach: float) -> np.ndarray:
    """A Gaussian, of ``reach`` px rms, of each pixel's distance to the next column."""
    free = np.ones(shape, bool)
    y, x = (np.rint(c).astype(int).clip(0, n - 1) for c, n in zip((found.y, found.x), shape, strict=True))
    free[y, x] = False
    return np.maximum(np.exp(-0.5 * (distance_transform_edt(free) / reach) ** 2), _ELSEWHERE)


def _hats(shape: tuple[int, int], step: float) -> csr_array:
    """Bilinear functions about nodes ``step`` px apart: pixels by nodes."""
    sides = []
    for n in shape:
        count = max(2, round(n / step) + 1)
        place = np.arange(n) / (n - 1) * (count - 1)
        low = np.minimum(place.astype(int), count - 2)
        share = np.concatenate([1 - (place - low), place - low])
        at = (np.tile(np.arange(n), 2), np.concatenate([low, low + 1]))
        sides.append(csr_array((share, at), shape=(n, count)))
    return csr_array(kron(sides[0], sides[1]))


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
