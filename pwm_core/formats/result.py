"""Result files: what a run found, step by step, and by which method with which settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..driver import STATUSES, Result
from ..errors import BadValue, PluginError
from ..method import Iterate, Reconstructor
from ..problem import Problem
from .contents import LIMIT, Contents
from .safe import opened
from .truth import check_estimate, pack_theta, unpack_theta
from .values import NotInstalled, build, class_name, encode
from .write import write

KIND = "pwm-result"
_CELL = 100  # bytes that one number of the history takes in memory
_ENTRIES = {"status": str, "seconds": float, "seed": int, "device": str, "peak_memory": int, "note": str}


class Recorded(Reconstructor):
    """Stands in a result that was read for a method that is not installed here."""

    type: str  # "package.module:Class"
    text: str  # the method with its settings, as it printed itself

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        raise PluginError(f"{self.type} is not installed; it made this result as {self.text}")


def save_result(path: str | Path, result: Result) -> None:
    """Write ``result`` to ``path``, replacing what is there; BadValue for values that are not numbers.

    Non-finite values of x or θ are kept only where the status says "diverged".
    """
    contents = Contents.draft("the result cannot be saved")
    contents.put("x", result.x)
    contents.record = {
        **{key: getattr(result, key) for key in _ENTRIES},
        "theta": pack_theta(contents, result.theta),
        "method": _pack_method(contents, result.method),
        "steps": len(result.history),
        "history": _pack_history(contents, result.history),
    }
    _unpack(contents)
    write(path, KIND, contents)


def load_result(path: str | Path, limit: int = LIMIT) -> Result:
    """Read a result; BadFile if the file is not a sound one or its arrays exceed ``limit`` bytes.

    A method that is not installed here is replaced by :class:`Recorded`, which tells what it was.
    """
    with opened(path, KIND, limit) as contents:
        return _unpack(contents)


def _unpack(contents: Contents) -> Result:
    entries = {key: contents.entry(key, hint) for key, hint in _ENTRIES.items()}
    if entries["status"] not in STATUSES:
        raise contents.bad(
            "record entry 'status'", f"is {entries['status']!r}, expected one of {', '.join(STATUSES)}"
        )
    x, theta = np.asarray(contents.array("x")), unpack_theta(contents)
    if entries["status"] != "diverged":
        check_estimate(contents, x, theta)
    return Result(x=x, theta=theta, history=_history(contents), method=_method(contents), **entries)


# -- the method ---------------------------------------------------------------------------------


def _pack_method(contents: Contents, method: Reconstructor) -> dict[str, Any]:
    packed: dict[str, Any] = {"type": class_name(type(method)), "text": repr(method)}
    arrays = dict(contents.arrays)
    try:
        stored = encode(method, lambda a: contents.put(f"method/{len(contents.arrays)}", a))
        build(stored["settings"], Reconstructor, contents.array)
    except BadValue:  # defined in a script, or set to no plain value: the result is worth keeping
        contents.arrays = arrays
        return packed
    return {**packed, "fields": stored["settings"]["fields"]}


def _method(contents: Contents) -> Reconstructor:
    packed = contents.entry("method", dict[str, Any])
    name, text = packed.get("type"), packed.get("text")
    if not isinstance(name, str) or not isinstance(text, str):
        raise contents.bad("record entry 'method'", "must have a type and a text")
    if "fields" not in packed:
        return Recorded(type=name, text=text)
    try:
        return build(packed, Reconstructor, contents.array)
    except NotInstalled:
        return Recorded(type=name, text=text)
    except BadValue as error:
        raise contents.bad("record entry 'method'", f"is refused: {error}") from error


# -- the history, a column for each number ------------------------------------------------------


def _pack_history(contents: Contents, history: list[dict[str, float]]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(key for row in history for key in row):
        rows = [i for i, row in enumerate(history) if name in row]
        values = [history[i][name] for i in rows]
        whole = all(type(v) is int and abs(v) < 2**63 for v in values)
        column = np.zeros(len(history), np.int64) if whole else np.full(len(history), np.nan)
        try:
            column[rows] = values
        except (TypeError, ValueError) as error:
            raise contents.bad(
                f"the history's {name!r}", f"has values that are no numbers ({error})"
            ) from error
        columns[name] = {"values": contents.add("history", name, column)}
        if len(rows) < len(history):  # not every step gave this number
            given = np.isin(np.arange(len(history)), rows)
            columns[name]["given"] = contents.add("history-given", name, given)
    return columns


def _history(contents: Contents) -> list[dict[str, float]]:
    steps = contents.entry("steps", int)
    columns = contents.entry("history", dict[str, dict[str, str]])
    size = steps * (len(columns) + 1) * _CELL
    if steps < 0 or size > contents.limit or (steps and not columns):
        raise contents.bad(
            "record entry 'steps'", f"is {steps}, which no history of {len(columns)} columns can have"
        )
    history: list[dict[str, float]] = [{} for _ in range(steps)]
    for name, column in columns.items():
        values = _column(contents, column.get("values"), "if", steps)
        given = _column(contents, column["given"], "b", steps) if "given" in column else np.ones(steps, bool)
        for i in np.flatnonzero(given):
            history[i][name] = values[i].item()
    return history


def _column(contents: Contents, key: Any, kinds: str, steps: int) -> np.ndarray:
    column = np.asarray(contents.array(key))
    if column.shape != (steps,) or column.dtype.kind not in kinds:
        raise contents.bad(
            f"dataset {key!r}", f"is {column.shape} {column.dtype}, expected a column of {steps} steps"
        )
    return column
