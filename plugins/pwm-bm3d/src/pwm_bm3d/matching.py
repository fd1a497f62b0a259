"""Which patches are most like a reference patch: exact search of a window, shared by neighbours in a row.

The distance of two patches is a sum over their 8 columns, and the next reference patch has most columns in
common with this one at every displacement: only those that are new are compared. The displacements of
the last reference's matches bound what has to be looked at.
"""

from __future__ import annotations

import numpy as np

from pwm_core.compiling import compiled

from .kernels import add_columns, below, column_distances, lowest_bit


@compiled
def lanes(search):
    """Length of a row of displacements -search to search, in whole vectors."""
    return (2 * search + 16) // 16 * 16


@compiled
def room(search):
    """Tables for :func:`match`: of 8 columns, and of patches, by displacement."""
    size = (2 * search + 1) * lanes(search)
    return np.empty(8 * size, np.float32), np.empty(size, np.float32)


@compiled
def match(image, stride, height, width, y, x, new, search, limit, columns, table, last, best, found):
    """Fill ``found`` with the patches most like that at (y, x), nearest first; how many there are.

    ``columns`` knows all columns of the patch but the last ``new``. ``best`` takes squared distances, all
    below ``limit``; that of the patch itself counts as -1, so that it comes first. ``last`` holds the places
    in ``table`` of the matches of the reference patch before, and takes those of this one; last[0] < 0: none.
    """
    row, wanted = lanes(search), len(found)
    reference, size, middle = y * stride + x, len(table), search * row + search
    top, bottom = max(-search, -y), min(search, height - 8 - y)
    left, right = max(-search, -x), min(search, width - 8 - x)
    for x_column in range(x + 8 - new, x + 8):
        here = columns[(x_column & 7) * size :]
        for dy in range(top, bottom + 1):
            pixel = y * stride + x_column
            place = here[(dy + search) * row :]
            column_distances(image, stride, pixel, pixel + dy * stride - search, row // 16, place)
    add_columns(columns, size, (top + search) * row, (bottom - top + 1) * row // 16, table)
    table[middle] = np.float32(-1)
    best[:] = bound(table, last, row, left + search, right + search, limit)
    n = 0
    for dy in range(top, bottom + 1):
        for start in range((left + search) // 16 * 16, right + search + 1, 16):
            place = (dy + search) * row + start
            bits = below(table, place, best[wanted - 1])
            if bits:
                bits &= valid(left + search - start, right + search - start)
            while bits:
                lane = lowest_bit(bits)
                bits &= bits - 1
                if table[place + lane] < best[wanted - 1]:
                    insert(table[place + lane], place + lane, n, best, last)
                    n = min(n + 1, wanted)
    for i in range(n):
        found[i] = reference + (last[i] // row - search) * stride + last[i] % row - search
    if n < wanted:
        last[0] = -1
    return n


@compiled
def bound(table, last, row, left, right, limit):
    """A number above as many distances as are wanted, from where the last matches were; at most ``limit``."""
    if last[0] < 0:
        return limit
    largest = np.float32(0)
    for place in last:
        if place % row < left or place % row > right:
            return limit
        largest = max(largest, table[place])
    return min(limit, np.float32(1.0001) * largest + np.float32(1e-30))


@compiled
def valid(first, last):
    """The bits ``first`` to ``last`` of 16."""
    bits = (1 << min(last + 1, 16)) - 1
    return bits & ~((1 << max(first, 0)) - 1)


@compiled
def insert(distance, place, n, best, places):
    """Put a distance and its place where they belong among the first ``n``, which are sorted."""
    i = min(n, len(best) - 1)
    while i > 0 and best[i - 1] > distance:
        best[i], places[i] = best[i - 1], places[i - 1]
        i -= 1
    best[i], places[i] = distance, place
