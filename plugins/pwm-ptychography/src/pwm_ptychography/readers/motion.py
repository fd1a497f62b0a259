"""How the frames of a scan move when the sample moves: this tells a near-field scan from a far-field one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from pwm_core.stored import BlockArray

PAIRS = 96  # neighbouring positions that are compared
LARGEST = 256  # frames are binned to at most this many pixels a side


@dataclass(frozen=True)
class Motion:
    """A linear law: frames whose positions differ by ``d`` (y, x) are shifted by ``d @ matrix`` pixels.

    ``misfit``  median distance (px) of the measured shifts from this law
    ``width``   width (px) of the lit part of the mean frame
    """

    matrix: np.ndarray
    misfit: float
    width: float

    @property
    def scale(self) -> float:
        """Detector pixels per unit of position."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def lawful(self) -> bool:
        """Whether the frames really are moving shadows: small misfit, the same scale along both axes."""
        if not self.scale > 0:
            return False
        turned = self.matrix / self.scale
        return self.misfit < 1.0 and bool(np.abs(turned.T @ turned - np.eye(2)).max() < 0.3)


def motion(frames: np.ndarray | BlockArray, positions: np.ndarray) -> Motion | None:
    """The law by which frames (n, y, x) shift with positions (n, 2), from neighbours' cross-correlations.

    The detector sees a shadow of the sample, enlarged, whenever the beam spreads from a focus that is not in
    the sample: in near-field ptychography it is the whole signal. None where nothing can be measured.
    """
    first, second = _neighbours(positions)
    if len(first) < 8:
        return None
    bins = -(-max(frames.shape[1:]) // LARGEST)
    mean = _binned(frames[np.unique(first)], bins).mean(0)
    if not mean.max() > 0:
        return None
    shadows = [_shadow(_binned(frames[i], bins), mean) for i in (first, second)]
    spectra = [fft.fft2(s) for s in shadows]
    peaks = fft.ifft2(spectra[1] * spectra[0].conj()).real.reshape(len(first), -1).argmax(1)
    shifts = np.stack(np.unravel_index(peaks, mean.shape), 1)
    half = np.array(mean.shape) // 2
    shifts = ((shifts + half) % mean.shape - half) * bins
    steps = positions[second] - positions[first]
    matrix = _robust(steps, shifts)
    misfit = np.median(np.hypot(*(shifts - steps @ matrix).T)) / bins
    return Motion(matrix, float(misfit), float(bins * mean.sum() / np.sqrt((mean**2).sum())))


def turned(matrix: np.ndarray) -> str:
    """The settings that would make positions and shadows move along the same axes; empty if they do.

    A focus upstream of the sample is presumed: then shadows move against the beam's position.
    """
    sense = -matrix / np.sqrt(abs(np.linalg.det(matrix)))
    swap = abs(sense[0, 1]) + abs(sense[1, 0]) > abs(sense[0, 0]) + abs(sense[1, 1])
    upright = sense[::-1] if swap else sense
    names = ("transpose_positions", "flip_y", "flip_x")
    needed = (swap, upright[0, 0] < 0, upright[1, 1] < 0)
    return " ".join(f"--assume {n}=yes" for n, need in zip(names, needed, strict=True) if need)


def _neighbours(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of frames, spread over the scan, each with its nearest neighbour mainly along y and along x."""
    chosen = np.unique(np.linspace(0, len(positions) - 1, PAIRS // 2).astype(int))
    step = np.abs(positions[chosen, None] - positions[None])
    distance = np.hypot(step[..., 0], step[..., 1])
    mainly_y = step[..., 0] > step[..., 1]
    first, second = [], []
    for along in (mainly_y, ~mainly_y):
        candidates = np.where(along & (distance > 0), distance, np.inf)
        has = np.isfinite(candidates.min(1))
        first.append(chosen[has])
        second.append(candidates.argmin(1)[has])
    return np.concatenate(first), np.concatenate(second)


def _binned(frames: np.ndarray, bins: int) -> np.ndarray:
    n, y, x = frames.shape
    cut = frames[:, : y // bins * bins, : x // bins * bins]
    return cut.reshape(n, y // bins, bins, x // bins, bins).mean((2, 4), dtype=np.float32)


def _shadow(frames: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """What is not in the mean frame, in units of its noise, where the mean frame is lit."""
    power = frames.sum((1, 2), keepdims=True) / mean.sum()
    floor = 0.05 * mean.max()
    return np.where(mean > floor, (frames - power * mean) / np.sqrt(np.maximum(mean, floor)), 0)


def _robust(steps: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Least squares, repeated without those far off, as wrong correlation peaks are."""
    matrix = np.linalg.lstsq(steps, shifts, rcond=None)[0]
    for _ in range(3):
        error = np.hypot(*(shifts - steps @ matrix).T)
        good = error <= max(np.median(error), 1.0)
        matrix = np.linalg.lstsq(steps[good], shifts[good], rcond=None)[0]
    return matrix
