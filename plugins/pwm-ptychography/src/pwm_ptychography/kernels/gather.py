"""Sums over positions, for methods that update everything at once, as numba intrinsics (see `steps`)."""

from __future__ import annotations

from numba.core import types

from .arrays import Field, Patch
from .butterflies import multiply, multiply_conj, sub
from .elements import Total, minus_product, power, scaled
from .lowering import intrinsic, lower
from .passes import back
from .steps import renewed


def real_product(a, b):
    """Re conj(a) b."""
    return a[0].fma(b[0], a[1] * b[1])


class _RowSums:
    """Adds one row of one mode to the sums over positions."""

    def __init__(self, e, layout, weights, track, patch, sums, lead):
        object_sums, probe_sums, self.probe_weights = sums
        self.e, self.layout, self.weights, self.track, self.patch = e, layout, weights, track, patch
        self.object_sums, self.probe_sums = Patch(e, layout, object_sums), Field(e, layout, probe_sums)
        self.lead = lead

    def add(self, strip, row, o, p, change):
        """Add conj(p) change and conj(o) change; returns this row's terms of the displacement equations."""
        weight = [power(p)] if self.weights else []
        self.object_sums.add(strip, row, *multiply_conj(change, p), *weight)
        self.probe_sums.add(strip, row, multiply_conj(change, o))
        if self.weights:
            place = (strip * self.layout.n + row) * self.layout.width
            self.e.accumulate(power(o) * self.lead, self.probe_weights, place)
        return self._moves(strip, row, p, change) if self.track else []

    def _moves(self, strip, row, p, change):
        def slope(ahead, behind):
            difference = sub(self.patch.load(strip, row, *ahead), self.patch.load(strip, row, *behind))
            return multiply(p, scaled(difference, 0.5))

        down, right = slope((1, 0), (-1, 0)), slope((0, 1), (0, -1))
        right_hand = [real_product(down, change), real_product(right, change)]
        return [*right_hand, power(down), power(right), real_product(down, right)]


def _gather(e, layout, stateful, weights, track, image, probe, state, projection, work, sums, lead, moves):
    patch, probe, state = Patch(e, layout, image), Field(e, layout, probe), Field(e, layout, state)
    totals = [Total(e) for _ in range(5)] if track else []
    row_sums = _RowSums(e, layout, weights, track, patch, sums, lead)

    def change_of(strip, row, wave, o, p):
        if not stateful:
            return minus_product(wave, o, p)
        return renewed(state, projection, 0, strip, row, wave, o, p)

    def store(strip, rows, values):
        terms = [e.zero() for _ in totals]
        for row, wave in zip(rows, values, strict=True):
            o, p = patch.load(strip, row), probe.load(strip, row)
            added = row_sums.add(strip, row, o, p, change_of(strip, row, wave, o, p))
            terms = [t + new for t, new in zip(terms, added, strict=True)]
        for total, term in zip(totals, terms, strict=True):
            total.add(term)

    back(e, layout, work, store)
    for k, total in enumerate(totals):
        e.add_scalar(total.value(), moves, k)


@intrinsic
def gather(
    typingctx, n, width, stateful, weights, track, image, probe, state, projection, work, sums, lead, moves
):
    """Rows inverse for one mode, then sums of conj(probe) chi and conj(patch) chi.

    chi is the change of the exit wave or, if ``stateful``, the whole new exit wave, which is the state
    `steps.renewed` with ``projection``.

    ``sums``: an object's patch, a field, and real rows in strip order, which with ``weights`` gain |patch|^2
    times ``lead``, while a third plane of the object gains |probe|^2.
    ``track``: ``moves`` (5, float64) gain the normal equations of a displacement (row, column) of the patch:
    two right-hand sides, then the row-row, column-column and row-column coefficients."""
    arguments = (image, probe, state, projection, work, sums, lead, moves)
    return lower(types.none, (n, width, stateful, weights, track), arguments, _gather)


def _overlap(e, layout, image, probe, state, sums, lead):
    patch, probe, state = Patch(e, layout, image), Field(e, layout, probe), Field(e, layout, state)
    rows = _RowSums(e, layout, True, False, patch, sums, lead)
    with e.loop(layout.strips) as strip, e.loop(layout.n) as row:
        rows.add(strip, row, patch.load(strip, row), probe.load(strip, row), state.load(strip, row))


@intrinsic
def overlap(typingctx, n, width, image, probe, state, sums, lead):
    """The sums of `gather` with weights for given exit waves (``state``), without any transform."""
    return lower(types.none, (n, width), (image, probe, state, sums, lead), _overlap)


def _products(e, layout, image, probe, towards, direction, state, totals):
    patch, probe, state = Patch(e, layout, image), Field(e, layout, probe), Field(e, layout, state)
    towards, direction = Patch(e, layout, towards), Field(e, layout, direction)
    sums = [Total(e) for _ in range(5)]
    with e.loop(layout.strips) as strip:
        parts = [e.variable(e.zero()) for _ in sums]
        with e.loop(layout.n) as row:
            by_object = multiply(towards.load(strip, row), probe.load(strip, row))
            by_probe = multiply(direction.load(strip, row), patch.load(strip, row))
            change = state.load(strip, row)
            terms = [
                *(real_product(by_object, change), real_product(by_probe, change)),
                *(power(by_object), power(by_probe), real_product(by_object, by_probe)),
            ]
            for (get, put), term in zip(parts, terms, strict=True):
                put(get() + term)
        for total, (get, _) in zip(sums, parts, strict=True):
            total.add(get())
    for k, total in enumerate(sums):
        e.add_scalar(total.value(), totals, k)


@intrinsic
def products(typingctx, n, width, image, probe, towards, direction, state, totals):
    """Add Re<a, state>, Re<b, state>, |a|^2, |b|^2 and Re<a, b> to ``totals`` (5, float64), for one mode.

    a = towards * probe and b = patch * direction are what steps of object and probe change the exit wave by.
    """
    arguments = (image, probe, towards, direction, state, totals)
    return lower(types.none, (n, width), arguments, _products)
