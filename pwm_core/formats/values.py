"""Values of fields as JSON and back: numbers, text, tuples, lists, arrays and settings objects."""

from __future__ import annotations

import contextlib
import dataclasses
import numbers
import re
import types
import typing
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import BadValue
from ..registry import installed
from ..settings import Settings

_NUMBERS: dict[type, Any] = {int: numbers.Integral, float: numbers.Real, complex: numbers.Complex}
_CLASS = re.compile(r"(?!__)[A-Za-z_]\w*(?:\.(?!__)\w+)*:[A-Za-z_]\w*", re.ASCII)


class NotInstalled(BadValue):
    """A stored object is of a class that no installed package offers."""


def encode(value: Any, keep: Callable[[Any], str]) -> Any:
    """``value`` as JSON; arrays become the name that ``keep(array)`` gives. BadValue for anything else."""
    if isinstance(value, np.ndarray):
        return {"array": keep(value)}
    if isinstance(value, (np.generic, complex)):
        return {"scalar": keep(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return {"tuple": [encode(v, keep) for v in value]}
    if isinstance(value, list):
        return [encode(v, keep) for v in value]
    if isinstance(value, Settings):
        fields = {f.name: encode(getattr(value, f.name), keep) for f in dataclasses.fields(value)}  # type: ignore[arg-type]
        return {"settings": {"type": class_name(type(value)), "fields": fields}}
    raise BadValue(f"a value of type {type(value).__name__} cannot be stored")


def decode(value: Any, array: Callable[[Any], Any], node: Callable[[Any], Any] | None = None) -> Any:
    """The value that ``encode`` gave. ``node`` looks up a node of an operator graph."""
    if isinstance(value, list):
        return [decode(v, array, node) for v in value]
    if not isinstance(value, dict):
        return value
    kind, inside = next(iter(value.items())) if len(value) == 1 else (None, None)
    if kind == "array":
        return np.asarray(array(inside))
    if kind == "scalar":
        return array(inside)
    if kind == "node" and node is not None:
        return node(inside)
    if kind == "tuple" and isinstance(inside, list):
        return tuple(decode(v, array, node) for v in inside)
    if kind == "settings":
        return build(inside, Settings, array)
    raise BadValue(f"{sorted(value)} is no kind of stored value")


def build(
    packed: Any, base: type, array: Callable[[Any], Any], node: Callable[[Any], Any] | None = None
) -> Any:
    """The object of a subclass of ``base`` stored as ``{"type": ..., "fields": {...}}``.

    BadValue if the class may not be used or if it refuses the values.
    """
    if not isinstance(packed, dict) or not isinstance(packed.get("fields"), dict):
        raise BadValue("an object must be stored with its type and fields")
    cls: Any = find_class(packed.get("type"), base)
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls) if f.init}
    values = {}
    for name, stored in packed["fields"].items():
        if name not in names:
            raise BadValue(f"{cls.__name__} has no field {name!r}")
        values[name] = decode(stored, array, node)
        if not matches(values[name], hints[name]):
            raise BadValue(f"{cls.__name__}.{name} cannot be a {type(values[name]).__name__}")
    try:
        return cls(**values)
    except Exception as error:  # whatever the class's own checks raise
        raise BadValue(f"{cls.__name__} refuses its values: {error}") from error


def class_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(name: Any, base: type) -> type:
    """The class "module:Class" of pwm-core or of an installed plugin, if it is a ``base``.

    NotInstalled otherwise: a file never makes anything else be imported.
    """
    if not isinstance(name, str) or not _CLASS.fullmatch(name):
        raise NotInstalled(f"{name!r} is no class of an installed package, such as 'package.module:Class'")
    module, _, attribute = name.partition(":")
    if module.partition(".")[0] not in _packages():
        raise NotInstalled(f"{name} belongs neither to pwm-core nor to a plugin that is installed")
    try:
        cls = getattr(import_module(module), attribute, None)
    except Exception as error:  # a broken plugin
        raise NotInstalled(f"{name} cannot be imported: {error}") from error
    if not isinstance(cls, type) or not issubclass(cls, base) or class_name(cls) != name:
        raise NotInstalled(f"{name} is no {base.__name__}")
    return cls


def _packages() -> set[str]:
    return {"pwm_core"} | {e.card.target.partition(":")[0].partition(".")[0] for e in installed().entries}


def matches(value: Any, hint: Any) -> bool:
    """Whether ``value`` is of the annotated type; an int may stand for a float."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(matches(value, a) for a in args)
    if origin is typing.Literal:
        return any(type(value) is type(a) and value == a for a in args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return isinstance(value, tuple) and all(matches(v, args[0]) for v in value)
    if origin is tuple:
        same = isinstance(value, tuple) and len(value) == len(args)
        return same and all(matches(v, a) for v, a in zip(value, args, strict=True))
    if origin is list:
        return isinstance(value, list) and all(matches(v, args[0]) for v in value)
    if origin is dict:
        pairs = value.items() if isinstance(value, Mapping) else None
        return pairs is not None and all(matches(k, args[0]) and matches(v, args[1]) for k, v in pairs)
    return _is_a(value, origin or hint)


def _is_a(value: Any, kind: Any) -> bool:
    is_bool = isinstance(value, (bool, np.bool_))
    if kind is bool:
        return is_bool
    if isinstance(kind, type) and kind in _NUMBERS:
        return isinstance(value, _NUMBERS[kind]) and not is_bool
    with contextlib.suppress(TypeError):  # Any, a type variable, a protocol that cannot be asked
        return isinstance(value, kind)
    return True
