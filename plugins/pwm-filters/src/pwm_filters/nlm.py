"""Non-local means, within images or through neighbouring frames."""

from __future__ import annotations

import numpy as np

from pwm_core import Denoiser, param
from pwm_core.compiling import compiled


class NonLocalMeans(Denoiser):
    """Averages pixels whose surroundings look alike.

    The weight of a pixel is exp(−max(d² − 2σ², 0) / (strength · σ)²), with the mean squared difference d² of
    the two patches; the pixel itself has weight one (Buades, Coll & Morel 2005,
    doi:10.1109/CVPR.2005.38; 2011, doi:10.5201/ipol.2011.bcm_nlm). With ``frames`` above 1 the
    leading axis is time and pixels of that many frames, this one in the middle, are compared.
    """

    patch: int = param(2, low=1, high=10, unit="px", doc="radius of the patches")
    search: int = param(9, low=1, high=50, unit="px", doc="radius of the area searched")
    strength: float = param(0.7, low=0.01, high=10.0, doc="width of the weights, in noise levels")
    frames: int = param(1, low=1, high=31, doc="frames searched, this one in the middle; 1 for single images")

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        if sigma == 0:
            return image.copy()
        stack = np.ascontiguousarray(image, dtype=np.float32).reshape(-1, *image.shape[-2:])
        depth = min(self.frames // 2, len(stack) - 1)
        clean = _denoise(stack / np.float32(sigma), self.patch, self.search, depth, 1 / self.strength**2)
        return (clean * sigma).reshape(image.shape).astype(image.dtype)


def _denoise(stack: np.ndarray, patch: int, search: int, depth: int, scale: float) -> np.ndarray:
    """The stack in units of its noise level. Sums have the search's margin, cut off at the end."""
    pad = search + patch
    padded = np.pad(stack, ((0, 0), (pad, pad), (pad, pad)), mode="symmetric")
    shape = (stack.shape[1] + 2 * search, stack.shape[2] + 2 * search)
    inside = (slice(search, shape[0] - search), slice(search, shape[1] - search))
    out = np.empty_like(stack)
    for n in range(len(stack)):
        total, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for m in range(max(n - depth, 0), min(n + depth, len(stack) - 1) + 1):
            _compare(padded[n], padded[m], m == n, patch, search, np.float32(scale), total, weights)
        out[n] = (total[inside] + stack[n]) / (weights[inside] + 1)
    return out


@compiled(fastmath=True)
def _compare(here, there, same, patch, search, scale, total, weights):
    """Add, to the sums of each pixel of ``here``, the pixels of ``there`` that resemble it.

    For each displacement the squared differences are summed over patches: by running sums down the columns,
    then along the row. Within one image a displacement and its opposite share their distances, so that half
    of them will do.
    """
    height, width = here.shape[0] - 2 * (search + patch), here.shape[1] - 2 * (search + patch)
    side = 2 * patch + 1
    columns = np.empty(width + 2 * (search + patch), np.float32)
    weight = np.empty(width + 2 * search, np.float32)
    unit = np.float32(scale / (side * side))
    floor = np.float32(2 * side * side)  # what the noise of two patches alone puts between them
    for dy in range(0 if same else -search, search + 1):
        for dx in range(-search, search + 1):
            if same and dy == 0 and dx <= 0:
                continue
            # pixels c of the margined frame for which c, or c displaced, lies in the image
            top = search - (dy if same else 0)
            left = search - (max(dx, 0) if same else 0)
            right = search + width - (min(dx, 0) if same else 0)
            n = right - left
            m, centre = n + 2 * patch, left + patch
            columns[:m] = 0
            for y in range(top, search + height + 2 * patch):
                _add(
                    columns, here[y, left : left + m], there[y + dy, left + dx : left + dx + m], np.float32(1)
                )
                row = y - 2 * patch
                if row < top:
                    continue
                _weigh(columns, weight[:n], side, floor, unit)
                span = slice(left, left + n)
                value = there[row + patch + dy, centre + dx : centre + dx + n]
                _gather(total[row, span], weights[row, span], weight, value)
                if same:
                    span = slice(left + dx, left + dx + n)
                    value = here[row + patch, centre : centre + n]
                    _gather(total[row + dy, span], weights[row + dy, span], weight, value)
                _add(
                    columns,
                    here[row, left : left + m],
                    there[row + dy, left + dx : left + dx + m],
                    np.float32(-1),
                )


# Plain loops over whole slices: what the compiler can see to be free of wrap-around it turns into vectors.


@compiled(fastmath=True)
def _add(columns, row, other, sign):
    for x in range(row.size):
        d = row[x] - other[x]
        columns[x] += sign * d * d


@compiled(fastmath=True)
def _weigh(columns, weight, side, floor, unit):
    """exp(−excess), as (1 − excess/32)³²: to 0.01, with neither branch nor table."""
    n = weight.size
    weight[:] = columns[:n]
    for k in range(1, side):
        part = columns[k : k + n]
        for x in range(n):
            weight[x] += part[x]
    for x in range(n):
        t = max(
            np.float32(1) - max(weight[x] - floor, np.float32(0)) * unit * np.float32(1 / 32), np.float32(0)
        )
        t = t * t
        t = t * t
        t = t * t
        t = t * t
        weight[x] = t * t


@compiled(fastmath=True)
def _gather(total, weights, weight, value):
    for x in range(value.size):
        w = weight[x]
        total[x] += w * value[x]
        weights[x] += w
