"""Steps for near-field propagation and for probes at fractional positions, as numba intrinsics (see `steps`).

``ramps`` are the phase ramps ``[rows re, im, columns re, im][n]`` of one position, from `plan.Plan.ramps`.
"""

from __future__ import annotations

from numba.core import types

from .arrays import Field, Spectrum
from .butterflies import add, butterfly, multiply, multiply_conj
from .elements import TINY, Total, constraint, power, scaled
from .lowering import intrinsic, lower
from .passes import back, front, middle, row_groups, rows_forward, rows_inverse, through


def _ramp(e, layout, ramps, strip, group):
    """Phase factors of eight spectrum vectors: a row part per lane times a column part per vector."""
    lanes = strip * layout.width
    across = e.load(ramps, lanes), e.load(ramps, lanes + layout.n)
    places = [group * 8 + (2 * layout.n + b) for b in range(8)]
    return [multiply(across, (e.broadcast(ramps, p), e.broadcast(ramps, p + layout.n))) for p in places]


def filtered(e, layout, conjugate, moved, kernel, ramps, tiles):
    """Columns forward, product with the kernel or its conjugate, columns inverse."""
    product, kernel = multiply_conj if conjugate else multiply, Spectrum(e, layout, kernel)

    def pointwise(strip, group, values):
        transfer = kernel.load(strip, group)
        if moved:
            factors = _ramp(e, layout, ramps, strip, group)
            transfer = [multiply_conj(t, f) for t, f in zip(transfer, factors, strict=True)]
        return [product(v, t) for v, t in zip(values, transfer, strict=True)]

    middle(e, layout, tiles, pointwise)


def _constrain_rows(e, layout, poisson, measured, relax, background, modes, work):
    """Rows inverse, a step towards the data in real space, rows forward."""
    misfit, background = Total(e), background + TINY
    (amplitudes, gain), (buffer, scratch) = measured, work

    def group_of_rows(strip, rows, finish):
        sums = [e.variable(background) for _ in rows]
        with e.loop(modes) as mode:
            load, store = through(e, scratch + mode * layout.strip, layout.unit)
            values = finish(load(None, rows))
            for value, (get, put) in zip(values, sums, strict=True):
                put(power(value, get()))
            store(values, None, rows)
        multipliers, misfits = [], e.zero()
        for row, (get, _) in zip(rows, sums, strict=True):
            amplitude = e.load(amplitudes, (strip * layout.n + row) * layout.width) * gain
            change, distance = constraint(e, poisson, 1.0, get(), amplitude)
            multipliers.append(change.fma(relax, e.constant(1.0)))
            misfits = misfits + distance
        misfit.add(misfits)
        with e.loop(modes) as mode:
            load, store = through(e, scratch + mode * layout.strip, layout.unit)
            values = [scaled(v, f) for v, f in zip(load(None, rows), multipliers, strict=True)]
            store(butterfly(values, -1), None, rows)

    with e.loop(layout.strips) as strip:
        with e.loop(modes) as mode:
            rows_inverse(e, layout, strip, buffer + mode * layout.tiles, scratch + mode * layout.strip)
        row_groups(e, layout, lambda rows, finish: group_of_rows(strip, rows, finish))
        with e.loop(modes) as mode:
            rows_forward(e, layout, strip, buffer + mode * layout.tiles, scratch + mode * layout.strip)
    return misfit.value()


def _constrain_near(e, layout, poisson, moved, measured, relax, background, kernel, ramps, modes, work):
    with e.loop(modes) as mode:
        filtered(e, layout, False, moved, kernel, ramps, work[0] + mode * layout.tiles)
    misfit = _constrain_rows(e, layout, poisson, measured, relax, background, modes, work)
    with e.loop(modes) as mode:
        filtered(e, layout, True, moved, kernel, ramps, work[0] + mode * layout.tiles)
    return misfit


@intrinsic
def constrain_near(
    typingctx, n, width, poisson, moved, measured, relax, background, kernel, ramps, modes, work
):
    """From transformed rows: propagation, a step of ``relax`` towards the data, propagation back.

    Returns the misfit.  Amplitudes are in strip order, ``[strip][row][W]``.

    With ``moved`` the kernel is multiplied by the conjugate of the phase ramps, which moves the wave from the
    pixels of its patch back to those of the detector."""
    arguments = (measured, relax, background, kernel, ramps, modes, work)
    return lower(types.float64, (n, width, poisson, moved), arguments, _constrain_near)


def _inverse(e, layout, load, scale, work, target):
    """Inverse transform of the spectrum that ``load(strip, group)`` gives, times ``scale``, to a field."""

    def store(strip, rows, values):
        for row, value in zip(rows, values, strict=True):
            target.store(strip, row, value if scale == 1 else scaled(value, scale))

    middle(e, layout, work[0], lambda strip, group, _: load(strip, group), forward=False)
    back(e, layout, work, store)


def _forward(e, layout, source, work, store):
    """Transform of a field to a spectrum that ``store(strip, group, values)`` takes."""
    front(e, layout, source.load_rows, work)
    middle(e, layout, work[0], store, inverse=False)


def _shift(e, layout, spectrum, modes, ramps, work, probe):
    spectrum, probe = Spectrum(e, layout, spectrum), Field(e, layout, probe)
    with e.loop(modes) as mode:

        def load(strip, group):
            factors = _ramp(e, layout, ramps, strip, group)
            values = spectrum.mode(mode).load(strip, group)
            return [multiply(v, f) for v, f in zip(values, factors, strict=True)]

        _inverse(e, layout, load, 1.0 / layout.n**2, work, probe.mode(mode))


@intrinsic
def shift_probe(typingctx, n, width, spectrum, modes, ramps, work, probe):
    """Probe (strip order) from its spectrum times phase ramps."""
    return lower(types.none, (n, width), (spectrum, modes, ramps, work, probe), _shift)


def _unshift(e, layout, increment, modes, ramps, work, spectrum):
    spectrum, increment = Spectrum(e, layout, spectrum), Field(e, layout, increment)
    with e.loop(modes) as mode:
        target = spectrum.mode(mode)

        def store(strip, group, values):
            factors = _ramp(e, layout, ramps, strip, group)
            moved = [multiply_conj(v, f) for v, f in zip(values, factors, strict=True)]
            target.store(strip, group, [add(*v) for v in zip(target.load(strip, group), moved, strict=True)])

        _forward(e, layout, increment.mode(mode), work, store)


@intrinsic
def unshift_increment(typingctx, n, width, increment, modes, ramps, work, spectrum):
    """Add an increment of the shifted probe, shifted back, to the probe's spectrum."""
    return lower(types.none, (n, width), (increment, modes, ramps, work, spectrum), _unshift)


def _to_spectrum(e, layout, field, work, spectrum):
    _forward(e, layout, Field(e, layout, field), work, Spectrum(e, layout, spectrum).store)


@intrinsic
def to_spectrum(typingctx, n, width, field, work, spectrum):
    """Unnormalised forward transform of one field in strip order to a spectrum in spectrum order."""
    return lower(types.none, (n, width), (field, work, spectrum), _to_spectrum)


def _from_spectrum(e, layout, spectrum, work, field):
    load = Spectrum(e, layout, spectrum).load
    _inverse(e, layout, load, 1, work, Field(e, layout, field))


@intrinsic
def from_spectrum(typingctx, n, width, spectrum, work, field):
    """Unnormalised inverse transform of one spectrum in spectrum order to a field in strip order."""
    return lower(types.none, (n, width), (spectrum, work, field), _from_spectrum)
