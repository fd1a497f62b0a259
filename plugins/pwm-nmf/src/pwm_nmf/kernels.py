"""Compiled loops: counts into columns of what is not zero, and the Kullback–Leibler updates."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np

from pwm_core.compiling import compiled

_TINY = 1e-30
_NEWTON = 50


@compiled
def count_columns(y, filled):
    """Adds to ``filled`` (column,) how many numbers of each column of ``y`` are not zero."""
    for i in range(y.shape[0]):
        for n in range(y.shape[1]):
            filled[n] += y[i, n] != 0


@compiled
def gather_columns(y, places, indices, data):
    """What is not zero in ``y``, column by column; ``places`` (column,) is where each begins, and moves."""
    for i in range(y.shape[0]):
        for n in range(y.shape[1]):
            if y[i, n] != 0:
                indices[places[n]] = i
                data[places[n]] = y[i, n]
                places[n] += 1


@numba.njit(cache=True, error_model="numpy")
def set_share(share, gain, sums, simplex):
    """share = gain/(sum + ν) of one pixel, with ν zero, or such that the shares add up to one.

    The latter is the maximum of the surrogate function under the constraint. Newton's method from the
    left, where the shares add up to one at least, needs no safeguard, since their sum is convex in ν.
    """
    if not simplex:
        for p in range(len(share)):
            share[p] = gain[p] / (sums[p] + _TINY)
        return
    best = 0
    for p in range(len(share)):
        if gain[p] - sums[p] > gain[best] - sums[best]:
            best = p
    if gain[best] <= _TINY:  # the cheapest phase has no part in the counts: it takes what is left, if any
        gain[best], left = 0.0, 1.0
        for p in range(len(share)):
            share[p] = gain[p] / _denominator(gain, sums, p, best, 0.0)
            left -= share[p]
        if left >= 0:
            share[best] = left
            return
    shift = 0.0  # of the denominators, from where the best phase alone has all
    for _ in range(_NEWTON):
        value, slope = -1.0, 0.0
        for p in range(len(share)):
            part = float(gain[p]) / _denominator(gain, sums, p, best, shift)
            value += part
            slope += part / _denominator(gain, sums, p, best, shift)
        shift += value / slope
        if value < 1e-10:
            break
    for p in range(len(share)):
        share[p] = gain[p] / _denominator(gain, sums, p, best, shift)


@numba.njit(cache=True, inline="always")
def _denominator(gain, sums, p, best, shift):
    """Never below the gain, as it is without rounding."""
    start = (float(sums[p]) - float(sums[best])) + float(gain[best])
    return max(start, float(gain[p]), _TINY) + shift


@numba.njit(cache=True)
def set_shares(shares, gains, sums, simplex):
    """The shares (pixel, phase) from their gains, share · (spectraᵀ y/ŷ), in place."""
    for n in range(len(shares)):
        set_share(shares[n], gains[n], sums, simplex)


@functools.cache
def sweep_for(phases: int) -> Any:
    """The sweep through the counts, compiled for a number of phases: known loops become vectors."""

    @numba.njit(cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy")
    def sweep(indptr, indices, values, spectra, sums, shares, simplex, pulled, ratios):
        """Update the shares (pixel, phase) in place, then gather what the spectra need.

        ``spectra`` (channel, phase) with their ``sums`` (phase,). ``pulled`` (channel, phase) becomes
        Σ over pixels of y/ŷ · share with the new shares, ``ratios`` (count,) y/ŷ.
        """
        gain, share = np.empty(phases, spectra.dtype), np.empty(phases, spectra.dtype)
        tiny = spectra.dtype.type(_TINY)
        pulled[:] = 0
        for n in range(len(shares)):
            low, high = indptr[n], indptr[n + 1]
            for p in range(phases):
                share[p] = shares[n, p]
            for p in range(phases):
                gain[p] = 0
            for i in range(low, high):
                row, mean = spectra[indices[i]], tiny
                for p in range(phases):
                    mean += row[p] * share[p]
                ratio = values[i] / mean
                for p in range(phases):
                    gain[p] += row[p] * ratio
            for p in range(phases):
                gain[p] *= share[p]
            set_share(share, gain, sums, simplex)
            for i in range(low, high):
                row, out, mean = spectra[indices[i]], pulled[indices[i]], tiny
                for p in range(phases):
                    mean += row[p] * share[p]
                ratio = values[i] / mean
                for p in range(phases):
                    out[p] += ratio * share[p]
                ratios[i] = ratio
            for p in range(phases):
                shares[n, p] = share[p]

    return sweep
