"""Lattice vectors of an image from the peaks of its Fourier transform, and what they tell of the scan."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates, maximum_filter
from scipy.optimize import least_squares

from pwm_core.errors import BadValue

_TOLERANCE = 0.1  # by which measured lattice vectors may differ from the expected ones
_NEAR = (0.05, 0.02, 0.005)  # how near to expected reflections, as a part of them, peaks count
_CANDIDATES = 6  # orientations that are tried
_SIGNAL = 4.0  # amplitude of a peak over the median around it
_WEAK = 0.05  # of the strongest reflection: weaker ones may be its side lobes
_MISFIT = 1.0  # frequency steps, rms, by which reflections may miss the lattice that they are fitted with
_STAGES = ((2, 0.08), (4, 0.02))  # largest index of the reflections used, and how far they may be off


def lattice_vectors(image: np.ndarray, pixel: float, lattice: np.ndarray | float) -> np.ndarray:
    """The two lattice vectors (Å; rows as (y, x)) with which the image (y, x) repeats itself.

    ``pixel`` in Å. ``lattice`` is what is expected, in any orientation: two vectors, or the constant of a
    square lattice. Of the orientations whose reflections are strong, the one with the least strain is taken;
    each reflection is placed where the transform of the image, under a Hann window, is largest, to a
    small part of a frequency step, and the vectors are those that explain all of them best. BadValue if
    fewer than three reflections stand out of the noise, or the vectors differ from those expected by 10 %.
    """
    expected = _vectors(lattice)
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    wave = (np.asarray(image, dtype=np.float64) - np.mean(image)) * window
    amplitude = np.abs(np.fft.fftshift(np.fft.fft2(wave)))
    inverse = np.linalg.inv(expected).T  # rows are the reciprocal vectors, 1/Å
    found, refused = [], BadValue("the image is constant along every direction and has no lattice")
    for angle in _orientations(amplitude, pixel, inverse):
        try:
            reciprocal = _turned(inverse, angle)
            for order, slack in _STAGES:
                reciprocal = _fit(wave, amplitude, pixel, reciprocal, order, slack)
        except BadValue as error:
            refused = error
            continue
        vectors = np.linalg.inv(reciprocal).T
        stretch = np.linalg.svd(np.linalg.inv(expected) @ vectors, compute_uv=False)
        found.append((float(np.abs(stretch - 1).max()), vectors))
    if not found:
        raise refused
    strain, vectors = min(found, key=lambda f: f[0])
    if strain > _TOLERANCE:
        raise BadValue(
            f"the image repeats itself with a lattice that differs by {strain:.1%} from the expected one; "
            "check the lattice and the pixel size"
        )
    return vectors


def scan_distortion_from_lattice(
    image: np.ndarray, pixel: float, lattice: np.ndarray | float, *, pixel_known: bool = True
) -> float:
    """The scan distortion s (%) with which the image (y, x) of a known, unstrained crystal was recorded.

    Arguments are those of :func:`lattice_vectors`. A lattice vector a of the crystal, turned by an unknown
    angle, appears as M⁻¹ a in the image, M being the matrix of :class:`~pwm_stem.scan.Scan`; angle and
    distortion are fitted to both vectors, and so is the magnification unless the pixel is known far better
    than s. BadValue as there.
    """
    seen, expected = lattice_vectors(image, pixel, lattice), _vectors(lattice)

    def misfit(unknown: np.ndarray) -> np.ndarray:
        scale = 1.0 if pixel_known else 1 + unknown[2]
        return (scale * seen @ scan_matrix(unknown[1]).T - _turned(expected, unknown[0])).ravel()

    (ey, ex), (sy, sx) = expected[0], seen[0]
    start = [np.arctan2(ey * sx - ex * sy, ey * sy + ex * sx), 0.0, 0.0]
    return float(least_squares(misfit, start[: 2 if pixel_known else 3], xtol=1e-12, ftol=1e-12).x[1])


def scan_matrix(distortion: float) -> np.ndarray:
    """What the scan makes of a position (y, x) about the middle; ``distortion`` in %."""
    s = distortion / 100
    return np.array([[1 - s / 2, 0.0], [s / 2, 1 + s]])


def _vectors(lattice: np.ndarray | float) -> np.ndarray:
    vectors = np.asarray(lattice, dtype=np.float64)
    vectors = vectors * np.eye(2) if vectors.ndim == 0 else vectors
    if vectors.shape != (2, 2) or not abs(np.linalg.det(vectors)) > 1e-6:
        raise BadValue(
            f"lattice must be two independent vectors (y, x) in Å, or one constant, got {lattice!r}"
        )
    return vectors


def _turned(vectors: np.ndarray, angle: float) -> np.ndarray:
    """Rows (y, x) turned by ``angle`` (rad), counter-clockwise as displayed."""
    cos, sin = np.cos(angle), np.sin(angle)
    return vectors @ np.array([[cos, sin], [-sin, cos]])


def _indices(order: int) -> np.ndarray:
    """Reflections up to this order, one of each pair ±g."""
    pairs = itertools.product(range(-order, order + 1), repeat=2)
    return np.array([p for p in pairs if p > (0, 0)])


def _orientations(amplitude: np.ndarray, pixel: float, reciprocal: np.ndarray) -> list[float]:
    """The angles (rad) at which the expected reflections meet strong peaks, the best first."""
    steps = np.array([1 / (n * pixel) for n in amplitude.shape])
    length = np.linalg.norm(reciprocal, axis=1).max()
    angles = np.deg2rad(np.arange(0, 180, 0.5))
    middle = np.array([n // 2 for n in amplitude.shape])
    scores = np.zeros(len(angles))
    for slack in _NEAR:
        size = tuple(2 * int(np.ceil(slack * length / step)) + 1 for step in steps)
        near = maximum_filter(amplitude, size=size)
        at = [_indices(2) @ _turned(reciprocal, angle) / steps + middle for angle in angles]
        scores += [float(np.sum(map_coordinates(near, a.T, order=0, cval=0.0))) for a in at]
    smooth = gaussian_filter1d(scores, 2.0, mode="wrap")  # half a circle later all is the same
    peaks = np.flatnonzero((smooth >= np.roll(smooth, 1)) & (smooth > np.roll(smooth, -1)))
    return [float(angles[k]) for k in peaks[np.argsort(-smooth[peaks])][:_CANDIDATES]]


def _fit(
    wave: np.ndarray, amplitude: np.ndarray, pixel: float, reciprocal: np.ndarray, order: int, slack: float
) -> np.ndarray:
    """Reciprocal vectors that explain the places of all reflections that stand out."""
    used, places, weights = [], [], []
    for index in _indices(order):
        found = _reflection(wave, amplitude, pixel, index @ reciprocal, slack)
        if found is not None:
            used.append(index)
            places.append(found[0])
            weights.append(found[1])
    if len(used) < 3 or np.linalg.matrix_rank(np.array(used)) < 2:
        raise BadValue(f"only {len(used)} reflections of the expected lattice stand out of the image's noise")
    w = np.where(np.array(weights) > _WEAK * max(weights), weights, 0.0)[:, None]
    found = np.linalg.lstsq(w * np.array(used), w * np.array(places), rcond=None)[0]
    missed = w * (np.array(used) @ found - np.array(places)) * pixel * np.array(wave.shape)
    if np.sqrt(np.sum(missed**2) / np.sum(w**2)) > _MISFIT:
        raise BadValue(
            "the reflections nearest to the expected ones form no lattice; check lattice and pixel size"
        )
    return found


def _reflection(
    wave: np.ndarray, amplitude: np.ndarray, pixel: float, expected: np.ndarray, slack: float
) -> tuple[np.ndarray, float] | None:
    """Where (1/Å) the transform is largest near ``expected``, and how large; None if that is but noise."""
    shape = np.array(wave.shape)
    at = np.rint(expected * shape * pixel).astype(int) + shape // 2
    reach = max(2, int(np.ceil(slack * np.linalg.norm(expected) * shape.max() * pixel)))
    low, high = at - 3 * reach, at + 3 * reach + 1
    if (low < 0).any() or (high > shape).any():
        return None
    around = amplitude[low[0] : high[0], low[1] : high[1]]
    inner = around[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    if inner.max() < _SIGNAL * np.median(around):
        return None
    place = np.array(np.unravel_index(np.argmax(inner), inner.shape))
    if (place == 0).any() or (place == np.array(inner.shape) - 1).any():
        return None  # the flank of a peak that lies elsewhere
    peak = place + at - reach - shape // 2
    return _refined(wave, peak / shape) / pixel, float(inner.max())


def _refined(wave: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """The frequency (cycles per pixel) of the maximum near ``frequency``, by parabolas of shrinking width."""
    y, x = (np.arange(n) for n in wave.shape)
    for part in (0.5, 0.25, 0.05):
        steps = part * np.array([-1, 0, 1])
        fy, fx = (frequency[k] + steps / wave.shape[k] for k in (0, 1))
        power = (
            np.abs(np.exp(-2j * np.pi * np.outer(fy, y)) @ wave @ np.exp(-2j * np.pi * np.outer(x, fx))) ** 2
        )
        moves = []
        for a, b, c in (power[:, 1], power[1]):
            bend = a - 2 * b + c
            moves.append(np.clip(0.5 * (a - c) / bend, -1, 1) if bend < 0 else 0.0)
        frequency = frequency + part * np.array(moves) / wave.shape
    return frequency
