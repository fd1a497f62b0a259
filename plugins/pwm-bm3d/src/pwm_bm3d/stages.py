"""Both stages of BM3D on one band of an image: find similar patches, filter them together, aggregate."""

from __future__ import annotations

import numpy as np

from pwm_core.compiling import compiled

from .kernels import add_two, shrink_hard, shrink_wiener, transform_two
from .matching import match, room
from .transforms import BIOR, DCT


@compiled
def power_of_two(n):
    """The largest power of two up to ``n``."""
    size = 1
    while 2 * size <= n:
        size *= 2
    return size


@compiled
def transform(kind, image, stride, found, n, group):
    """Transforms of the patches of a group, (patch, 64)."""
    for i in range(0, n, 2):
        a, b = found[i], found[min(i + 1, n - 1)]
        if kind == BIOR:
            transform_two(BIOR, image, stride, a, b, group, 64 * i)
        else:
            transform_two(DCT, image, stride, a, b, group, 64 * i)


@compiled
def aggregate(kind, group, n, found, weight, window, scaled, total, weights, stride, origin):
    """Add the filtered patches of a group to the sums of the band, whose first pixel is ``origin``."""
    for i in range(64):
        scaled[i] = weight * window[i]
    if n == 1:  # the second of the pair is none
        group[64:128] = np.float32(0)
    for i in range(0, n, 2):
        a, b = found[i] - origin, found[min(i + 1, n - 1)] - origin
        if kind == BIOR:
            add_two(BIOR, group, 64 * i, scaled, total, stride, a, b)
        else:
            add_two(DCT, group, 64 * i, scaled, total, stride, a, b)
    for i in range(n):
        weights[found[i] - origin] += weight


@compiled
def hard_group(group, n, threshold):
    """How many coefficients of a group of n are kept."""
    if n == 32:
        return shrink_hard(32, group, threshold)
    if n == 16:
        return shrink_hard(16, group, threshold)
    if n == 8:
        return shrink_hard(8, group, threshold)
    if n == 4:
        return shrink_hard(4, group, threshold)
    if n == 2:
        return shrink_hard(2, group, threshold)
    return shrink_hard(1, group, threshold)


@compiled
def wiener_group(group, pilot, n):
    """The sum of the squared factors of a group of n."""
    if n == 32:
        return shrink_wiener(32, group, pilot)
    if n == 16:
        return shrink_wiener(16, group, pilot)
    if n == 8:
        return shrink_wiener(8, group, pilot)
    if n == 4:
        return shrink_wiener(4, group, pilot)
    if n == 2:
        return shrink_wiener(2, group, pilot)
    return shrink_wiener(1, group, pilot)


@compiled
def hard_band(
    kind,
    noisy,
    stride,
    height,
    width,
    rows,
    columns,
    search,
    total,
    weights,
    origin,
    size,
    limit,
    threshold,
    window,
):
    """The first stage on the reference patches at ``rows`` x ``columns``: a hard threshold.

    Weighted patches are added to ``total``, their weights to ``weights`` at the first pixel of each; both
    begin with the pixel ``origin`` of the image.
    """
    found, best = np.empty(size, np.int64), np.empty(size, np.float32)
    group, scaled = np.empty(64 * max(size, 2), np.float32), np.empty(64, np.float32)
    (parts, table), last = room(search), np.empty(size, np.int64)
    for y in rows:
        new, last[0] = 8, -1
        for i, x in enumerate(columns):
            if i:
                new = min(x - columns[i - 1], 8)
            n = power_of_two(
                match(noisy, stride, height, width, y, x, new, search, limit, parts, table, last, best, found)
            )
            transform(kind, noisy, stride, found, n, group)
            weight = np.float32(1 / hard_group(group, n, threshold))
            aggregate(kind, group, n, found, weight, window, scaled, total, weights, stride, origin)


@compiled
def wiener_band(
    noisy, pilot, stride, height, width, rows, columns, search, total, weights, origin, size, limit, window
):
    """The second stage, as :func:`hard_band`: patches like one another in ``pilot``, by Wiener's rule."""
    found, best = np.empty(size, np.int64), np.empty(size, np.float32)
    group, basic = np.empty(64 * max(size, 2), np.float32), np.empty(64 * max(size, 2), np.float32)
    scaled = np.empty(64, np.float32)
    (parts, table), last = room(search), np.empty(size, np.int64)
    for y in rows:
        new, last[0] = 8, -1
        for i, x in enumerate(columns):
            if i:
                new = min(x - columns[i - 1], 8)
            n = power_of_two(
                match(pilot, stride, height, width, y, x, new, search, limit, parts, table, last, best, found)
            )
            transform(DCT, noisy, stride, found, n, group)
            transform(DCT, pilot, stride, found, n, basic)
            weight = np.float32(1 / wiener_group(group, basic, n))
            aggregate(DCT, group, n, found, weight, window, scaled, total, weights, stride, origin)
