"""The scan's distortion from the symmetry of crystals: their reflections form regular figures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter

from .lattice import _refined, scan_matrix

_TILES = 3  # along each side, half overlapping
_REFLECTIONS = 30  # strongest ones of a tile that are looked at
_SIGNAL = 5.0  # amplitude of a reflection over the median of the transform around
_COSINES = (0.0, 1 / 2, 1 / 3)  # between reflections of equal length on low-index zone axes: 90°, 60°, 70.5°
_NEAR = 0.03  # by how much lengths and angles (rad) of a pair may differ from regular ones
_STRAIN = 0.005  # by strain and noise pairs of a tile may miss regularity by so much
_FEWEST, _SHARE = 2, 0.6  # pairs of a tile that must agree: their number, and their part of all
_TOGETHER = 5  # the number in all tiles, or in the whole image: fewer agree by chance
_ALIKE = 2  # pairs share reflections and tiles: so many tell as much as one that is independent
_SURE = 0.02  # %, the least error that is believed
# Of what tiles differ by, and of what pairs do: guesses of the strain that all tiles have in common. A fit of
# Student's law to 460 generated specimens gives .28, .56 and 2; the first is raised, for 2-D materials.
_COMMON, _SINGLE, _GUESSES = 0.5, 0.6, 2
_DIFFER = 0.2  # %, where a single tile or none shows pairs
# The shear strain of a distortion of 1 % is ¾ along the axes and ¼ along the diagonals; this is as large, and
# at right angles to it.
_OTHER = np.array([[1 + 0.25 / 100, 0.75 / 100], [0.75 / 100, 1 - 0.25 / 100]])
_HALF = 1.59  # half of the number of scales that hold 95 % of Student's law, three degrees of freedom


class _Pair(NamedTuple):
    """Two reflections that should be equally long and at a known angle: what is amiss, as e + g · (s, t)."""

    amiss: np.ndarray  # (2,): difference of the logarithms of their lengths, and of the cosine
    slope: np.ndarray  # (2, 2): its change with 1 % of distortion, and with 1 % of the other strain
    weight: float


class _Agreed(NamedTuple):
    """What most pairs say."""

    strain: np.ndarray  # (2,), %: distortion, and what no distortion of the scan can make
    scatter: float  # %, rms of single pairs
    agree: int


def scan_distortion_from_symmetry(image: np.ndarray) -> tuple[float, float] | None:
    """The scan distortion s (%) of an image (y, x) of crystals, and its standard error; None without them.

    Neither lattice nor orientation need be known: on most low-index zone axes pairs of reflections are
    equally long and 90°, 60° or, as {111} of cubic crystals along ⟨110⟩, 70.5° apart. They are looked for in
    half overlapping tiles, so that crystals may be small; s is where most of them are, weighted by their
    amplitudes.

    Strain looks like distortion and does not average out. Of the two components of a shear strain the scan's
    distortion makes one; strain of the specimen makes both, each as likely. So the other component, t, is a
    sample of the error of s. By it, and by how much tiles and pairs differ, the variance of the strain that
    all have in common is judged: t²/3 + 2/3 of the guess, as for a normal law whose variance is known to
    two degrees of freedom beforehand. The error is half of what holds 95 %. None too where fewer than five
    pairs agree.
    """
    image = np.asarray(image, dtype=np.float64)
    tiles = [_pairs(_reflections(tile)) for tile in _tiles(image)]
    together = _agreed([pair for pairs in tiles for pair in pairs])
    if together is None or together.agree < _TOGETHER:  # few periods in a tile
        tiles = [_pairs(_reflections(image))]
        together = _agreed(tiles[0])
    if together is None or together.agree < _TOGETHER:
        return None
    each = np.array([found.strain for pairs in tiles if (found := _agreed(pairs)) is not None])
    differ = float(each.var(axis=0, ddof=1).mean()) if len(each) > 1 else _DIFFER**2
    single = together.scatter**2 / max(together.agree / _ALIKE, 1)
    distortion, other = together.strain
    guess = _COMMON**2 * differ + _SINGLE**2 * single
    scale = np.sqrt((_GUESSES * guess + other**2) / (_GUESSES + 1))
    return float(distortion), max(float(_HALF * scale), _SURE)


def _agreed(pairs: list[_Pair]) -> _Agreed | None:
    """The distortion where most pairs are; of these, by least squares, distortion and other strain."""
    if len(pairs) < _FEWEST:
        return None
    amiss, slope = (np.array([p[k] for p in pairs]) for k in (0, 1))
    weight = np.array([p.weight for p in pairs])
    along = slope[..., 0]
    trials = np.arange(-3, 3, 0.02)
    far = np.sum((amiss + trials[:, None, None] * along) ** 2, axis=2)
    s = float(trials[np.argmax(np.exp(-far / (2 * _STRAIN**2)) @ weight)])
    for _ in range(5):
        near = np.sum((amiss + s * along) ** 2, axis=1) < (3 * _STRAIN) ** 2
        if near.sum() < _FEWEST:
            return None
        w = weight * near
        known = float(np.sum(w[:, None] * along**2))
        s = -float(np.sum(w[:, None] * amiss * along)) / known
    if w.sum() < _SHARE * weight.sum():
        return None
    normal = np.einsum("n,nki,nkj->ij", w, slope, slope)
    strain = np.linalg.solve(normal, -np.einsum("n,nki,nk->i", w, slope, amiss))
    scatter = float(np.sqrt(np.sum(w[:, None] * (amiss + slope @ strain) ** 2) / known))
    return _Agreed(strain, scatter, int(near.sum()))


def _tiles(image: np.ndarray) -> Iterator[np.ndarray]:
    size = [2 * n // (_TILES + 1) for n in image.shape]
    starts = [
        [round(k * (n - m) / (_TILES - 1)) for k in range(_TILES)]
        for n, m in zip(image.shape, size, strict=True)
    ]
    for top, left in itertools.product(*starts):
        yield image[top : top + size[0], left : left + size[1]]


def _reflections(image: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Frequencies (cycles per pixel, one of each pair ±g) and amplitudes of the strongest reflections."""
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    wave = (image - image.mean()) * window
    amplitude = np.abs(np.fft.fftshift(np.fft.fft2(wave)))
    middle = np.array(image.shape) // 2
    y, x = (np.arange(n) - n // 2 for n in image.shape)
    beyond = np.hypot(y[:, None] / image.shape[0], x / image.shape[1])
    inside = (
        (beyond > 6 / max(image.shape)) & (beyond < 0.45) & ((y[:, None] > 0) | ((y[:, None] == 0) & (x > 0)))
    )
    background = np.zeros_like(amplitude)
    ring = (beyond * 40).astype(int)
    for k in np.unique(ring):
        background[ring == k] = np.median(amplitude[ring == k])
    peaks = (amplitude == maximum_filter(amplitude, 5)) & inside & (amplitude > _SIGNAL * background)
    at = np.argwhere(peaks)
    strongest = at[np.argsort(-amplitude[tuple(at.T)])][:_REFLECTIONS]
    return [
        (_refined(wave, (p - middle) / np.array(image.shape)), float(amplitude[tuple(p)])) for p in strongest
    ]


def _pairs(reflections: list[tuple[np.ndarray, float]]) -> list[_Pair]:
    found = []
    undone = [np.linalg.inv(m).T for m in (scan_matrix(1.0), _OTHER)]  # what 1 % does to a frequency, undone
    for (a, one), (b, other) in itertools.combinations(reflections, 2):
        b = b if a @ b >= 0 else -b
        before = _shape(a, b)
        slope = np.stack([_shape(m @ a, m @ b) - before for m in undone], axis=1)
        for cosine in _COSINES:
            amiss = before - np.array([0.0, cosine])
            if np.abs(amiss).max() < _NEAR:
                found.append(_Pair(amiss, slope, min(one, other)))
    return found


def _shape(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The logarithm of the ratio of the lengths, and the cosine of the angle between."""
    la, lb = np.linalg.norm(a), np.linalg.norm(b)
    return np.array([np.log(la / lb), a @ b / (la * lb)])
