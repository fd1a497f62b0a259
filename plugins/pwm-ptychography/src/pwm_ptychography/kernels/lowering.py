"""Turn a vector code generator into a numba intrinsic, for functions that are `compiled`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba.extending
from numba.core import cgutils, types

from .layout import Layout
from .vector import Emit, Int, Pointer

# Any, because intrinsics are called with other arguments than numba's typing of the decorator lets them take
intrinsic: Any = numba.extending.intrinsic(prefer_literal=True)


def lower(
    result: Any, literals: Sequence[Any], arguments: Sequence[Any], generate: Callable[..., Any]
) -> Any:
    """Signature and code of an intrinsic ``(*literals, *arguments)``.

    Literals are compile-time integers, the first two n and the vector width.  ``generate(emit, layout,
    *literals[2:], *arguments)`` returns an IR value of type ``result`` or None.  It sees array arguments as
    `Pointer` to the first element, integers as `Int`, floats as vectors with equal lanes, tuples as tuples of
    these; but a pair (array, integer) as `Pointer` to that element.
    """
    if not all(isinstance(literal, types.IntegerLiteral) for literal in literals):
        return None
    n, width, *flags = [literal.literal_value for literal in literals]
    layout = Layout(n, width)
    skip = len(literals)

    def code(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        emit = Emit(context, builder, layout.width)
        kinds = signature.args[skip:]
        converted = [_convert(emit, *pair) for pair in zip(kinds, values[skip:], strict=True)]
        value = generate(emit, layout, *flags, *converted)
        return context.get_dummy_value() if value is None else value

    return result(*literals, *map(_plain, arguments)), code


def _parts(kind: Any) -> tuple[Any, ...] | None:
    """The types in a tuple; None for any other type."""
    several = isinstance(kind, types.BaseTuple)
    return tuple(kind) if several else None


def _plain(kind: Any) -> Any:
    """The type without compile-time values."""
    parts = _parts(kind)
    if parts is None:
        return types.unliteral(kind)
    return types.BaseTuple.from_types(tuple(_plain(part) for part in parts))


def _convert(emit: Emit, kind: Any, value: Any) -> Any:
    kinds = _parts(kind)
    if kinds is not None:
        values: Any = cgutils.unpack_tuple(emit.builder, value, len(kinds))
        parts = tuple(_convert(emit, *pair) for pair in zip(kinds, values, strict=True))
        at_element = len(parts) == 2 and isinstance(parts[0], Pointer) and isinstance(parts[1], Int)
        return parts[0] + parts[1] if at_element else parts
    if isinstance(kind, types.Array):
        return Pointer(emit, emit.context.make_array(kind)(emit.context, emit.builder, value).data)
    return Int(emit, value) if isinstance(kind, types.Integer) else emit.splat(value)
