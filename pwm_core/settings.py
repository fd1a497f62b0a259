"""Settings as typed, bounded, documented fields: one declaration gives checks, help, CLI and record."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, dataclass_transform

from .errors import BadValue, UnknownName

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def param(
    default: Any = dataclasses.MISSING,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    unit: str = "",
    symbol: str = "",
    doc: str = "",
) -> Any:
    """A field with bounds (inclusive), a unit, the field's usual symbol and a line of help."""
    metadata = {"low": low, "high": high, "unit": unit, "symbol": symbol, "doc": doc}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(
    frozen_default=True, kw_only_default=True, eq_default=False
)  # no field_specifiers: mypy would miss defaults given by position
class Settings:
    """Base of everything configurable: subclasses become frozen keyword-only dataclasses.

    Fields made with :func:`param` are checked for type and range on creation (BadValue).
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)
        _explain_unknown_keywords(cls)

    def __post_init__(self) -> None:
        hints = field_types(type(self))  # type: ignore[arg-type]  # mypy takes a class with eq=False for unhashable
        for f in params(type(self)):
            checked = _check(type(self).__name__, f, hints[f.name], getattr(self, f.name))
            object.__setattr__(self, f.name, checked)

    def __repr__(self) -> str:
        parts = [f"{f.name}={_short(getattr(self, f.name))}" for f in dataclasses.fields(self) if f.repr]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(parts)})"

    def replace(self, **changes: Any) -> typing.Self:
        """A copy with some fields changed, checked anew."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def values(self) -> dict[str, Any]:
        """The declared settings and their values, as they go into the record of a run."""
        return {f.name: getattr(self, f.name) for f in params(type(self))}

    @classmethod
    def from_strings(cls, pairs: Mapping[str, str], **fixed: Any) -> typing.Self:
        """Build from ``{"iterations": "100"}`` as it comes from the command line."""
        fields = {f.name: f for f in params(cls)}
        hints = field_types(cls)  # type: ignore[arg-type]
        values = {}
        for key, text in pairs.items():
            if key not in fields:
                raise UnknownName(unknown_setting(cls.__name__, key, fields))
            values[key] = _parse(cls.__name__, fields[key], hints[key], text)
        return cls(**values, **fixed)


def params(cls: type) -> list[dataclasses.Field[Any]]:
    """The fields of ``cls`` declared with :func:`param`."""
    return [f for f in dataclasses.fields(cls) if "low" in f.metadata]


def unknown_setting(owner: str, key: str, known: typing.Iterable[str]) -> str:
    """The sentence for a setting that does not exist, with the closest one that does."""
    names = list(known)
    close = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(names) or 'none'}"
    return f"{owner} has no setting {key!r}; {hint}"


def describe(f: dataclasses.Field[Any], hint: Any) -> str:
    """What a field accepts, in words: ``int >= 1``, ``float in [0, 2] rad``, ``'a' or 'b'``."""
    kinds = _alternatives(hint)
    words = []
    for kind in kinds:
        if kind is type(None):
            words.append("none")
        elif typing.get_origin(kind) is typing.Literal:
            words += [repr(v) for v in typing.get_args(kind)]
        else:
            words.append(_limits(f, getattr(kind, "__name__", str(kind))))
    return " or ".join(words)


def _limits(f: dataclasses.Field[Any], kind: str) -> str:
    low, high, unit = f.metadata["low"], f.metadata["high"], f.metadata["unit"]
    if low > -math.inf and high < math.inf:
        kind += f" in [{low:g}, {high:g}]"
    elif low > -math.inf:
        kind += f" >= {low:g}"
    elif high < math.inf:
        kind += f" <= {high:g}"
    return f"{kind} {unit}" if unit else kind


def _check(owner: str, f: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    kinds = _alternatives(hint)
    plain = [k for k in kinds if k in (int, float, bool, str, type(None))]
    literals = [v for k in kinds if typing.get_origin(k) is typing.Literal for v in typing.get_args(k)]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0 and not hasattr(value, "backward"):
        value = value.item()  # a NumPy scalar
    if float in plain and int not in plain and type(value) is int:
        value = float(value)
    simple = all(k in plain or typing.get_origin(k) is typing.Literal for k in kinds)
    known = type(value) in plain or any(type(value) is type(v) and value == v for v in literals)
    if simple and not known:
        raise BadValue(f"{owner}: {f.name} must be {describe(f, hint)}, got {value!r}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        inside = f.metadata["low"] <= value <= f.metadata["high"]
        if not inside or math.isnan(value):
            raise BadValue(f"{owner}: {f.name} must be {describe(f, hint)}, got {value!r}")
    return value


def _parse(owner: str, f: dataclasses.Field[Any], hint: Any, text: str) -> Any:
    word = text.strip()
    for kind in sorted(_alternatives(hint), key=_rank):
        if kind is type(None):
            if word.lower() in ("none", "auto", ""):
                return None
        elif kind is bool:
            if word.lower() in _TRUE | _FALSE:
                return word.lower() in _TRUE
        elif typing.get_origin(kind) is typing.Literal:
            for choice in typing.get_args(kind):
                if word == str(choice):
                    return choice
        elif kind in (int, float, str):
            try:
                return int(word) if kind is int else kind(_number(word, f) if kind is float else word)
            except (ValueError, TypeError):
                continue
    raise BadValue(f"{owner}: {f.name} must be {describe(f, hint)}, got {text!r}")


def _rank(kind: Any) -> int:
    """Choices and "none" before everything else, text after it: it would take any word."""
    if typing.get_origin(kind) is typing.Literal:
        return 0
    return {type(None): 1, str: 3}.get(kind, 2)


def _number(word: str, f: dataclasses.Field[Any]) -> float:
    """``3.65`` or, where the field has a unit, ``3.65mm`` converted to that unit."""
    try:
        return float(word)
    except ValueError:
        from .units import quantity

        return quantity(word, f.metadata["unit"])


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


@functools.cache
def field_types(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _short(value: Any) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return repr(value) if dtype is None or not shape else f"<{tuple(shape)} {dtype}>"


def _explain_unknown_keywords(cls: type) -> None:
    """Make ``Method(iteration=3)`` say what it should have been."""
    generated = cls.__init__  # type: ignore[misc]
    names = [f.name for f in dataclasses.fields(cls) if f.init]

    @functools.wraps(generated)
    def init(self: Any, **kwargs: Any) -> None:
        for key in kwargs:
            if key not in names:
                raise UnknownName(unknown_setting(cls.__name__, key, names))
        generated(self, **kwargs)

    cls.__init__ = init  # type: ignore[misc]
