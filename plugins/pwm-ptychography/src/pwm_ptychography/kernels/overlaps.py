"""Compiled loops over positions for given exit waves, without any transform of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pwm_core.compiling import compiled

from .gather import overlap, products
from .near import shift_probe, unshift_increment
from .sweeps import SOURCES, f32


@lru_cache(None)
def make_overlap(n: int, width: int, shifted: int) -> Any:
    """The sums of `make_gather` for given exit waves."""
    size, version = n * n, SOURCES

    @compiled
    def overlap_positions(image, modes, spectrum, corners, ramps, span, state, spaces, sums):
        _ = version
        obj, plane, pitch = image
        probe, increment, work = spaces
        object_sums, sums_pitch, probe_sums, probe_weights = sums
        for j in range(span[0], span[1]):
            patch = ((obj, corners[j, 0] * pitch + corners[j, 1]), plane, pitch)
            object_patch = ((object_sums, corners[j, 0] * sums_pitch + corners[j, 1]), plane, sums_pitch)
            ramp = (ramps, j * 4 * n)
            if shifted:
                shift_probe(n, width, spectrum, modes, ramp, work, probe)
                increment[:] = 0
            for m in range(modes):
                field = m * 2 * size
                targets = (object_patch, (increment if shifted else probe_sums, field), probe_weights)
                wave = (state, j * modes * 2 * size + field)
                overlap(n, width, patch, (probe, field), wave, targets, f32(m == 0))
            if shifted:
                unshift_increment(n, width, increment, modes, ramp, work, probe_sums)

    return overlap_positions


@lru_cache(None)
def make_products(n: int, width: int, shifted: int) -> Any:
    """What `gather.products` finds for every position of ``frames[start:stop]``; see `batch.products_of`."""
    size, version = n * n, SOURCES

    @compiled
    def products_of_positions(image, towards, modes, fields, places, state, spaces, totals):
        _ = version
        obj, plane, pitch = image
        step, step_plane, step_pitch = towards
        spectrum, direction = fields
        corners, ramps, frames, span = places
        probe, moved, work = spaces
        for i in range(span[0], span[1]):
            j = frames[i]
            patch = ((obj, corners[j, 0] * pitch + corners[j, 1]), plane, pitch)
            step_patch = ((step, corners[j, 0] * step_pitch + corners[j, 1]), step_plane, step_pitch)
            if shifted:
                shift_probe(n, width, spectrum, modes, (ramps, j * 4 * n), work, probe)
                shift_probe(n, width, direction, modes, (ramps, j * 4 * n), work, moved)
            for m in range(modes):
                field = m * 2 * size
                wave = (state, j * modes * 2 * size + field)
                products(n, width, patch, (probe, field), step_patch, (moved, field), wave, (totals, j * 5))

    return products_of_positions
