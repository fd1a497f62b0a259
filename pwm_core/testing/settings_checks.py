"""Checks of declared settings: they build, are documented, and refuse what they say they refuse."""

from __future__ import annotations

import dataclasses
import math
import pickle
import types
import typing
from collections.abc import Iterator
from typing import Any

from ..errors import PwmError
from ..settings import describe, params
from .report import require
from .subject import Subject

_PLAIN = (int, float, bool, str)


def check_defaults_build(subject: Subject) -> None:
    """It builds without arguments, prints in one line, and survives pickling."""
    settings = subject.cls()
    require("\n" not in repr(settings), f"its repr has several lines: {settings!r}")
    again = pickle.loads(pickle.dumps(settings))
    require(again.values() == settings.values(), f"pickling turns {settings!r} into {again!r}")


def check_settings_are_documented(subject: Subject) -> None:
    """Every setting is declared with param and has a line of help."""
    for f in params(subject.cls):
        require(f.metadata["doc"].strip(), f"the setting {f.name!r} has no doc; write param(…, doc='…')")
    declared = {f.name for f in params(subject.cls)}
    for f in dataclasses.fields(subject.cls):
        plain = any(kind in _PLAIN for kind in _kinds(_hints(subject.cls)[f.name]))
        require(
            f.name in declared or not plain, f"{f.name!r} is a plain field; declare it with param(…, doc='…')"
        )


def check_out_of_bounds_refused(subject: Subject) -> None:
    """A value outside a setting's declared range, or of another type, raises BadValue."""
    hints = _hints(subject.cls)
    for f in params(subject.cls):
        for value in _bad_values(f, hints[f.name]):
            try:
                subject.cls(**{f.name: value})
            except (PwmError, ValueError):
                continue
            require(False, f"{f.name}={value!r} is accepted, declared is {describe(f, hints[f.name])}")


def _bad_values(f: dataclasses.Field[Any], hint: Any) -> Iterator[Any]:
    kinds, low, high = _kinds(hint), f.metadata["low"], f.metadata["high"]
    if float in kinds or int in kinds:
        step = 1 if float not in kinds else 1e-6
        if low > -math.inf:
            yield type(step)(low - step * max(1, abs(low)))
        if high < math.inf:
            yield type(step)(high + step * max(1, abs(high)))
        if float in kinds:
            yield math.nan
    if str not in kinds and all(k in _PLAIN or typing.get_origin(k) is typing.Literal for k in kinds):
        yield "no such value"


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a type, None left out."""
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    kinds = typing.get_args(hint) if union else (hint,)
    return tuple(k for k in kinds if k is not type(None))


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)
