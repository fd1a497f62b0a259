"""The transforms of BM3D on vectors: cosine or wavelet transform of patches, Haar transform of a group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .vectors import LANES, Memory, Vector

PATCH = 8  # side of a patch in pixels
AREA = PATCH * PATCH

_DCT = [
    [math.sqrt((1 if k == 0 else 2) / PATCH) * math.cos(math.pi * (2 * n + 1) * k / 16) for n in range(PATCH)]
    for k in range(PATCH)
]


def two_patches(a: Memory, b: Memory, stride: object) -> list[Vector]:
    """The rows of two patches of an image, side by side: 8 vectors of 16."""
    rows = []
    for _ in range(PATCH):
        rows.append(a.load(PATCH).shuffle(b.load(PATCH), range(LANES)))
        a, b = a.at(stride), b.at(stride)
    return rows


def halves(row: Vector) -> tuple[Vector, Vector]:
    """What belongs to the first patch and to the second."""
    return row.shuffle(row, range(PATCH)), row.shuffle(row, range(PATCH, LANES))


def forward(kind: int, rows: list[Vector]) -> list[Vector]:
    """The 8 x 8 transform of two patches, ``DCT`` or ``BIOR``; coefficients come transposed.

    DCT is the orthonormal DCT-II. BIOR is the biorthogonal spline wavelet 1.5 (Cohen, Daubechies & Feauveau
    1992, doi:10.1002/cpa.3160450502) over three levels, periodic, scaled so that white noise keeps its
    standard deviation in every coefficient.
    """
    along, _ = _TRANSFORMS[kind]
    return along(_transposed(along(rows)))


def backward(kind: int, rows: list[Vector]) -> list[Vector]:
    """The two patches of which these rows are the :func:`forward` transform."""
    _, along = _TRANSFORMS[kind]
    return along(_transposed(along(rows)))


def haar(patches: Sequence[Vector]) -> list[Vector]:
    """Haar transform along a group of 2ⁿ, unnormalised: element i is 2^(levels(i)/2) as large.

    The first element is the sum of all, then come the differences, coarse ones first.
    """
    sums, details = list(patches), list[Vector]()
    while len(sums) > 1:
        pairs = list(zip(sums[::2], sums[1::2], strict=True))
        details = [a - b for a, b in pairs] + details
        sums = [a + b for a, b in pairs]
    return sums + details


def inverse_haar(elements: Sequence[Vector]) -> list[Vector]:
    """The group whose :func:`haar` times 2^(-levels(i)) these elements are."""
    sums, details = list(elements[:1]), list(elements[1:])
    while details:
        here, details = details[: len(sums)], details[len(sums) :]
        sums = [x for s, d in zip(sums, here, strict=True) for x in (s + d, s - d)]
    return sums


def levels(i: int, n: int) -> int:
    """How many sums and differences lead to element i of the Haar transform of a group of n."""
    return n.bit_length() - max(i.bit_length(), 1)


def _dct(x: list[Vector]) -> list[Vector]:
    """DCT-II across 8 vectors: even frequencies from sums of opposite rows, odd ones from differences."""
    s = [x[k] + x[7 - k] for k in range(4)]
    d = [x[k] - x[7 - k] for k in range(4)]
    outer, inner = s[0] + s[3], s[1] + s[2]
    u, v = s[0] - s[3], s[1] - s[2]
    out = {0: (outer + inner) * _DCT[0][0], 4: (outer - inner) * _DCT[4][0]}
    for k in (2, 6):
        out[k] = (u * _DCT[k][0]).plus_product(v, _DCT[k][1])
    for k in (1, 3, 5, 7):
        out[k] = _weighted(d, _DCT[k][:4])
    return [out[k] for k in range(PATCH)]


def _idct(c: list[Vector]) -> list[Vector]:
    """The transpose of :func:`_dct`, which is its inverse."""
    mean, bend = c[0] * _DCT[0][0], c[4] * _DCT[4][0]
    plus, minus = mean + bend, mean - bend
    u, v = (_weighted([c[2], c[6]], [_DCT[2][n], _DCT[6][n]]) for n in (0, 1))
    even = [plus + u, minus + v, minus - v, plus - u]
    odd = [_weighted([c[1], c[3], c[5], c[7]], [_DCT[k][n] for k in (1, 3, 5, 7)]) for n in range(4)]
    return [even[n] + odd[n] for n in range(4)] + [even[n] - odd[n] for n in (3, 2, 1, 0)]


def bior_matrix() -> np.ndarray:
    """The periodic wavelet transform bior1.5 of 8 samples, with rows of norm one."""
    low = (
        np.array([3, -3, -22, 22, 128, 128, 22, -22, -3, 3]) / 256
    )  # up to a factor, which the norm takes away
    matrix: list[np.ndarray] = []
    smooth = np.eye(PATCH)
    while len(smooth) > 1:
        n = len(smooth)
        matrix[:0] = [(smooth[2 * i] - smooth[2 * i + 1]) for i in range(n // 2)]
        smooth = np.array(
            [sum(low[k] * smooth[(2 * i + k - 4) % n] for k in range(10)) for i in range(n // 2)]
        )
    rows = np.array([smooth[0], *matrix])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _by_matrix(matrix: np.ndarray) -> Callable[[list[Vector]], list[Vector]]:
    def transform(x: list[Vector]) -> list[Vector]:
        used = [np.flatnonzero(np.abs(row) > 1e-9) for row in matrix]
        return [_weighted([x[j] for j in js], row[js]) for js, row in zip(used, matrix, strict=True)]

    return transform


def _weighted(vectors: Sequence[Vector], weights: Sequence[float] | np.ndarray) -> Vector:
    total = vectors[0] * weights[0]
    for vector, weight in zip(vectors[1:], weights[1:], strict=True):
        total = total.plus_product(vector, weight)
    return total


def _transposed(rows: list[Vector]) -> list[Vector]:
    """Both 8 x 8 blocks transposed, by exchanging off-diagonal blocks of 1, 2 and 4."""
    for size in (1, 2, 4):
        exchanged = list(rows)
        for r in (r for r in range(PATCH) if not r & size):
            a, b = rows[r], rows[r + size]
            upper = [lane if not lane & size else LANES + lane - size for lane in range(LANES)]
            lower = [lane + size if not lane & size else LANES + lane for lane in range(LANES)]
            exchanged[r], exchanged[r + size] = a.shuffle(b, upper), a.shuffle(b, lower)
        rows = exchanged
    return rows


DCT, BIOR = 0, 1
_TRANSFORMS = {
    DCT: (_dct, _idct),
    BIOR: (_by_matrix(bior_matrix()), _by_matrix(np.linalg.inv(bior_matrix()))),
}
