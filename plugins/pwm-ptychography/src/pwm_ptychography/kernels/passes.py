"""The passes of the planar Fourier transform as code generators.

``front``: rows forward (natural rows in, tiles out).  ``middle``: columns forward, a pointwise step on the
spectrum, columns back.  ``back``: rows inverse (tiles in, natural rows out).  The first and last steps are
hooks, so that products, constraints and updates happen in registers between load and store.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .butterflies import butterfly, multiply_conj
from .layout import paired, transposed, unpaired, untransposed


def _twiddles(rows, columns, period, sign):
    """Table ``exp(sign 2 pi i rows[a] columns[b] / period)``, one row of complex numbers per a."""
    phase = sign * 2 * np.pi / period * np.outer(rows, columns)
    return np.stack([np.cos(phase), np.sin(phase)], axis=-1).ravel()


def _load_twiddles(e, table, row, count):
    """``[None, w1, w2 ...]`` from one table row of count - 1 complex numbers."""
    base = row * (2 * (count - 1))
    return [None] + [
        (e.broadcast(table, base + 2 * k), e.broadcast(table, base + 2 * k + 1)) for k in range(count - 1)
    ]


def _split(radices, stage):
    """(prefix, radix, trailing): the extents before, at and after the digit that a stage transforms."""
    return prod(radices[:stage]), radices[stage], prod(radices[stage + 1 :])


def forward_stage(e, frequencies, radices, stage, load, store):
    """Stage ``stage`` of the in-place forward transform over prod(radices) points.

    ``load(group, places)`` and ``store(values, group, places)`` handle the points of one butterfly; ``group``
    numbers the digits before the transformed one."""
    prefix, radix, trailing = _split(radices, stage)
    if stage:
        table = e.table(_twiddles(frequencies(radices[:stage]), range(1, radix), prefix * radix, -1))
    with e.loop(prefix) as group:
        twiddles = _load_twiddles(e, table, group, radix) if stage else None
        with e.loop(trailing) as i:
            places = [group * (radix * trailing) + k * trailing + i for k in range(radix)]
            store(butterfly(load(group, places), -1, twiddles), group, places)


def inverse_stage(e, radices, stage, load, store):
    """The inverse of `forward_stage`; twiddles of later stages are applied before the butterfly."""
    prefix, radix, trailing = _split(radices, stage)
    if trailing > 1:
        table = e.table(_twiddles(range(trailing), range(1, radix), radix * trailing, +1))
    with e.loop(trailing) as i:
        twiddles = _load_twiddles(e, table, i, radix) if trailing > 1 else None
        with e.loop(prefix) as group:
            places = [group * (radix * trailing) + k * trailing + i for k in range(radix)]
            store(butterfly(load(group, places), +1, twiddles), group, places)


def through(e, base, unit):
    """Load and store callbacks for a buffer with one complex vector every ``unit`` floats."""

    def load(_, places):
        return [e.load_pair(base, place * unit) for place in places]

    def store(values, _, places):
        for value, place in zip(values, places, strict=True):
            e.store_pair(value, base, place * unit)

    return load, store


def rows_forward(e, layout, strip, buffer, scratch):
    """All row stages but the first for one strip, from ``scratch`` to tiles."""
    radices, half = layout.radices, layout.half
    load, store = through(e, scratch, layout.unit)

    def store_tiles(values, group, _):
        parts = [paired(e, [value[c] for value in values], half) for c in (0, 1)]
        for q, (re, im) in enumerate(zip(*parts, strict=True)):
            for h in range(half):
                e.store_pair((re[h], im[h]), buffer, layout.tile(group * (8 // half) + q, strip * half + h))

    for stage in range(1, len(radices)):
        last = stage == len(radices) - 1
        forward_stage(e, layout.frequencies, radices, stage, load, store_tiles if last else store)


def rows_inverse(e, layout, strip, buffer, scratch):
    """All row stages but the first (the last one to run), from tiles to ``scratch``."""
    radices, half = layout.radices, layout.half
    load, store = through(e, scratch, layout.unit)

    def load_tiles(group, _):
        tiles = [
            [e.load_pair(buffer, layout.tile(group * (8 // half) + q, strip * half + h)) for h in range(half)]
            for q in range(8 // half)
        ]
        re, im = (unpaired(e, [[tile[c] for tile in row] for row in tiles], half) for c in (0, 1))
        return list(zip(re, im, strict=True))

    for stage in reversed(range(1, len(radices))):
        last = stage == len(radices) - 1
        inverse_stage(e, radices, stage, load_tiles if last else load, store)


def row_groups(e, layout, body):
    """``body(rows, finish)`` for each row set of the first stage; ``finish`` is its inverse butterfly."""
    radix, trailing = layout.radices[0], layout.n // layout.radices[0]
    table = e.table(_twiddles(range(trailing), range(1, radix), layout.n, +1))
    with e.loop(trailing) as i:
        twiddles = _load_twiddles(e, table, i, radix)
        body([k * trailing + i for k in range(radix)], lambda values: butterfly(values, +1, twiddles))


def front(e, layout, load, work):
    """Forward transform of the rows of every strip; ``load(strip, rows)`` gives the input rows.

    ``work`` is the tile buffer and scratch for one strip."""
    buffer, scratch = work
    _, store = through(e, scratch, layout.unit)
    with e.loop(layout.strips) as strip:
        forward_stage(e, layout.frequencies, layout.radices, 0, lambda _, rows: load(strip, rows), store)
        rows_forward(e, layout, strip, buffer, scratch)


def back(e, layout, work, store):
    """Inverse transform of the rows of every strip; ``store(strip, rows, values)`` takes the result."""
    buffer, scratch = work
    load, _ = through(e, scratch, layout.unit)
    with e.loop(layout.strips) as strip:
        rows_inverse(e, layout, strip, buffer, scratch)
        row_groups(e, layout, lambda rows, finish: store(strip, rows, finish(load(None, rows))))


def columns_forward(e, layout, buffer, strip):
    """All column stages but the last for one strip of W rows."""
    radices = layout.radices[:-1]
    with e.loop(8) as p:
        row = buffer + layout.tile(strip * 8 + p, 0)
        for stage in range(len(radices)):
            forward_stage(e, layout.frequencies, radices, stage, *through(e, row, layout.unit))


def columns_inverse(e, layout, buffer, strip):
    radices = layout.radices[:-1]
    with e.loop(8) as p:
        row = buffer + layout.tile(strip * 8 + p, 0)
        for stage in reversed(range(len(radices))):
            inverse_stage(e, radices, stage, *through(e, row, layout.unit))


def spectrum_forward(e, layout, buffer, strip, group, twiddles):
    """The last column stage for one digit prefix: eight complex vectors of the spectrum (lanes are rows)."""
    tiles = [e.load_pair(buffer, layout.tile(strip * 8 + p, group)) for p in range(8)]
    re, im = (transposed(e, [tile[c] for tile in tiles], layout.half) for c in (0, 1))
    return butterfly(list(zip(re, im, strict=True)), -1, twiddles)


def spectrum_inverse(e, layout, values, buffer, strip, group, twiddles):
    values = butterfly(values, +1)
    values = values[:1] + [multiply_conj(v, w) for v, w in zip(values[1:], twiddles[1:], strict=True)]
    re, im = (untransposed(e, [value[c] for value in values], layout.half) for c in (0, 1))
    for p, value in enumerate(zip(re, im, strict=True)):
        e.store_pair(value, buffer, layout.tile(strip * 8 + p, group))


def column_twiddles(e, layout):
    """A function of the digit prefix that loads the twiddles of the last column stage."""
    table = e.table(_twiddles(layout.frequencies(layout.radices[:-1]), range(1, 8), layout.n, -1))
    return lambda group: _load_twiddles(e, table, group, 8)


def middle(e, layout, buffer, pointwise, forward=True, inverse=True):
    """Columns forward, ``pointwise(strip, group, values) -> values`` on eight spectrum vectors, columns back.

    The eight start at place ``layout.spectrum(strip, group)`` of arrays in spectrum order.  Without
    ``forward`` the values passed are None, without ``inverse`` nothing is done with the result."""
    twiddles_of = column_twiddles(e, layout)
    with e.loop(layout.strips) as strip:
        if forward:
            columns_forward(e, layout, buffer, strip)
        with e.loop(layout.columns) as group:
            twiddles = twiddles_of(group)
            values = spectrum_forward(e, layout, buffer, strip, group, twiddles) if forward else None
            values = pointwise(strip, group, values)
            if inverse:
                spectrum_inverse(e, layout, values, buffer, strip, group, twiddles)
        if inverse:
            columns_inverse(e, layout, buffer, strip)
