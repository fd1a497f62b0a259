"""Where a planar mixed-radix transform of n x n points keeps its values.

A vector holds W = 8 or 16 floats; H = W / 8; n = r_1 r_2 ... 8 is split into stages.

1. Fields come in strips of W columns, ``[strip][row][re, im][W]``.  All row stages, butterflies over rows a
   fixed distance apart that are the same for all W columns, run in place within a strip.
2. The result goes to tiles of H rows by 8 columns, ``[tile row][tile column][re, im][W]``.  With W = 8 a tile
   is just a part of a row; with W = 16 two rows are `paired`.
3. All column stages but the last, which has radix 8, are butterflies over tile columns, one tile row at a
   time.  For the last one eight tiles, W rows by 8 columns, are `transposed` in registers: vector b then
   holds the last column digit b of W rows, and the stage is a butterfly of whole vectors like the others.
4. There the spectrum is used or changed, and the same steps are undone in reverse.

Nothing is ever reordered in memory: each stage works in place, so frequencies stay in digit-reversed order
(`Layout.frequencies`), and the spectrum is ``[strip][other column digits][last column digit][W rows]``.  Data
and kernels are brought to this order once (`Layout.order`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np


def radices_for(n: int) -> tuple[int, ...] | None:
    """Stages of a transform of n points, the last of 8, or None: n must be 8 times a product of 2, 3 and 5.

    Of all splits with the fewest stages the one with the smallest radices is taken."""
    best: tuple[int, int, tuple[int, ...]] | None = None

    def search(rest: int, chosen: tuple[int, ...]) -> None:
        nonlocal best
        if rest == 1:
            key = (len(chosen), sum(chosen), chosen)
            if chosen and (best is None or key < best):
                best = key
            return
        for radix in (2, 3, 4, 5, 8):
            if rest % radix == 0 and (not chosen or radix >= chosen[-1]):
                search(rest // radix, (*chosen, radix))

    if n % 8 == 0 and n <= 2048:
        search(n // 8, ())
    return None if best is None else (*best[2], 8)


class Layout:
    """Sizes and index maps for one transform size and vector width."""

    def __init__(self, n: int, width: int) -> None:
        self.n, self.width = n, width
        self.radices = radices_for(n) or ()
        if prod(self.radices) != n or n % width:
            raise ValueError(f"no transform of {n} points with vectors of {width}")
        self.half = width // 8
        self.strips = n // width
        self.columns = n // 8
        self.unit = 2 * width
        self.pitch = self.columns + (n >= 256)  # tiles per tile row; odd for large n spreads cache sets
        self.tiles = (n // self.half) * self.pitch * self.unit  # floats in the tile buffer
        self.strip = n * self.unit  # floats in one strip of the row pass

    def tile(self, row: Any, column: Any) -> Any:
        """Offset of the tile in tile row ``row`` (row position // H) and column block ``column``."""
        return (row * self.pitch + column) * self.unit

    def spectrum(self, strip: Any, group: Any) -> Any:
        """Place of the first value of column digit prefix ``group`` in real arrays in spectrum order."""
        return (strip * self.columns + group) * (8 * self.width)

    @staticmethod
    def frequencies(radices: Sequence[int]) -> np.ndarray:
        """Frequency held at each position of the in-place forward transform with these radices."""
        positions = np.arange(prod(radices))
        result, weight, block = np.zeros_like(positions), 1, len(positions)
        for radix in radices:
            block //= radix
            result += positions // block % radix * weight
            weight *= radix
        return result

    def order(self) -> np.ndarray:
        """``order[i]`` is the flat natural index ``ky * n + kx`` of the value stored at place ``i``."""
        rows = self.frequencies(self.radices)
        columns = self.frequencies(self.radices).reshape(self.columns, 8)
        lanes = self.lanes()
        ky = rows.reshape(self.strips, self.width)[:, lanes]
        return (ky[:, None, None, :] * self.n + columns[None, :, :, None]).astype(np.int64).ravel()

    def lanes(self) -> np.ndarray:
        """Row position within its strip for each lane after `transposed`."""
        rows = [np.repeat(np.arange(self.half), 8) + self.half * p for p in range(8)]
        lanes = transposed(_Numbers, rows, self.half)
        assert all((lanes[b] == lanes[0]).all() for b in range(8))
        return lanes[0]


class _Numbers:
    """Shuffles of plain index arrays, to follow what the generated shuffles do."""

    @staticmethod
    def shuffle(first, second, lanes):
        return np.concatenate([first, second])[list(lanes)]


def _interleave(width, high):
    """Lanes that interleave two vectors within each four lanes: an unpack of the low or high pairs."""
    return [lane for b in range(2 if high else 0, width, 4) for lane in (b, width + b, b + 1, width + b + 1)]


def _quarters(width, blocks):
    """Lanes for a selection of four-lane blocks (block numbers run on into the second vector)."""
    return [4 * b + i for b in blocks for i in range(4)]


def _inner(e, x, width):
    """Transpose the 4 x 4 lane blocks of eight vectors."""
    low, high = _interleave(width, False), _interleave(width, True)
    y = []
    for base in (0, 4):
        a, b, c, d = x[base : base + 4]
        # pairs (0,2) and (1,3) so that the second interleave restores natural order
        ac0, ac1 = e.shuffle(a, c, low), e.shuffle(a, c, high)
        bd0, bd1 = e.shuffle(b, d, low), e.shuffle(b, d, high)
        y += [e.shuffle(ac, bd, lanes) for ac, bd in ((ac0, bd0), (ac1, bd1)) for lanes in (low, high)]
    return y


def transposed(e, x, half):
    """Eight vectors indexed by tile row with lanes (row in tile, 8 columns) become eight vectors indexed by
    column with lanes that number the rows (in the order that `Layout.lanes` reports)."""
    width = 8 * half
    y = _inner(e, x, width)
    even, odd = ([0, 2], [1, 3]) if half == 2 else ([0], [1])
    first = _quarters(width, even + [b + 2 * half for b in even])
    second = _quarters(width, odd + [b + 2 * half for b in odd])
    return [e.shuffle(y[k], y[k + 4], lanes) for lanes in (first, second) for k in range(4)]


def untransposed(e, y, half):
    """The inverse of `transposed`, but for the order of lanes, which `unpaired` accounts for."""
    width = 8 * half
    even, odd = ([0, 1], [2, 3]) if half == 2 else ([0], [1])
    first = _quarters(width, even + [b + 2 * half for b in even])
    second = _quarters(width, odd + [b + 2 * half for b in odd])
    x = [e.shuffle(y[k], y[k + 4], lanes) for lanes in (first, second) for k in range(4)]
    return _inner(e, x, width)


def paired(e, x, half):
    """Eight row vectors of W columns become ``[tile row][column block]`` vectors of H rows by 8 columns."""
    if half == 1:
        return [[v] for v in x]
    first, second = _quarters(16, (0, 1, 4, 5)), _quarters(16, (2, 3, 6, 7))
    return [
        [e.shuffle(x[r], x[r + 1], first), e.shuffle(x[r], x[r + 1], second)] for r in range(0, len(x), 2)
    ]


def unpaired(e, tiles, half):
    """The inverse of `paired` for tiles in the lane order of `untransposed`."""
    if half == 1:
        return [row[0] for row in tiles]
    even, odd = _quarters(16, (0, 2, 4, 6)), _quarters(16, (1, 3, 5, 7))
    return [e.shuffle(a, b, mask) for a, b in tiles for mask in (even, odd)]
