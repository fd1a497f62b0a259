"""The steps of a ptychographic iteration on one diffraction pattern, as numba intrinsics.

Arrays are as in `arrays`; ``(array, offset)`` is the part of an array from there on.  An object's patch is
given as ``((object, corner), plane, pitch)``.  Amplitudes are ``[vector][W]`` in the order of spectra,
negative where a pixel is masked; ``measured`` is (amplitudes, factor), the factor multiplying them.
``work`` is a buffer (modes, Layout.tiles) for what is being transformed
and scratch (modes, Layout.strip) for one strip.  Transforms are unnormalised, so amplitudes carry 1/n.
``many`` is 0 for exactly one probe mode (values stay in registers), 1 for any number of modes.
"""

from __future__ import annotations

from numba.core import types

from .arrays import Field, Patch
from .butterflies import multiply, multiply_conj
from .elements import TINY, Peak, Total, add_scaled, constraint, minus_product, power, scaled
from .functions import reciprocal
from .lowering import intrinsic, lower
from .passes import (
    back,
    column_twiddles,
    columns_forward,
    columns_inverse,
    front,
    middle,
    row_groups,
    rows_inverse,
    spectrum_forward,
    spectrum_inverse,
    through,
)


def wave_rows(e, layout, patch, probe, work, mixed=lambda strip, row, wave: wave):
    """Rows forward of one mode of the exit wave (changed by ``mixed``); returns the `Peak` of |patch|^2."""
    brightest = Peak(e)

    def load(strip, rows):
        result = []
        for row in rows:
            o = patch.load(strip, row)
            brightest.see(power(o))
            result.append(mixed(strip, row, multiply(o, probe.load(strip, row))))
        return result

    front(e, layout, load, work)
    return brightest


def _exit_wave(e, layout, image, probe, modes, work, mixed_of=None):
    buffer, scratch = work
    patch, probe, brightest = Patch(e, layout, image), Field(e, layout, probe), Peak(e)
    with e.loop(modes) as mode:
        mixed = [mixed_of(mode)] if mixed_of else []
        tiles = buffer + mode * layout.tiles
        brightest.see(wave_rows(e, layout, patch, probe.mode(mode), (tiles, scratch), *mixed).get())
    return brightest.value()


@intrinsic
def exit_wave(typingctx, n, width, image, probe, modes, work):
    """Rows of the transform of the exit waves probe * patch, into tiles; returns max |patch|^2."""
    return lower(types.float32, (n, width), (image, probe, modes, work), _exit_wave)


def _mixed_exit_wave(e, layout, image, probe, modes, state, mix, work):
    state, (entry, hold) = Field(e, layout, state), mix

    def mixed_of(mode):
        own = state.mode(mode)
        return lambda strip, row, wave: add_scaled(own.load(strip, row), hold, scaled(wave, entry))

    return _exit_wave(e, layout, image, probe, modes, work, mixed_of)


@intrinsic
def mixed_exit_wave(typingctx, n, width, image, probe, modes, state, mix, work):
    """`exit_wave` of entry * probe * patch + hold * state, where ``mix`` is (entry, hold)."""
    return lower(types.float32, (n, width), (image, probe, modes, state, mix, work), _mixed_exit_wave)


def _constrain(e, layout, many, poisson, measured, relax, background, buffer, modes):
    misfit, scale, background = Total(e), 1.0 / layout.n**2, background + TINY
    amplitudes, gain = measured

    def factors(strip, group, intensities):
        """What multiplies the spectrum, from its intensities."""
        result, misfits = [], e.zero()
        for b, intensity in enumerate(intensities):
            amplitude = e.load(amplitudes, layout.spectrum(strip, group) + b * layout.width) * gain
            change, distance = constraint(e, poisson, scale, intensity, amplitude)
            result.append(change.fma(relax, e.constant(scale)))
            misfits = misfits + distance
        misfit.add(misfits)
        return result

    def one(strip, group, values):
        multipliers = factors(strip, group, [power(v, background) for v in values])
        return [scaled(v, f) for v, f in zip(values, multipliers, strict=True)]

    if many:
        _middle_modes(e, layout, background, buffer, modes, factors)
    else:
        middle(e, layout, buffer, one)
    return misfit.value()


def _middle_modes(e, layout, background, buffer, modes, factors):
    """`passes.middle` for several modes that are all multiplied with factors of their summed intensity."""
    twiddles_of = column_twiddles(e, layout)
    with e.loop(layout.strips) as strip:
        with e.loop(modes) as mode:
            columns_forward(e, layout, buffer + mode * layout.tiles, strip)
        with e.loop(layout.columns) as group:
            twiddles = twiddles_of(group)
            places = [layout.tile(strip * 8 + p, group) for p in range(8)]
            sums = [e.variable(background) for _ in range(8)]
            with e.loop(modes) as mode:
                tiles = buffer + mode * layout.tiles
                values = spectrum_forward(e, layout, tiles, strip, group, twiddles)
                for value, place, (get, put) in zip(values, places, sums, strict=True):
                    put(power(value, get()))
                    e.store_pair(value, tiles, place)
            multipliers = factors(strip, group, [get() for get, _ in sums])
            with e.loop(modes) as mode:
                tiles = buffer + mode * layout.tiles
                values = [scaled(e.load_pair(tiles, p), f) for p, f in zip(places, multipliers, strict=True)]
                spectrum_inverse(e, layout, values, tiles, strip, group, twiddles)
        with e.loop(modes) as mode:
            columns_inverse(e, layout, buffer + mode * layout.tiles, strip)


@intrinsic
def constrain(typingctx, n, width, many, poisson, measured, relax, background, buffer, modes):
    """Columns forward, a step of ``relax`` towards the data, columns inverse; returns the misfit over n^2.

    ``background`` (of the unnormalised transform) adds to the model intensity; see `elements.constraint`."""
    arguments = (measured, relax, background, buffer, modes)
    return lower(types.float64, (n, width, many, poisson), arguments, _constrain)


def renewed(state, projection, mode, strip, row, wave, o, p):
    """The new state, keep * state + mix * o p + replace * wave, which is also stored."""
    keep, mix, replace = projection
    state = state.mode(mode)
    mixed = add_scaled(state.load(strip, row), keep, scaled(multiply(o, p), mix))
    new = add_scaled(wave, replace, mixed)
    state.store(strip, row, new)
    return new


class _Updater:
    """The update of object and probe, row by row."""

    def __init__(self, e, regularised, patch, probe, out, steps, kept):
        self.e, self.regularised, self.patch, self.probe, self.out = e, regularised, patch, probe, out
        self.kept = kept
        self.object_step, self.probe_step = steps
        self.brightest = Peak(e)

    def _step(self, step, intensity):
        step, slope, floor = step
        return step * reciprocal(self.e, intensity.fma(slope, floor)) if self.regularised else step

    def probe_row(self, strip, row, wave, mode):
        """Update one mode; returns the terms of the object update (re, im) and new and old |probe|^2."""
        probe = self.probe.mode(mode)
        o, p = self.patch.load(strip, row), probe.load(strip, row)
        if self.kept:
            state, projection = self.kept
            wave = renewed(state, projection, mode, strip, row, wave, o, p)
        chi = minus_product(wave, o, p)
        increment, step = multiply_conj(chi, o), self._step(self.probe_step, power(o))
        if self.out is None:
            new = add_scaled(increment, step, p)
            probe.store(strip, row, new)
        else:
            new = p
            self.out.mode(mode).store(strip, row, scaled(increment, step))
        return [*multiply_conj(chi, p), power(new), *([power(p)] if self.regularised else [])]

    def object_row(self, strip, row, re, im, bright, illumination=None):
        self.brightest.see(bright)
        step = self._step(self.object_step, illumination)
        self.patch.store(strip, row, add_scaled((re, im), step, self.patch.load(strip, row)))


def _update(
    e, layout, many, regularised, apart, stateful, image, probe, modes, out, work, steps, state, projection
):
    buffer, scratch = work
    out = Field(e, layout, out) if apart else None
    kept = (Field(e, layout, state), projection) if stateful else None
    updater = _Updater(e, regularised, Patch(e, layout, image), Field(e, layout, probe), out, steps, kept)

    def store(strip, rows, values):
        for row, wave in zip(rows, values, strict=True):
            updater.object_row(strip, row, *updater.probe_row(strip, row, wave, 0))

    def store_modes(strip, rows, finish):
        sums = [[e.variable(e.zero()) for _ in range(4 if regularised else 3)] for _ in rows]
        with e.loop(modes) as mode:
            load, _ = through(e, scratch + mode * layout.strip, layout.unit)
            for row, wave, total in zip(rows, finish(load(None, rows)), sums, strict=True):
                for (get, put), term in zip(total, updater.probe_row(strip, row, wave, mode), strict=True):
                    put(get() + term)
        for row, total in zip(rows, sums, strict=True):
            updater.object_row(strip, row, *[get() for get, _ in total])

    if many:
        with e.loop(layout.strips) as strip:
            with e.loop(modes) as mode:
                rows_inverse(e, layout, strip, buffer + mode * layout.tiles, scratch + mode * layout.strip)
            row_groups(e, layout, lambda rows, finish: store_modes(strip, rows, finish))
    else:
        back(e, layout, work, store)
    return updater.brightest.value()


@intrinsic
def update(
    typingctx,
    n,
    width,
    many,
    regularised,
    apart,
    stateful,
    image,
    probe,
    modes,
    out,
    work,
    steps,
    state,
    projection,
):
    """Rows inverse, then object and probe update; returns max sum |probe|^2 after the update.

    ``steps`` of object and probe are (step, slope, floor): step / (slope * sum|other|^2 + floor) when
    ``regularised``, otherwise just step.  ``apart``: the probe stays, and its increment goes to ``out``.
    ``stateful``: the constrained wave is first `renewed` with the state and ``projection``."""
    arguments = (image, probe, modes, out, work, steps, state, projection)
    return lower(types.float32, (n, width, many, regularised, apart, stateful), arguments, _update)


def _peak(e, layout, probe, modes):
    brightest = Peak(e)
    probe = Field(e, layout, probe)
    with e.loop(layout.strips) as strip, e.loop(layout.n) as row:
        get, put = e.variable(e.zero())
        with e.loop(modes) as mode:
            put(power(probe.mode(mode).load(strip, row), get()))
        brightest.see(get())
    return brightest.value()


@intrinsic
def peak(typingctx, n, width, probe, modes):
    """max sum_m |probe_m|^2."""
    return lower(types.float32, (n, width), (probe, modes), _peak)
