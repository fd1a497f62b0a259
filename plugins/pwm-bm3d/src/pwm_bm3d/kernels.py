"""The inner steps of BM3D as numba intrinsics: distances of patches, transforms, shrinkage, aggregation.

Images come flat, with ``stride`` elements from row to row; a patch is named by the index of its first pixel.
Noise has standard deviation one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from .transforms import (
    AREA,
    PATCH,
    backward,
    forward,
    haar,
    halves,
    inverse_haar,
    levels,
    two_patches,
)
from .vectors import LANES, intrinsic, kernel, spread

_I64 = ir.IntType(64)


@kernel
def column_distances(typingctx, image, stride, reference, candidate, chunks, out):
    """Squared distances of the column of 8 pixels at ``reference`` to those at ``candidate`` and beside it.

    ``chunks`` times 16 of them are written to ``out``.
    """

    def generate(
        builder: Any, image: Any, stride: Any, reference: Any, candidate: Any, chunks: Any, out: Any
    ) -> None:
        a, rows, pixels = image.at(reference), [image.at(candidate)], []
        for i in range(PATCH):
            pixels.append(a.spread())
            a = a.at(stride)
            if i:
                rows.append(rows[-1].at(stride))
        with cgutils.for_range(builder, chunks, intp=_I64) as loop:
            place = builder.mul(loop.index, ir.Constant(_I64, LANES))
            total = spread(builder, ir.Constant(ir.FloatType(), 0.0))
            for row, pixel in zip(rows, pixels, strict=True):
                d = row.at(place).load() - pixel
                total = total.plus_product(d, d)
            out.at(place).store(total)

    return intrinsic(types.none, generate, (image, stride, reference, candidate, chunks, out))


@kernel
def add_columns(typingctx, columns, size, start, chunks, out):
    """Sum 8 tables of ``size`` that lie end to end: ``chunks`` times 16 elements from ``start`` on."""

    def generate(builder: Any, columns: Any, size: Any, start: Any, chunks: Any, out: Any) -> None:
        columns, out = columns.at(start), out.at(start)
        with cgutils.for_range(builder, chunks, intp=_I64) as loop:
            place = builder.mul(loop.index, ir.Constant(_I64, LANES))
            table = columns.at(place)
            total = table.load()
            for _ in range(PATCH - 1):
                table = table.at(size)
                total = total + table.load()
            out.at(place).store(total)

    return intrinsic(types.none, generate, (columns, size, start, chunks, out))


@kernel
def below(typingctx, table, start, limit):
    """The bits of those of 16 numbers, from ``start`` on, that are less than ``limit``."""

    def generate(builder: Any, table: Any, start: Any, limit: Any) -> Any:
        return builder.zext(table.at(start).load().below(spread(builder, limit)), _I64)

    return intrinsic(types.int64, generate, (table, start, limit))


@kernel
def lowest_bit(typingctx, bits):
    """The number of zeros below the lowest bit that is set."""

    def generate(builder: Any, bits: Any) -> Any:
        return builder.cttz(bits, ir.Constant(ir.IntType(1), 1))

    return intrinsic(types.int64, generate, (bits,))


@kernel
def transform_two(typingctx, kind, image, stride, first, second, group, place):
    """Write the transforms of two patches to ``group`` (patch, 64), from element ``place`` on."""

    def generate(
        builder: Any, kind: int, image: Any, stride: Any, first: Any, second: Any, group: Any, place: Any
    ) -> None:
        group = group.at(place)
        rows = two_patches(image.at(first), image.at(second), stride)
        for k, row in enumerate(forward(kind, rows)):
            for patch, half in enumerate(halves(row)):
                group.at(AREA * patch + PATCH * k).store(half)

    return intrinsic(types.none, generate, (image, stride, first, second, group, place), kind)


@kernel
def add_two(typingctx, kind, group, place, window, total, stride, first, second):
    """Transform two patches back and add them, weighted by ``window`` (8, 8), to the flat image ``total``."""

    def generate(
        builder: Any,
        kind: int,
        group: Any,
        place: Any,
        window: Any,
        total: Any,
        stride: Any,
        first: Any,
        second: Any,
    ) -> None:
        group = group.at(place)
        parts = [[group.at(AREA * p + PATCH * k).load(PATCH) for k in range(PATCH)] for p in (0, 1)]
        rows = backward(kind, [a.shuffle(b, range(LANES)) for a, b in zip(*parts, strict=True)])
        both = [halves(row) for row in rows]
        for patch, start in enumerate((first, second)):
            target = total.at(start)
            for k in range(PATCH):
                weight = window.at(PATCH * k).load(PATCH)
                target.store(target.load(PATCH).plus_product(both[k][patch], weight))
                target = target.at(stride)

    return intrinsic(types.none, generate, (group, place, window, total, stride, first, second), kind)


@kernel
def shrink_hard(typingctx, n, group, threshold):
    """Hard-threshold the Haar transform of a group of ``n`` in place; how many coefficients were kept.

    The mean of the group is always among them.
    """

    def generate(builder: Any, n: int, group: Any, threshold: Any) -> Any:
        kept = cgutils.alloca_once_value(builder, ir.Constant(_I64, 0))
        limits = [spread(builder, threshold) * 2 ** (level / 2) for level in range(n.bit_length())]
        with cgutils.for_range(builder, ir.Constant(_I64, AREA // LANES), intp=_I64) as loop:
            chunk = group.at(builder.mul(loop.index, ir.Constant(_I64, LANES)))
            elements = haar([chunk.at(AREA * i).load() for i in range(n)])
            count = builder.load(kept)
            for i, element in enumerate(elements):
                level = levels(i, n)
                square, limit = element * element, limits[level] * limits[level]
                bits = square.above(limit)
                if i == 0:
                    bits = builder.or_(bits, _first_chunk(builder, loop.index))
                count = builder.add(count, builder.zext(builder.ctpop(bits), _I64))
                elements[i] = (element * 0.5**level).where(bits)
            builder.store(count, kept)
            for i, element in enumerate(inverse_haar(elements)):
                chunk.at(AREA * i).store(element)
        return builder.load(kept)

    return intrinsic(types.int64, generate, (group, threshold), n)


@kernel
def shrink_wiener(typingctx, n, group, pilot):
    """Filter the Haar transform of a group of ``n`` in place by Wiener's rule with the powers of ``pilot``.

    Returns the sum of the squared factors; that of the mean of the group is one.
    """

    def generate(builder: Any, n: int, group: Any, pilot: Any) -> Any:
        zero = spread(builder, ir.Constant(ir.FloatType(), 0.0))
        total = cgutils.alloca_once_value(builder, zero.value)
        with cgutils.for_range(builder, ir.Constant(_I64, AREA // LANES), intp=_I64) as loop:
            start = builder.mul(loop.index, ir.Constant(_I64, LANES))
            chunk = group.at(start)
            factors = haar([pilot.at(start).at(AREA * i).load() for i in range(n)])
            energy = type(zero)(builder, builder.load(total))
            for i, element in enumerate(factors):
                power = element * element
                noise = spread(builder, ir.Constant(ir.FloatType(), float(2 ** levels(i, n))))
                if i == 0:  # no noise in the mean of the group: its factor is one
                    noise = noise.where(builder.not_(_first_chunk(builder, loop.index)))
                    power = power + 1e-30
                factors[i] = power / (power + noise)
                energy = energy.plus_product(factors[i], factors[i])
            builder.store(energy.value, total)
            elements = haar([chunk.at(AREA * i).load() for i in range(n)])
            scaled = [
                e * f * 0.5 ** levels(i, n) for i, (e, f) in enumerate(zip(elements, factors, strict=True))
            ]
            for i, element in enumerate(inverse_haar(scaled)):
                chunk.at(AREA * i).store(element)
        return type(zero)(builder, builder.load(total)).sum()

    return intrinsic(types.float32, generate, (group, pilot), n)


def _first_chunk(builder: Any, index: Any) -> Any:
    """The bit of the lane that holds the mean, in the first chunk of coefficients."""
    return builder.zext(builder.icmp_signed("==", index, ir.Constant(_I64, 0)), ir.IntType(LANES))
