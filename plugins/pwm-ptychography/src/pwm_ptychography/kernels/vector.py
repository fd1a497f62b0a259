"""Short SIMD vectors for numba: a thin layer over the IR builder that an intrinsic is handed.

Code generators in this package are ordinary Python functions over `Vec` and `Int` values.  While numba lowers
an intrinsic they run once and leave fixed-width vector instructions behind, so nothing depends on the
auto-vectoriser or on alias analysis.  LLVM lowers the same vectors to whatever the machine has (AVX-512,
AVX2, SSE2, NEON ...).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core.registry import cpu_target

F32 = ir.FloatType()
I64 = ir.IntType(64)
I32 = ir.IntType(32)
FLAGS = ("nsz", "contract")


def single(value: float) -> float:
    """The number rounded to float32."""
    return float(np.float32(value))


def target_features() -> set[str]:
    """The instruction-set features numba compiles for, as a set of names without their sign."""
    text = cpu_target.target_context.codegen().magic_tuple()[2]
    return {name[1:] for name in text.split(",") if name.startswith("+")}


def native_width() -> int:
    """Floats per vector: 16 with AVX-512, otherwise 8 (LLVM splits them where registers are narrower)."""
    return 16 if "avx512f" in target_features() else 8


class Int:
    """A 64-bit index, known at compile time or at run time."""

    __slots__ = ("emit", "value")

    def __init__(self, emit: Emit, value: Any) -> None:
        self.emit, self.value = emit, value

    def _binary(self, other: Any, name: str) -> Int:
        operation = getattr(self.emit.builder, name)
        return Int(self.emit, operation(self.value, self.emit.index(other), flags=("nsw",)))

    def __add__(self, other: Any) -> Int:
        return self if isinstance(other, int) and other == 0 else self._binary(other, "add")

    def __mul__(self, other: Any) -> Int:
        return self if isinstance(other, int) and other == 1 else self._binary(other, "mul")

    __radd__, __rmul__ = __add__, __mul__


class Pointer:
    """The address of a float32; adding an index moves it."""

    __slots__ = ("emit", "value")

    def __init__(self, emit: Emit, value: Any) -> None:
        self.emit, self.value = emit, value

    def __add__(self, offset: Any) -> Pointer:
        return Pointer(self.emit, self.emit.pointer(self, offset))


class Vec:
    """A vector of floats with contracted (fused where possible) arithmetic."""

    __slots__ = ("emit", "value")

    def __init__(self, emit: Emit, value: Any) -> None:
        self.emit, self.value = emit, value

    def _binary(self, other: Vec | float, name: str) -> Vec:
        other = other if isinstance(other, Vec) else self.emit.constant(other)
        return Vec(self.emit, getattr(self.emit.builder, name)(self.value, other.value, flags=FLAGS))

    def __add__(self, other: Vec | float) -> Vec:
        return self._binary(other, "fadd")

    def __sub__(self, other: Vec | float) -> Vec:
        return self._binary(other, "fsub")

    def __mul__(self, other: Vec | float) -> Vec:
        return self._binary(other, "fmul")

    def __neg__(self) -> Vec:
        return Vec(self.emit, self.emit.builder.fneg(self.value))

    def fma(self, factor: Vec | float, addend: Vec | float) -> Vec:
        """``self * factor + addend``."""
        return self.emit.call("llvm.fmuladd", self, factor, addend)

    def fnma(self, factor: Vec | float, addend: Vec | float) -> Vec:
        """``addend - self * factor``."""
        return self.emit.call("llvm.fmuladd", -self, factor, addend)


class Emit:
    """Emits instructions for vectors of ``width`` floats at the builder's current position."""

    def __init__(self, context: Any, builder: Any, width: int) -> None:
        self.context, self.builder, self.width = context, builder, width
        self.type = ir.VectorType(F32, width)
        self.features = target_features()

    # -- integers and control flow
    def index(self, value: Any) -> Any:
        if isinstance(value, Int):
            return value.value
        return ir.Constant(I64, value) if isinstance(value, int) else value

    @contextmanager
    def loop(self, count: Any) -> Iterator[Any]:
        """``for i in range(count)``; a single iteration needs no loop."""
        if isinstance(count, int) and count == 1:
            yield 0
            return
        with cgutils.for_range(self.builder, self.index(count), intp=I64) as loop:
            yield Int(self, loop.index)

    # -- memory
    def pointer(self, base: Pointer, offset: Any) -> Any:
        return self.builder.gep(base.value, [self.index(offset)], inbounds=True)

    def load(self, base: Pointer, offset: Any) -> Vec:
        pointer = self.builder.bitcast(self.pointer(base, offset), self.type.as_pointer())
        return Vec(self, self.builder.load(pointer, align=4))

    def store(self, vec: Vec, base: Pointer, offset: Any) -> None:
        pointer = self.builder.bitcast(self.pointer(base, offset), vec.value.type.as_pointer())
        self.builder.store(vec.value, pointer, align=4)

    def accumulate(self, vec: Vec, base: Pointer, offset: Any) -> None:
        """Add to what is stored."""
        self.store(self.load(base, offset) + vec, base, offset)

    def add_scalar(self, scalar: Any, base: Pointer, index: Any) -> None:
        """Add one number to an array of its type."""
        address = self.pointer(base, index)
        self.builder.store(self.builder.fadd(self.builder.load(address), scalar), address)

    def load_pair(self, base: Pointer, offset: Any) -> tuple[Vec, Vec]:
        """A complex vector: real parts, then imaginary parts."""
        return self.load(base, offset), self.load(base, offset + self.width)

    def store_pair(self, value: tuple[Vec, Vec], base: Pointer, offset: Any) -> None:
        self.store(value[0], base, offset)
        self.store(value[1], base, offset + self.width)

    def broadcast(self, base: Pointer, offset: Any) -> Vec:
        """Load one float into every lane."""
        return self.splat(self.builder.load(self.pointer(base, offset), align=4))

    def splat(self, scalar: Any) -> Vec:
        vector = self.builder.insert_element(
            ir.Constant(self.type, ir.Undefined), scalar, ir.Constant(I32, 0)
        )
        zeros = ir.Constant(ir.VectorType(I32, self.width), [0] * self.width)
        return Vec(self, self.builder.shuffle_vector(vector, ir.Constant(self.type, ir.Undefined), zeros))

    def constant(self, value: float) -> Vec:
        return Vec(self, ir.Constant(self.type, [single(value)] * self.width))

    def table(self, values: Any) -> Pointer:
        """A read-only table of float32 constants; returns its base pointer."""
        kind = ir.ArrayType(F32, len(values))
        module = self.builder.module
        variable = ir.GlobalVariable(module, kind, module.get_unique_name("table"))
        variable.initializer = ir.Constant(kind, [ir.Constant(F32, single(v)) for v in values])
        variable.global_constant, variable.linkage, variable.align = True, "internal", 64
        return Pointer(self, self.builder.bitcast(variable, F32.as_pointer()))

    def variable(self, initial: Vec) -> tuple[Callable[[], Vec], Callable[[Vec], None]]:
        """A mutable accumulator (kept in a register by LLVM); returns ``(get, set)``."""
        slot = cgutils.alloca_once(self.builder, initial.value.type)
        self.builder.store(initial.value, slot)

        def put(vec: Vec) -> None:
            self.builder.store(vec.value, slot)

        return (lambda: Vec(self, self.builder.load(slot))), put

    # -- lanes and functions
    def shuffle(self, first: Vec, second: Vec, lanes: Iterable[int]) -> Vec:
        lanes = list(lanes)
        mask = ir.Constant(ir.VectorType(I32, len(lanes)), lanes)
        return Vec(self, self.builder.shuffle_vector(first.value, second.value, mask))

    def select_negative(self, probe: Vec, if_negative: Vec, otherwise: Vec) -> Vec:
        """Lane-wise choice by the sign of ``probe`` (``probe < 0``)."""
        zero = ir.Constant(self.type, [0.0] * self.width)
        condition = self.builder.fcmp_ordered("<", probe.value, zero)
        return Vec(self, self.builder.select(condition, if_negative.value, otherwise.value))

    def zero(self) -> Vec:
        return self.constant(0.0)

    def maximum(self, first: Vec, second: Vec) -> Vec:
        condition = self.builder.fcmp_ordered(">", first.value, second.value)
        return Vec(self, self.builder.select(condition, first.value, second.value))

    def reduce(self, vec: Vec, combine: Callable[[Vec, Vec], Vec]) -> Any:
        """Fold the lanes of a vector to one scalar with a function of two vectors."""
        width = self.width
        while width > 1:
            width //= 2
            low = self.shuffle(vec, vec, range(width))
            high = self.shuffle(vec, vec, range(width, 2 * width))
            vec = combine(low, high)
        return self.builder.extract_element(vec.value, ir.Constant(I32, 0))

    def sum(self, vec: Vec) -> Any:
        return self.reduce(vec, lambda a, b: a + b)

    def max(self, vec: Vec) -> Any:
        return self.reduce(vec, self.maximum)

    def call(self, name: str, *arguments: Vec | float) -> Vec:
        """A function of vectors that LLVM has for every width."""
        vectors = [v if isinstance(v, Vec) else self.constant(v) for v in arguments]
        kinds = [v.value.type for v in vectors]
        suffix = f".v{kinds[0].count}f32"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(kinds[0], kinds), name + suffix
        )
        return Vec(self, self.builder.call(function, [v.value for v in vectors]))
