"""How the model of each position compares with its data, in a few sums: what its flux follows from."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba.core import types

from pwm_core.compiling import compiled

from .elements import TINY, Total, power
from .functions import rsqrt
from .lowering import intrinsic, lower
from .near import filtered, shift_probe
from .passes import (
    column_twiddles,
    columns_forward,
    row_groups,
    rows_inverse,
    spectrum_forward,
    through,
)
from .plan import aligned
from .positions import per_position
from .steps import exit_wave
from .sweeps import SOURCES, f32
from .threads import run_threads
from .threads import share as part_of

if TYPE_CHECKING:
    from .pie import Sweeper

SUMS = 2  # over the valid pixels of a position: |wave|^2, |wave| amplitude


def tally_all(engine: Sweeper, background: Any = 0.0, threads: int = 1) -> np.ndarray:
    """The sums (positions, SUMS), float64, at a sweeper's present object and probe.

    |wave| is sqrt(sum |wave_m|^2 + background), amplitudes are those of the scaled data."""
    p, count = engine.plan, len(engine.data)
    run = make_tally(p.n, p.width, int(engine.modes > 1), int(engine.near), int(engine.shifted))
    found = np.zeros((count, SUMS))
    light = per_position(background, count, "background")
    data = engine.data.reshape(-1), engine.gains, light, engine.kernel

    def work(t: int) -> None:
        places = engine.corners, engine.ramps, part_of(count, threads, t)
        probe = np.empty_like(engine.probe) if engine.shifted else engine.probe
        spaces = probe, (aligned(engine.modes * p.tiles), aligned(engine.modes * p.strip))
        fields = engine.object.flat_image, engine.modes, engine.spectrum
        run(*fields, data, places, spaces, found.reshape(-1))

    run_threads(threads, work)
    return found


class _Tally:
    """Adds pixels up, 8 vectors or so at a time."""

    def __init__(self, e, scale):
        self.e, self.scale, self.totals = e, scale, [Total(e) for _ in range(SUMS)]

    def add(self, intensities, amplitudes):
        sums = [self.e.zero() for _ in self.totals]
        for intensity, amplitude in zip(intensities, amplitudes, strict=True):
            valid = self.e.select_negative(amplitude, self.e.zero(), intensity)
            terms = valid * self.scale, valid * rsqrt(self.e, intensity) * amplitude
            sums = [total + term for total, term in zip(sums, terms, strict=True)]
        for total, part in zip(self.totals, sums, strict=True):
            total.add(part)

    def store(self, where):
        for k, total in enumerate(self.totals):
            self.e.builder.store(total.value(), self.e.pointer(where, k))


def _tally_far(e, layout, many, measured, background, modes, work, sums):
    amplitudes, gain = measured
    tally, background, modes = _Tally(e, 1.0 / layout.n**2), background + TINY, modes if many else 1
    twiddles_of = column_twiddles(e, layout)
    with e.loop(layout.strips) as strip:
        with e.loop(modes) as mode:
            columns_forward(e, layout, work[0] + mode * layout.tiles, strip)
        with e.loop(layout.columns) as group:
            twiddles = twiddles_of(group)
            totals = [e.variable(background) for _ in range(8)]
            with e.loop(modes) as mode:
                values = spectrum_forward(e, layout, work[0] + mode * layout.tiles, strip, group, twiddles)
                for value, (get, put) in zip(values, totals, strict=True):
                    put(power(value, get()))
            first = layout.spectrum(strip, group)
            met = [e.load(amplitudes, first + b * layout.width) * gain for b in range(8)]
            tally.add([get() for get, _ in totals], met)
    tally.store(sums)


@intrinsic
def tally_far(typingctx, n, width, many, measured, background, modes, work, sums):
    """From transformed rows: columns forward, and the sums.  ``measured`` is as in `steps`, ``background``
    that of the unnormalised transform."""
    arguments = (measured, background, modes, work, sums)
    return lower(types.none, (n, width, many), arguments, _tally_far)


def _tally_near(e, layout, many, moved, measured, background, kernel, ramps, modes, work, sums):
    (amplitudes, gain), (buffer, scratch) = measured, work
    tally, background, modes = _Tally(e, 1.0), background + TINY, modes if many else 1

    def group_of_rows(strip, rows, finish):
        totals = [e.variable(background) for _ in rows]
        with e.loop(modes) as mode:
            load, _ = through(e, scratch + mode * layout.strip, layout.unit)
            for value, (get, put) in zip(finish(load(None, rows)), totals, strict=True):
                put(power(value, get()))
        met = [e.load(amplitudes, (strip * layout.n + row) * layout.width) * gain for row in rows]
        tally.add([get() for get, _ in totals], met)

    with e.loop(modes) as mode:
        filtered(e, layout, False, moved, kernel, ramps, buffer + mode * layout.tiles)
    with e.loop(layout.strips) as strip:
        with e.loop(modes) as mode:
            rows_inverse(e, layout, strip, buffer + mode * layout.tiles, scratch + mode * layout.strip)
        row_groups(e, layout, lambda rows, finish: group_of_rows(strip, rows, finish))
    tally.store(sums)


@intrinsic
def tally_near(typingctx, n, width, many, moved, measured, background, kernel, ramps, modes, work, sums):
    """From transformed rows: propagation (see `near.constrain_near`), and the sums."""
    arguments = (measured, background, kernel, ramps, modes, work, sums)
    return lower(types.none, (n, width, many, moved), arguments, _tally_near)


@lru_cache(None)
def make_tally(n: int, width: int, many: int, near: int, shifted: int) -> Any:
    """The sums of positions ``span``."""
    size, version = n * n, SOURCES

    @compiled
    def tally_positions(image, modes, spectrum, data, places, spaces, sums):
        _ = version
        obj, plane, pitch = image
        amplitudes, gains, background, kernel = data
        corners, ramps, span = places
        probe, work = spaces
        for j in range(span[0], span[1]):
            patch = ((obj, corners[j, 0] * pitch + corners[j, 1]), plane, pitch)
            measured, ramp, found = ((amplitudes, j * size), gains[j]), (ramps, j * 4 * n), (sums, j * SUMS)
            if shifted:
                shift_probe(n, width, spectrum, modes, ramp, work, probe)
            exit_wave(n, width, patch, probe, modes, work)
            if near:
                tally_near(n, width, many, shifted, measured, background[j], kernel, ramp, modes, work, found)
            else:
                light = f32(background[j] * size)
                tally_far(n, width, many, measured, light, modes, work, found)

    return tally_positions
