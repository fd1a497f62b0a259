"""Model and data of each position in a few sums, from which flux and background follow."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba.core import types

from pwm_core.compiling import compiled

from .blend import blend
from .elements import TINY, Total, power
from .functions import reciprocal
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
from .sweeps import SOURCES
from .threads import run_threads
from .threads import share as part_of

if TYPE_CHECKING:
    from .pie import Sweeper

SUMS = 4


def tally_all(
    engine: Sweeper, background: Any = 0.0, shift: Any = 0.0, floor: Any = 1.0, threads: int = 1
) -> np.ndarray:
    """Sums (positions, SUMS), float64, over valid pixels, at a sweeper's present object and probe:

        w u^2, w u d, w and w d with u = sum |wave_m|^2, d = y - (u + background - shift),
        y = (b - shift / b)^2 and w = 1 / (u + background - shift + floor).

    b are the amplitudes of the scaled data; ``shift`` is what they and the background have been given to make
    the variance of few counts the same.  What is added can be one number or one a position."""
    p, count = engine.plan, len(engine.data)
    run = make_tally(
        p.n, p.width, int(engine.modes > 1), int(engine.near), int(engine.shifted), int(engine.varied)
    )
    found = np.zeros((count, SUMS))
    named = ("background", background), ("shift", shift), ("floor", floor)
    added = np.stack([per_position(values, count, name) for name, values in named], 1)
    data = engine.data.reshape(-1), engine.gains, added, engine.kernel

    for stretch in engine.stretches(np.arange(count)):

        def work(t: int, first: int = int(stretch[0]), length: int = len(stretch)) -> None:
            start, stop = part_of(length, threads, t)
            places = engine.corners, engine.ramps, (first + start, first + stop)
            probe, mixture = engine.illumination()
            spaces = probe, (aligned(engine.modes * p.tiles), aligned(engine.modes * p.strip))
            fields = engine.object.flat_image, engine.modes, engine.spectrum
            run(*fields, mixture, data, places, spaces, found.reshape(-1))

        run_threads(threads, work)
    return found


class _Tally:
    """Adds pixels up, 8 vectors or so at a time."""

    def __init__(self, e, scale, background, shift, floor):
        self.e, self.scale, self.background, self.shift, self.floor = e, scale, background, shift, floor
        self.totals = [Total(e) for _ in range(SUMS)]

    def add(self, intensities, amplitudes):
        sums = [self.e.zero() for _ in self.totals]
        for intensity, amplitude in zip(intensities, amplitudes, strict=True):
            terms = [self._valid(amplitude, term) for term in self._terms(intensity, amplitude)]
            sums = [total + term for total, term in zip(sums, terms, strict=True)]
        for total, part in zip(self.totals, sums, strict=True):
            total.add(part)

    def _terms(self, intensity, amplitude):
        light, measured = intensity * self.scale, amplitude * self.scale**-0.5
        root = measured - self.shift * reciprocal(self.e, self.e.maximum(measured, self.e.constant(TINY)))
        quanta = light + (self.background - self.shift)
        weight = reciprocal(self.e, quanta + self.floor)
        excess, lit = weight * (root * root - quanta), weight * light
        return lit * light, light * excess, weight, excess

    def _valid(self, amplitude, term):
        return self.e.select_negative(amplitude, self.e.zero(), term)

    def store(self, where):
        for k, total in enumerate(self.totals):
            self.e.builder.store(total.value(), self.e.pointer(where, k))


def _tally_far(e, layout, many, measured, added, modes, work, sums):
    amplitudes, gain = measured
    tally, modes = _Tally(e, 1.0 / layout.n**2, *added), modes if many else 1
    twiddles_of = column_twiddles(e, layout)
    with e.loop(layout.strips) as strip:
        with e.loop(modes) as mode:
            columns_forward(e, layout, work[0] + mode * layout.tiles, strip)
        with e.loop(layout.columns) as group:
            twiddles = twiddles_of(group)
            totals = [e.variable(e.zero()) for _ in range(8)]
            with e.loop(modes) as mode:
                values = spectrum_forward(e, layout, work[0] + mode * layout.tiles, strip, group, twiddles)
                for value, (get, put) in zip(values, totals, strict=True):
                    put(power(value, get()))
            first = layout.spectrum(strip, group)
            met = [e.load(amplitudes, first + b * layout.width) * gain for b in range(8)]
            tally.add([get() for get, _ in totals], met)
    tally.store(sums)


@intrinsic
def tally_far(typingctx, n, width, many, measured, added, modes, work, sums):
    """From transformed rows: columns forward, and the sums.  ``measured`` is as in `steps`; ``added`` are
    background, shift and floor."""
    arguments = (measured, added, modes, work, sums)
    return lower(types.none, (n, width, many), arguments, _tally_far)


def _tally_near(e, layout, many, moved, measured, added, kernel, ramps, modes, work, sums):
    (amplitudes, gain), (buffer, scratch) = measured, work
    tally, modes = _Tally(e, 1.0, *added), modes if many else 1

    def group_of_rows(strip, rows, finish):
        totals = [e.variable(e.zero()) for _ in rows]
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
def tally_near(typingctx, n, width, many, moved, measured, added, kernel, ramps, modes, work, sums):
    """From transformed rows: propagation (see `near.constrain_near`), and the sums."""
    arguments = (measured, added, kernel, ramps, modes, work, sums)
    return lower(types.none, (n, width, many, moved), arguments, _tally_near)


@lru_cache(None)
def make_tally(n: int, width: int, many: int, near: int, shifted: int, varied: int) -> Any:
    """The sums of positions ``span``."""
    size, version = n * n, SOURCES

    @compiled
    def tally_positions(image, modes, spectrum, mixture, data, places, spaces, sums):
        _ = version
        obj, plane, pitch = image
        amplitudes, gains, marks, kernel = data
        corners, ramps, span = places
        probe, work = spaces
        components, count, shares, own = mixture
        for j in range(span[0], span[1]):
            patch = ((obj, corners[j, 0] * pitch + corners[j, 1]), plane, pitch)
            measured, ramp, found = ((amplitudes, j * size), gains[j]), (ramps, j * 4 * n), (sums, j * SUMS)
            if varied:
                blend(n, width, components, count, (shares, j * 2 * count), own if shifted else probe)
            if shifted:
                shift_probe(n, width, own if varied else spectrum, modes, ramp, work, probe)
            exit_wave(n, width, patch, probe, modes, work)
            added = (marks[j, 0], marks[j, 1], marks[j, 2])
            if near:
                tally_near(n, width, many, shifted, measured, added, kernel, ramp, modes, work, found)
            else:
                tally_far(n, width, many, measured, added, modes, work, found)

    return tally_positions
