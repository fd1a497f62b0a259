"""Probes that are a coherent sum of components, weighted differently at each position, as numba intrinsics.

Components are fields or spectra, ``2 n^2`` floats each, one after the other; both are made of vectors of W
real and W imaginary parts, in whatever order (see `arrays`).
"""

from __future__ import annotations

from numba.core import types

from .butterflies import add, multiply, multiply_conj
from .elements import TINY, Total, power
from .functions import reciprocal
from .lowering import intrinsic, lower
from .vector import F32

RELAX = 0.1  # part by which the weights of a position follow what it asks for


def _blend(e, layout, components, count, weights, out):
    zero = e.zero(), e.zero()
    with e.loop(layout.strips * layout.n) as place:
        sums = [e.variable(part) for part in zero]
        with e.loop(count) as k:
            value = e.load_pair(components, k * (2 * layout.n**2) + place * layout.unit)
            for (get, put), term in zip(sums, multiply(value, _weight(e, weights, k)), strict=True):
                put(get() + term)
        e.store_pair(tuple(get() for get, _ in sums), out, place * layout.unit)


@intrinsic
def blend(typingctx, n, width, components, count, weights, out):
    """out = sum_k weights[k] component_k; ``weights`` are pairs of floats."""
    return lower(types.none, (n, width), (components, count, weights, out), _blend)


def _share(e, layout, components, count, weights, step):
    get, put = e.variable(e.constant(TINY))
    with e.loop(count) as k:
        put(power(_weight(e, weights, k), get()))
    norm = reciprocal(e, get())
    with e.loop(count) as k:
        own, component = _weight(e, weights, k), components + k * (2 * layout.n**2)
        size, *wanted = _take_up(e, layout, component, step, (own[0] * norm, -own[1] * norm))
        floor = size.type(TINY)
        size = e.builder.select(e.builder.fcmp_ordered(">", size, floor), size, floor)
        for part, overlap in enumerate(wanted):
            change = e.builder.fdiv(e.builder.fmul(overlap, overlap.type(RELAX)), size)
            e.add_scalar(e.builder.fptrunc(change, F32), weights, k * 2 + part)


def _weight(e, weights, k):
    return e.broadcast(weights, k * 2), e.broadcast(weights, k * 2 + 1)


def _take_up(e, layout, component, step, factor):
    """component += factor step; returns |component|^2 and <component, step> (re, im) before that."""
    totals = [Total(e) for _ in range(3)]
    with e.loop(layout.strips) as strip:
        parts = [e.variable(e.zero()) for _ in totals]
        with e.loop(layout.n) as row:
            place = (strip * layout.n + row) * layout.unit
            value, change = e.load_pair(component, place), e.load_pair(step, place)
            terms = power(value), *multiply_conj(change, value)
            for (get, put), term in zip(parts, terms, strict=True):
                put(get() + term)
            e.store_pair(add(value, multiply(change, factor)), component, place)
        for total, (get, _) in zip(totals, parts, strict=True):
            total.add(get())
    return [total.value() for total in totals]


@intrinsic
def share_step(typingctx, n, width, components, count, weights, step):
    """Share the step of a probe out between its components and their weights u.

    component_k += conj(u_k) / |u|^2 step and u_k += RELAX <component_k, step> / |component_k|^2, both from
    the old values (Odstrcil et al. 2016, doi:10.1364/OE.24.008360)."""
    return lower(types.none, (n, width), (components, count, weights, step), _share)
