"""The scan's distortion from the symmetry of crystals: their reflections form regular figures."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter

from .lattice import _refined, scan_matrix

_REFLECTIONS = 30  # strongest ones that are looked at
_SIGNAL = 5.0  # amplitude of a reflection over the median of the transform around
_NEAR = 0.03  # by how much lengths and angles (rad) of a pair may differ from regular ones
_STRAIN = 0.0025  # what specimens are commonly strained by: pairs may miss regularity by so much
_FEWEST = 2


class _Pair(NamedTuple):
    """Two reflections that should be equally long and 90° or 60° apart: what is amiss, as e + g · s."""

    amiss: np.ndarray  # (2,): difference of the logarithms of their lengths, and of the cosine
    slope: np.ndarray  # (2,): its change with 1 % of distortion
    weight: float


def scan_distortion_from_symmetry(image: np.ndarray) -> tuple[float, float] | None:
    """The scan distortion s (%) of an image (y, x) of crystals, and its standard error; None without them.

    Neither lattice nor orientation need be known: on most low-index zone axes pairs of reflections are
    equally long and 90° or 60° apart. s is where most of them are, weighted by their amplitudes. The error is
    that by which they still miss: strain looks like distortion, and does not average out.
    """
    pairs = _pairs(_reflections(np.asarray(image, dtype=np.float64)))
    if len(pairs) < _FEWEST:
        return None
    amiss, slope = (np.array([p[k] for p in pairs]) for k in (0, 1))
    weight = np.array([p.weight for p in pairs])
    trials = np.arange(-3, 3, 0.02)
    far = np.sum((amiss + trials[:, None, None] * slope) ** 2, axis=2)
    s = float(trials[np.argmax(np.exp(-far / (2 * _STRAIN**2)) @ weight)])
    for _ in range(5):
        near = np.sum((amiss + s * slope) ** 2, axis=1) < (3 * _STRAIN) ** 2
        w = weight * near
        s = -float(np.sum(w[:, None] * amiss * slope) / max(np.sum(w[:, None] * slope**2), 1e-30))
    if near.sum() < _FEWEST:
        return None
    left = np.sum(w[:, None] * (amiss + s * slope) ** 2) / np.sum(w[:, None] * slope**2)
    return s, max(float(np.sqrt(left)), 0.02)


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
    turn = np.linalg.inv(scan_matrix(1.0)).T  # what 1 % of distortion has done to a frequency, undone
    for (a, one), (b, other) in itertools.combinations(reflections, 2):
        b = b if a @ b >= 0 else -b
        before, after = _shape(a, b), _shape(turn @ a, turn @ b)
        for cosine in (0.0, 0.5):
            amiss = before - np.array([0.0, cosine])
            if np.abs(amiss).max() < _NEAR:
                found.append(_Pair(amiss, after - before, min(one, other)))
    return found


def _shape(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The logarithm of the ratio of the lengths, and the cosine of the angle between."""
    la, lb = np.linalg.norm(a), np.linalg.norm(b)
    return np.array([np.log(la / lb), a @ b / (la * lb)])
