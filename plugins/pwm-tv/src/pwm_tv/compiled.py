"""The dual steps of total variation as compiled loops over rows, for CPUs.

Arrays are (map, t, y, x), contiguous; dual fields have the axis in front, (y, x) or (t, y, x). At the far
edge of its axis a dual field is zero, as the difference there is.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np

from pwm_core.compiling import compiled

_WORTH_THREADS = 1 << 17  # pixels


def dual_steps(
    v: np.ndarray,
    inverse: np.ndarray,
    weight: np.ndarray,
    length: np.ndarray,
    steps: tuple[float, ...],
    dual: tuple[np.ndarray, np.ndarray, float],
    count: int,
    nonnegative: bool,
    threads: int,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, float]]:
    """The proximal point after ``count`` steps, and the dual fields p and q with the momentum there.

    ``steps`` are the weights of the axes of p and q; see `variation.Variation.prox`.
    """
    p, q, momentum = dual
    x, spare, extrapolated = np.empty_like(v), (np.empty_like(p), np.empty_like(p)), np.empty_like(p)
    along = tuple(v.dtype.type(s) for s in (0.0,) * (3 - len(steps)) + tuple(steps))
    rows = v.size // v.shape[-1]
    parts = min(threads, rows) if v.size >= _WORTH_THREADS else 1
    spans = [(rows * k // parts, rows * (k + 1) // parts) for k in range(parts)]
    for k in range(count):
        new = spare[k % 2]
        _each(spans, _primal, v, inverse, weight, q, along, nonnegative, x)
        uphill = sum(_each(spans, _dual, x, weight, length, p, q, along, new)) > 0
        t = 1.0 if uphill else (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = 0.0 if uphill else (momentum - 1) / t
        _each(spans, _extrapolated, new, p, v.dtype.type(ahead), extrapolated)
        p, q, momentum = new, extrapolated, t
    _each(spans, _primal, v, inverse, weight, p, along, nonnegative, x)
    return x, (p, q, momentum)


def _each(spans: list[tuple[int, int]], work: Any, *arguments: Any) -> list[float]:
    if len(spans) == 1:
        return [work(*spans[0], *arguments)]
    pool = _pool(os.getpid(), len(spans))
    return [f.result() for f in [pool.submit(work, *span, *arguments) for span in spans]]


@lru_cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """One for each process: threads do not survive a fork."""
    return ThreadPoolExecutor(threads, "pwm-tv")


@compiled(fastmath=True)
def _place(row: int, shape: Any) -> Any:
    _, frames, height, _ = shape
    return row // (frames * height), row // height % frames, row % height


@compiled(fastmath=True)
def _primal(
    start: int,
    stop: int,
    v: Any,
    inverse: Any,
    weight: Any,
    q: Any,
    along: Any,
    nonnegative: bool,
    x: Any,
) -> float:
    """x = v − inverse · ∇ᵀq, at least zero if ``nonnegative``."""
    width, volume = v.shape[3], len(q) == 3
    st, sy, sx = along
    total = np.empty(width, v.dtype)
    for row in range(start, stop):
        b, t, y = _place(row, v.shape)
        w, down, right = weight[b, t, y], q[-2, b, t, y], q[-1, b, t, y]
        for i in range(width):
            total[i] = -w[i] * (sy * down[i] + sx * right[i])
        for i in range(1, width):
            total[i] += sx * w[i - 1] * right[i - 1]
        if y > 0:
            above, w_above = q[-2, b, t, y - 1], weight[b, t, y - 1]
            for i in range(width):
                total[i] += sy * w_above[i] * above[i]
        if volume:
            later = q[0, b, t, y]
            for i in range(width):
                total[i] -= st * w[i] * later[i]
            if t > 0:
                before, w_before = q[0, b, t - 1, y], weight[b, t - 1, y]
                for i in range(width):
                    total[i] += st * w_before[i] * before[i]
        source, factor, target = v[b, t, y], inverse[b, t, y], x[b, t, y]
        for i in range(width):
            value = source[i] - factor[i] * total[i]
            target[i] = max(value, v.dtype.type(0)) if nonnegative else value
    return 0.0


@compiled(fastmath=True)
def _dual(
    start: int, stop: int, x: Any, weight: Any, length: Any, p: Any, q: Any, along: Any, new: Any
) -> float:
    """new = q + length · ∇x, shortened to at most one; returns Σ (q − new)(new − p)."""
    _, frames, height, width = x.shape
    volume, one, zero = len(q) == 3, x.dtype.type(1), x.dtype.type(0)
    st, sy, sx = along
    down, right, later = np.empty(width, x.dtype), np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    uphill = 0.0
    for row in range(start, stop):
        b, t, y = _place(row, x.shape)
        here, w, step = x[b, t, y], weight[b, t, y], length[b, t, y]
        below = x[b, t, min(y + 1, height - 1)]
        for i in range(width):
            down[i] = q[-2, b, t, y, i] + step[i] * w[i] * sy * (below[i] - here[i])
        for i in range(width - 1):
            right[i] = q[-1, b, t, y, i] + step[i] * w[i] * sx * (here[i + 1] - here[i])
        if volume:
            after = x[b, min(t + 1, frames - 1), y]
            for i in range(width):
                later[i] = q[0, b, t, y, i] + step[i] * w[i] * st * (after[i] - here[i])
        part = zero
        for i in range(width):
            shrink = one / max(np.sqrt(down[i] ** 2 + right[i] ** 2 + later[i] ** 2), one)
            down[i] *= shrink
            right[i] *= shrink
            later[i] *= shrink
        for k, values in ((-2, down), (-1, right)):
            old, ahead, target = p[k, b, t, y], q[k, b, t, y], new[k, b, t, y]
            for i in range(width):
                part += (ahead[i] - values[i]) * (values[i] - old[i])
                target[i] = values[i]
        if volume:
            old, ahead, target = p[0, b, t, y], q[0, b, t, y], new[0, b, t, y]
            for i in range(width):
                part += (ahead[i] - later[i]) * (later[i] - old[i])
                target[i] = later[i]
        uphill += part
    return uphill


@compiled(fastmath=True)
def _extrapolated(start: int, stop: int, new: Any, p: Any, ahead: Any, q: Any) -> float:
    """q = new + ahead · (new − p)."""
    for k in range(len(new)):
        for row in range(start, stop):
            b, t, y = _place(row, new.shape[1:])
            target, values, old = q[k, b, t, y], new[k, b, t, y], p[k, b, t, y]
            for i in range(len(target)):
                target[i] = values[i] + ahead * (values[i] - old[i])
    return 0.0


def total_variation(x: np.ndarray, weight: np.ndarray, steps: tuple[float, ...]) -> float:
    """Σ √(Σ (weight · step · difference)²), with the weights ``steps`` of as many of the last axes."""
    along = tuple(x.dtype.type(s) for s in (0.0,) * (3 - len(steps)) + tuple(steps))
    return float(_variation(x, weight, along))


@compiled(fastmath=True)
def _variation(x: Any, weight: Any, along: Any) -> float:
    _, frames, height, width = x.shape
    st, sy, sx = along
    square, total = np.empty(width, x.dtype), 0.0
    for row in range(x.size // width):
        b, t, y = _place(row, x.shape)
        here, below, after = x[b, t, y], x[b, t, min(y + 1, height - 1)], x[b, min(t + 1, frames - 1), y]
        w, part = weight[b, t, y], x.dtype.type(0)
        for i in range(width):
            square[i] = (sy * (below[i] - here[i])) ** 2 + (st * (after[i] - here[i])) ** 2
        for i in range(width - 1):
            square[i] += (sx * (here[i + 1] - here[i])) ** 2
        for i in range(width):
            part += abs(w[i]) * np.sqrt(square[i])
        total += part
    return total
