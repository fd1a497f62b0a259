"""Pointwise arithmetic of the generated kernels."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .functions import log, rsqrt
from .vector import Emit, Vec

Complex = tuple[Vec, Vec]

TINY = 1e-30


def power(value: Complex, offset: Vec | None = None) -> Vec:
    """Squared modulus, plus a constant."""
    square = value[1] * value[1] if offset is None else value[1].fma(value[1], offset)
    return value[0].fma(value[0], square)


def scaled(value: Complex, factor: Vec | float) -> Complex:
    return value[0] * factor, value[1] * factor


def add_scaled(value: Complex, factor: Vec, addend: Complex) -> Complex:
    """``value * factor + addend`` with a real factor."""
    return value[0].fma(factor, addend[0]), value[1].fma(factor, addend[1])


def minus_product(c: Complex, a: Complex, b: Complex) -> Complex:
    """``c - a b``."""
    return a[1].fma(b[1], a[0].fnma(b[0], c[0])), a[1].fnma(b[0], a[0].fnma(b[1], c[1]))


class Peak:
    """Running maximum of vectors (or, with ``e.max``, of their lanes)."""

    def __init__(self, e: Emit) -> None:
        self.e = e
        self.get, self.put = e.variable(e.constant(0.0))

    def see(self, vec: Vec) -> None:
        self.put(self.e.maximum(vec, self.get()))

    def value(self) -> Any:
        return self.e.max(self.get())


class Total:
    """A sum of float32 vectors kept in float64."""

    def __init__(self, e: Emit) -> None:
        self.e = e
        self.type = ir.VectorType(ir.DoubleType(), e.width)
        self.get, self.put = e.variable(Vec(e, ir.Constant(self.type, [0.0] * e.width)))

    def add(self, vec: Vec) -> None:
        wide = self.e.builder.fpext(vec.value, self.type)
        self.put(Vec(self.e, self.e.builder.fadd(self.get().value, wide)))

    def value(self) -> Any:
        return self.e.sum(self.get())


def constraint(e: Emit, poisson: int, scale: float, intensity: Vec, amplitude: Vec) -> tuple[Vec, Vec]:
    """``(factor - scale, misfit)`` for the factor that replaces ``scale`` as the multiplier of the spectrum.

    Amplitude model: the factor gives the spectrum the measured modulus b, the misfit is (b - |z|)^2; it is
    the change squared times the intensity because (b / |z| - 1)^2 |z|^2 = (b - |z|)^2.  Poisson model: the
    factor is scale times b^2 / |z|^2, the misfit |z|^2 - b^2 - b^2 log(|z|^2 / b^2).  Masked pixels (negative
    amplitude) change nothing."""
    root = rsqrt(e, intensity)
    if poisson:
        ratio = amplitude * root * (1 / scale)
        ratio = e.select_negative(amplitude, e.constant(1.0), ratio * ratio)
        change = ratio.fma(scale, e.constant(-scale))
        entropy = ratio * log(e, e.maximum(ratio, e.constant(TINY)))
        return change, (entropy + 1.0 - ratio) * intensity * scale**2
    change = e.select_negative(amplitude, e.constant(0.0), amplitude.fma(root, e.constant(-scale)))
    return change, (change * change) * intensity
