"""Compiled loops over positions, specialised by size and features and cached on disk by numba.

Cached where: beside this file or, if that folder cannot be written, in the user's cache folder, or nowhere;
the environment variable NUMBA_CACHE_DIR overrides both.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from pwm_core.compiling import compiled

from .blend import blend, share_step
from .elements import TINY
from .gather import gather
from .layout import Layout
from .near import constrain_near, from_spectrum, shift_probe, to_spectrum, unshift_increment
from .steps import constrain, exit_wave, mixed_exit_wave, peak, update
from .threads import await_others, tell

# numba notices changes of this file only: the generators' sources enter the cache key as a closure constant
_FILES = sorted(Path(__file__).parent.glob("*.py"))
SOURCES = int(sha256(b"".join(p.read_bytes() for p in _FILES)).hexdigest()[:15], 16)
f32: Any = np.float32


@lru_cache(None)
def make_sweep(
    n: int, width: int, many: int, regularised: int, near: int, shifted: int, stateful: int, varied: int
) -> Any:
    """The sequential sweep of one thread of a team for one combination of features; see `pie.Sweeper.sweep`.

    ``rounds`` (rounds, threads) are positions, -1 for none, and ``needed`` what each must wait for; see
    `schedule`.  ``image`` is (object, plane, pitch); the arrays of ``team`` have one row per thread, those of
    the probe and its spectrum two copies in it, of which `merge` reads one and writes the other.  ``steps``
    are object step and alpha, probe step and beta, relaxation; ``memory`` is the state of all positions with
    its (entry, hold) and (keep, mix, replace).  If ``varied`` the probe has components, ``mixture`` (number,
    weights), which each position adds up."""
    size, apart, version = n * n, int(shifted or varied), SOURCES

    @compiled
    def sweep(
        thread,
        marks,
        rounds,
        needed,
        block,
        image,
        modes,
        team,
        mixture,
        data,
        corners,
        ramps,
        steps,
        memory,
        misfit,
    ):
        _ = version
        count, weights = mixture
        state, mix, projection = memory
        obj, plane, pitch = image
        probes, spectra, increments, buffers, scratches, own = team
        amplitudes, gains, background, kernel = data
        a, alpha, b, beta, relax = steps
        threads = len(probes)
        probe, spectrum, increment = probes[thread, 0], spectra[thread, 0], increments[thread]
        work = (buffers[thread], scratches[thread])
        shared = spectra if shifted else probes
        components = shared[thread, 0]
        if varied:
            probe, spectrum = own[thread, 0], own[thread, 1]
        bright = peak(n, width, probe, modes)
        for r in range(len(rounds)):
            j = rounds[r, thread]
            if j >= 0:
                if threads > 1:
                    await_others(marks, thread, needed[r, thread])
                patch = ((obj, corners[j, 0] * pitch + corners[j, 1]), plane, pitch)
                ramp, measured = (ramps, j * 4 * n), ((amplitudes, j * size), gains[j])
                if varied:
                    blended = spectrum if shifted else probe
                    blend(n, width, components, count, (weights, j * 2 * count), blended)
                if shifted:
                    shift_probe(n, width, spectrum, modes, ramp, work, probe)
                if apart:
                    bright = peak(n, width, probe, modes)
                wave = (state, j * modes * 2 * size)
                if stateful:
                    top = mixed_exit_wave(n, width, patch, probe, modes, wave, mix, work)
                else:
                    top = exit_wave(n, width, patch, probe, modes, work)
                if near:
                    misfit[j] = constrain_near(
                        n, width, 0, shifted, measured, f32(relax), background[j], kernel, ramp, modes, work
                    )
                else:
                    light = f32(background[j] * size)
                    misfit[j] = size * constrain(
                        n, width, many, 0, measured, f32(relax), light, work[0], modes
                    )
                pair = (step_of(a, alpha, bright, regularised), step_of(b, beta, top, regularised))
                bright = update(
                    n,
                    width,
                    many,
                    regularised,
                    apart,
                    stateful,
                    patch,
                    probe,
                    modes,
                    increment,
                    work,
                    pair,
                    wave,
                    projection,
                )
                if shifted and b != 0:
                    if varied:
                        spectrum[:] = 0
                    unshift_increment(n, width, increment, modes, ramp, work, spectrum)
                if varied and b != 0:
                    step = spectrum if shifted else increment
                    share_step(n, width, components, count, (weights, j * 2 * count), step)
            if threads > 1:
                tell(marks, thread, r + 1)
                if (r + 1) % block == 0 or r + 1 == len(rounds):
                    await_others(marks, thread, r + 1)
                    if b != 0:
                        side = r // block % 2
                        components = shared[thread, 1 - side]
                        merge(shared, side, rounds[r // block * block : r + 1], components)
                        if not varied and shifted:
                            spectrum = components
                        elif not varied:
                            probe = components
                        bright = peak(n, width, probe, modes)

    return sweep


@compiled
def step_of(step, slope, peak, regularised):
    """(step, slope, floor) of `steps.update` for the greatest intensity ``peak``."""
    peak = max(peak, f32(TINY))
    if regularised:
        return f32(step), f32(1 - slope), f32(slope * peak + TINY)
    return f32(step / peak), f32(0), f32(1)


@compiled
def merge(copies, side, rounds, result):
    """Mean of the threads' ``copies`` on one ``side``, weighted with the number of positions that each has
    seen in ``rounds``."""
    seen = (rounds >= 0).sum()
    result[:] = 0
    for t in range(len(copies)):
        weight = f32((rounds[:, t] >= 0).sum() / seen)
        for i in range(len(result)):
            result[i] += weight * copies[t, side, i]


@lru_cache(None)
def make_gather(
    *,
    n: int,
    width: int,
    many: int,
    poisson: int,
    near: int,
    shifted: int,
    stateful: int,
    weights: int,
    track: int,
    varied: int,
) -> Any:
    """Sums over ``frames[start:stop]`` at fixed object and probe; see `batch.gather_all`.

    ``sums`` are those of the object (with their pitch), of the probe, and of the probe's weights."""
    size, tiles, version = n * n, Layout(n, width).tiles, SOURCES

    @compiled
    def gather_positions(
        image, modes, spectrum, mixture, data, places, state, coefficients, spaces, sums, moves, misfit
    ):
        _ = version
        obj, plane, pitch = image
        amplitudes, gains, background, kernel = data
        corners, ramps, frames, span = places
        relax, mix, projection = coefficients
        probe, increment, work = spaces
        object_sums, sums_pitch, probe_sums, probe_weights = sums
        components, count, shares, mixed = mixture
        for i in range(span[0], span[1]):
            j = frames[i]
            patch = ((obj, corners[j, 0] * pitch + corners[j, 1]), plane, pitch)
            object_patch = ((object_sums, corners[j, 0] * sums_pitch + corners[j, 1]), plane, sums_pitch)
            if varied:
                blended = mixed if shifted else probe
                blend(n, width, components, count, (shares, j * 2 * count), blended)
            ramp, measured = (ramps, j * 4 * n), ((amplitudes, j * size), gains[j])
            if shifted:
                shift_probe(n, width, mixed if varied else spectrum, modes, ramp, work, probe)
                increment[:] = 0
            if stateful:
                waves = (state, j * modes * 2 * size)
                mixed_exit_wave(n, width, patch, probe, modes, waves, mix, work)
            else:
                exit_wave(n, width, patch, probe, modes, work)
            if near:
                misfit[j] = constrain_near(
                    n, width, poisson, shifted, measured, f32(relax), background[j], kernel, ramp, modes, work
                )
            else:
                light = f32(background[j] * size)
                misfit[j] = size * constrain(
                    n, width, many, poisson, measured, f32(relax), light, work[0], modes
                )
            for m in range(modes):
                field, tile = m * 2 * size, m * tiles
                targets = (object_patch, (increment if shifted else probe_sums, field), probe_weights)
                wave = (state, j * modes * 2 * size + field)
                part, own, lead, move = (
                    (probe, field),
                    ((work[0], tile), work[1]),
                    f32(m == 0),
                    (moves, j * 5),
                )
                gather(
                    n,
                    width,
                    stateful,
                    weights,
                    track,
                    patch,
                    part,
                    wave,
                    projection,
                    own,
                    targets,
                    lead,
                    move,
                )
            if shifted:
                unshift_increment(n, width, increment, modes, ramp, work, probe_sums)

    return gather_positions


@lru_cache(None)
def make_transform(n: int, width: int, inverse: int) -> Any:
    """Transforms of ``count`` fields between strip order and spectrum order."""
    length, version = 2 * n * n, SOURCES

    @compiled
    def transform(source, target, count, work):
        _ = version
        for k in range(count):
            if inverse:
                from_spectrum(n, width, (source, k * length), work, (target, k * length))
            else:
                to_spectrum(n, width, (source, k * length), work, (target, k * length))

    return transform
