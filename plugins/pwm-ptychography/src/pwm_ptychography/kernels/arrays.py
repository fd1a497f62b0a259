"""How generated code reads and writes objects, fields and spectra.

All are float32.  An object has rows of real parts and, ``plane`` floats further on, of imaginary parts (and
perhaps more planes), ``pitch`` floats apart.  Probes and other real-space fields are kept in strips
``[strip][row][re, im][W]`` of W columns, spectra as ``[vector][re, im][W]`` in the order of
`layout.Layout.order`; several modes follow each other.
"""

from __future__ import annotations

from typing import Any

from .layout import Layout
from .vector import Emit, Pointer, Vec

Complex = tuple[Vec, Vec]


class Patch:
    """A patch of an object, given as ``((object, corner), plane, pitch)``."""

    def __init__(self, e: Emit, layout: Layout, image: Any) -> None:
        self.e, self.width = e, layout.width
        self.base, self.plane, self.pitch = image

    def offset(self, strip: Any, row: Any, right: int = 0) -> Any:
        return row * self.pitch + strip * self.width + right

    def load(self, strip: Any, row: Any, down: int = 0, right: int = 0) -> Complex:
        """One vector, ``down`` rows further down or ``right`` pixels further right."""
        offset = self.offset(strip, row, right)
        offset = offset + self.pitch * down if down else offset
        return self.e.load(self.base, offset), self.e.load(self.base, offset + self.plane)

    def store(self, strip: Any, row: Any, value: Complex) -> None:
        offset = self.offset(strip, row)
        self.e.store(value[0], self.base, offset)
        self.e.store(value[1], self.base, offset + self.plane)

    def add(self, strip: Any, row: Any, *planes: Vec) -> None:
        """Add one vector to each plane."""
        for k, vec in enumerate(planes):
            self.e.accumulate(vec, self.base, self.offset(strip, row) + self.plane * k)


class Field:
    """A complex field in strip order."""

    def __init__(self, e: Emit, layout: Layout, base: Pointer) -> None:
        self.e, self.layout, self.base = e, layout, base

    def mode(self, mode: Any) -> Field:
        return Field(self.e, self.layout, self.base + mode * (2 * self.layout.n**2))

    def offset(self, strip: Any, row: Any) -> Any:
        return (strip * self.layout.n + row) * self.layout.unit

    def load(self, strip: Any, row: Any) -> Complex:
        return self.e.load_pair(self.base, self.offset(strip, row))

    def load_rows(self, strip: Any, rows: list[Any]) -> list[Complex]:
        return [self.load(strip, row) for row in rows]

    def store(self, strip: Any, row: Any, value: Complex) -> None:
        self.e.store_pair(value, self.base, self.offset(strip, row))

    def add(self, strip: Any, row: Any, value: Complex) -> None:
        for c, part in enumerate(value):
            self.e.accumulate(part, self.base, self.offset(strip, row) + c * self.layout.width)


class Spectrum:
    """A complex spectrum, of which passes handle eight vectors at a time."""

    def __init__(self, e: Emit, layout: Layout, base: Pointer) -> None:
        self.e, self.layout, self.base = e, layout, base

    def mode(self, mode: Any) -> Spectrum:
        return Spectrum(self.e, self.layout, self.base + mode * (2 * self.layout.n**2))

    def places(self, strip: Any, group: Any) -> list[Any]:
        first = self.layout.spectrum(strip, group) * 2
        return [first + b * self.layout.unit for b in range(8)]

    def load(self, strip: Any, group: Any) -> list[Complex]:
        return [self.e.load_pair(self.base, place) for place in self.places(strip, group)]

    def store(self, strip: Any, group: Any, values: list[Complex]) -> None:
        for place, value in zip(self.places(strip, group), values, strict=True):
            self.e.store_pair(value, self.base, place)
