"""Reciprocal, square root and logarithm of vectors, from the machine's estimates where it has them."""

from __future__ import annotations

import math

from llvmlite import ir
from numba.core import cgutils

from .vector import I32, Emit, Vec


def _estimate(e: Emit, name: str, vec: Vec) -> Vec | None:
    """The machine's reciprocal-type estimate of ``vec``, or None."""
    if e.width == 16 and "avx512f" in e.features:
        full, args = f"llvm.x86.avx512.{name}14.ps.512", [e.type, e.type, ir.IntType(16)]
        values = [vec.value, vec.value, ir.Constant(ir.IntType(16), -1)]
    elif e.width == 8 and "avx" in e.features:
        full, args, values = f"llvm.x86.avx.{name}.ps.256", [e.type], [vec.value]
    else:
        return None
    function = cgutils.get_or_insert_function(e.builder.module, ir.FunctionType(e.type, args), full)
    return Vec(e, e.builder.call(function, values))


def rsqrt(e: Emit, vec: Vec) -> Vec:
    """``1 / sqrt(vec)`` for positive normal numbers, relative error below 4e-7."""
    guess = _estimate(e, "rsqrt", vec)
    if guess is None:
        return Vec(e, e.builder.fdiv(e.constant(1.0).value, e.call("llvm.sqrt", vec).value))
    return guess * (guess * guess * vec).fma(-0.5, e.constant(1.5))


def reciprocal(e: Emit, vec: Vec) -> Vec:
    """``1 / vec`` for normal numbers, relative error below 4e-7."""
    guess = _estimate(e, "rcp", vec)
    if guess is None:
        return Vec(e, e.builder.fdiv(e.constant(1.0).value, vec.value))
    return guess * (guess * vec).fnma(1.0, e.constant(2.0))


def log(e: Emit, vec: Vec) -> Vec:
    """Natural logarithm of positive normal numbers, relative error below 3e-7 (absolute near 1)."""
    b, ints = e.builder, ir.VectorType(I32, e.width)

    def whole(number: int) -> ir.Constant:
        return ir.Constant(ints, [number] * e.width)

    bits = b.sub(b.bitcast(vec.value, ints), whole(0x3F3504F3))  # split at sqrt(1/2)
    exponent = Vec(e, b.sitofp(b.ashr(bits, whole(23)), e.type))
    mantissa = Vec(e, b.bitcast(b.add(b.and_(bits, whole(0x7FFFFF)), whole(0x3F3504F3)), e.type))
    s = (mantissa - 1.0) * reciprocal(e, mantissa + 1.0)
    square = s * s
    series = e.constant(2 / 9)
    for divisor in (7, 5, 3):
        series = series.fma(square, e.constant(2 / divisor))
    small = (s * square).fma(series, s * 2.0)
    return exponent.fma(math.log(2), small)
