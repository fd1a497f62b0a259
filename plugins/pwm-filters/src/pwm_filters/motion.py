"""Averages along the motion that block matching finds."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from pwm_core import Denoiser, param
from pwm_core.compiling import compiled

_STRIDE = 2  # a block starts at every (block / 2)-th pixel, so that blocks overlap


class MotionCompensated(Denoiser):
    """Averages each block with the blocks that it came from and moves to in the neighbouring frames.

    Blocks are matched on frames smoothed against the noise; a matched block counts by
    exp(−max(d² − 2σ², 0)/(strength σ)²) with the mean squared difference d² of the frames as measured, so
    that what has no counterpart (an opening vessel, an uncovered background) is left alone. Overlapping
    blocks are blended with a Hann window. Leading axis: time (motion-compensated temporal averages:
    Brailean et al. 1995, doi:10.1109/5.406412).
    """

    frames: int = param(4, low=1, high=15, doc="frames used on either side")
    block: int = param(8, low=4, high=64, unit="px", doc="width of the blocks, even")
    search: int = param(6, low=0, high=32, unit="px", doc="largest motion from frame to frame")
    smoothing: float = param(
        1.5, low=0.0, high=10.0, unit="px", doc="rms width of the smoothing for matching"
    )
    strength: float = param(0.5, low=0.01, high=10.0, doc="width of the weights, in noise levels")

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        if sigma == 0 or image.ndim < 3:
            return image.copy()
        y = np.ascontiguousarray(image, dtype=np.float32) / np.float32(sigma)
        smooth = gaussian_filter(y, (0, self.smoothing, self.smoothing), mode="nearest")
        out = np.empty_like(y)
        for n in range(len(y)):
            out[n] = self._frame(y, smooth, n)
        return (out * sigma).astype(image.dtype)

    def _frame(self, y: np.ndarray, smooth: np.ndarray, n: int) -> np.ndarray:
        """Frame n with its neighbours, each matched from where its predecessor was found."""
        corners = _corners(y.shape[1:], self.block)
        scale = np.float32(1 / self.strength**2)
        total, weights = y[n].copy(), np.ones_like(y[n])
        for direction in (1, -1):
            shifts = np.zeros((len(corners), 2), np.int64)
            for m in range(n + direction, n + direction * (self.frames + 1), direction):
                if not 0 <= m < len(y):
                    break
                _follow(smooth[n], smooth[m], corners, self.block, self.search, shifts)
                _blend(y[n], y[m], corners, shifts, self.block, scale, total, weights)
        return total / weights


def _corners(shape: tuple[int, ...], block: int) -> np.ndarray:
    """First pixels of overlapping blocks that cover the image, the last ones flush with its edge."""
    starts = [
        np.unique(np.append(np.arange(0, max(n - block, 0) + 1, max(block // _STRIDE, 1)), max(n - block, 0)))
        for n in shape
    ]
    return np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 2)


@compiled(fastmath=True)
def _follow(here, there, corners, block, search, shifts):
    """Improve each block's shift by a full search about where it was last; ties go to the shorter way."""
    height, width = here.shape
    for b in range(len(corners)):
        top, left = corners[b]
        rows, columns = min(block, height - top), min(block, width - left)
        old_y, old_x = shifts[b]
        best, best_y, best_x = np.float32(np.inf), old_y, old_x
        for sy in range(old_y - search, old_y + search + 1):
            if top + sy < 0 or top + sy + rows > height:
                continue
            for sx in range(old_x - search, old_x + search + 1):
                if left + sx < 0 or left + sx + columns > width:
                    continue
                # a longer way must be better by more than chance makes it
                cost = np.float32(0.02 * (abs(sy - old_y) + abs(sx - old_x)))
                for i in range(rows):
                    for j in range(columns):
                        d = here[top + i, left + j] - there[top + sy + i, left + sx + j]
                        cost += d * d
                    if cost >= best:
                        break
                if cost < best:
                    best, best_y, best_x = cost, sy, sx
        shifts[b, 0], shifts[b, 1] = best_y, best_x


@compiled(fastmath=True)
def _blend(here, there, corners, shifts, block, scale, total, weights):
    """Add the matched blocks of another frame, by how well they fit and a Hann window."""
    height, width = here.shape
    for b in range(len(corners)):
        top, left = corners[b]
        rows, columns = min(block, height - top), min(block, width - left)
        sy, sx = shifts[b]
        apart = np.float32(0)
        for i in range(rows):
            for j in range(columns):
                d = here[top + i, left + j] - there[top + sy + i, left + sx + j]
                apart += d * d
        excess = max(apart / np.float32(rows * columns) - np.float32(2), np.float32(0))
        fit = np.exp(-excess * scale)
        for i in range(rows):
            wy = np.sin(np.pi * (i + 0.5) / rows) ** 2
            for j in range(columns):
                w = np.float32(fit * wy * np.sin(np.pi * (j + 0.5) / columns) ** 2)
                total[top + i, left + j] += w * there[top + sy + i, left + sx + j]
                weights[top + i, left + j] += w
