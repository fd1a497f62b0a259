"""Vectors of float32 of a fixed width in the code that numba generates, whatever the machine's registers.

LLVM's own vectoriser leaves the kernels of BM3D several times slower than the vector instructions written
out; an intrinsic that uses these classes emits them directly; LLVM splits them where registers are narrower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba.extending
from llvmlite import ir
from numba.core import cgutils, types

LANES = 16

_F32, _I32, _I64, _MASK = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.IntType(LANES)
_FLAGS = ("nsz", "contract")


class Vector:
    """Some float32 with arithmetic lane by lane; a Python number stands for equal lanes."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _other(self, other: Vector | float) -> Any:
        if isinstance(other, Vector):
            return other.value
        return ir.Constant(self.value.type, [float(other)] * self.value.type.count)

    def _apply(self, name: str, other: Vector | float) -> Vector:
        return Vector(self.builder, getattr(self.builder, name)(self.value, self._other(other), flags=_FLAGS))

    def __add__(self, other: Vector | float) -> Vector:
        return self._apply("fadd", other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self._apply("fsub", other)

    def __mul__(self, other: Vector | float) -> Vector:
        return self._apply("fmul", other)

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._apply("fdiv", other)

    def plus_product(self, a: Vector | float, b: Vector | float) -> Vector:
        """``self + a b``, fused where the machine can."""
        kind = self.value.type
        name = f"llvm.fmuladd.v{kind.count}f32"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(kind, [kind] * 3), name
        )
        return Vector(self.builder, self.builder.call(function, [self._other(a), self._other(b), self.value]))

    def above(self, limit: Vector | float) -> Any:
        """The lanes greater than ``limit``, as the bits of an integer."""
        return self._bits(">", limit)

    def below(self, limit: Vector | float) -> Any:
        """The lanes less than ``limit``, as the bits of an integer."""
        return self._bits("<", limit)

    def _bits(self, relation: str, limit: Vector | float) -> Any:
        lanes = self.builder.fcmp_ordered(relation, self.value, self._other(limit))
        return self.builder.bitcast(lanes, _MASK)

    def where(self, bits: Any) -> Vector:
        """The lanes whose bit is set, zero in the others."""
        lanes = self.builder.bitcast(bits, ir.VectorType(ir.IntType(1), LANES))
        return Vector(self.builder, self.builder.select(lanes, self.value, self._other(0.0)))

    def shuffle(self, other: Vector, lanes: Sequence[int]) -> Vector:
        """These lanes of the two vectors laid end to end."""
        order = ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes))
        return Vector(self.builder, self.builder.shuffle_vector(self.value, other.value, order))

    def sum(self) -> Any:
        """The sum of the lanes, a scalar."""
        vector, width = self, self.value.type.count
        while width > 1:
            width //= 2
            vector = vector.shuffle(vector, range(width)) + vector.shuffle(vector, range(width, 2 * width))
        return self.builder.extract_element(vector.value, ir.Constant(_I32, 0))


class Memory:
    """A flat float32 array from one element on."""

    def __init__(self, builder: Any, address: Any) -> None:
        self.builder, self.address = builder, address

    def at(self, offset: Any) -> Memory:
        """The same array from a later element on."""
        index = ir.Constant(_I64, offset) if isinstance(offset, int) else offset
        return Memory(self.builder, self.builder.gep(self.address, [index]))

    def load(self, lanes: int = LANES) -> Vector:
        pointer = self.builder.bitcast(self.address, ir.VectorType(_F32, lanes).as_pointer())
        return Vector(self.builder, self.builder.load(pointer, align=4))

    def store(self, vector: Vector) -> None:
        pointer = self.builder.bitcast(self.address, vector.value.type.as_pointer())
        self.builder.store(vector.value, pointer, align=4)

    def spread(self) -> Vector:
        """The first element in every lane."""
        return spread(self.builder, self.builder.load(self.address))


def spread(builder: Any, scalar: Any) -> Vector:
    """A scalar in every lane."""
    kind = ir.VectorType(_F32, LANES)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
    return Vector(builder, builder.shuffle_vector(first, nothing, zeros))


def intrinsic(result: Any, generate: Callable[..., Any], arguments: Sequence[Any], *literals: Any) -> Any:
    """Signature and code of a numba intrinsic with compile-time integers first, then ``arguments``.

    ``generate(builder, *literals, *values)`` gets arrays as :class:`Memory`, numbers as IR values, and
    returns an IR value of type ``result``, or None.
    """
    if not all(isinstance(literal, types.IntegerLiteral) for literal in literals):
        return None
    constants = [literal.literal_value for literal in literals]

    def code(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        kinds = signature.args[len(constants) :]
        rest = [
            Memory(builder, context.make_array(kind)(context, builder, value).data)
            if isinstance(kind, types.Array)
            else value
            for kind, value in zip(kinds, values[len(constants) :], strict=True)
        ]
        found = generate(builder, *constants, *rest)
        return context.get_dummy_value() if found is None else found

    return result(*literals, *(types.unliteral(kind) for kind in arguments)), code


kernel: Any = numba.extending.intrinsic(prefer_literal=True)
