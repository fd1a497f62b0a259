"""What a pwm file holds, on its way in or out: a JSON record, and named arrays that it refers to."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import BadValue, PwmError
from .values import matches

VERSION = 1
LIMIT = 16 * 2**30  # bytes that the arrays of one file may take in memory
DTYPES = frozenset(
    {"bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
    | {"float16", "float32", "float64", "complex64", "complex128"}
)


@dataclass
class Contents:
    """The record and arrays of one file. What is written passes the same checks as what is read."""

    source: str  # the file, or what is about to become one
    error: type[PwmError]  # BadFile when reading, BadValue when writing
    record: dict[str, Any] = field(default_factory=dict)
    arrays: MutableMapping[str, Any] = field(default_factory=dict)  # NumPy arrays or h5py datasets
    limit: int = LIMIT

    @classmethod
    def draft(cls, source: str) -> Contents:
        return cls(source, BadValue)

    def bad(self, where: str, why: str) -> PwmError:
        """The error to raise: one sentence with the file and the object inside it."""
        return self.error(f"{self.source}: {where} {why}")

    # -- writing --------------------------------------------------------------------------------

    def add(self, group: str, name: str, array: Any) -> str:
        """Keep an array under ``group/name`` (a number where HDF5 has no such name); what it is called."""
        readable = re.fullmatch(r"[A-Za-z_][\w.-]*", name, re.ASCII)
        return self.put(f"{group}/{name if readable else len(self.arrays)}", array)

    def put(self, key: str, array: Any) -> str:
        array = np.asarray(array)
        if array.dtype.newbyteorder("=").name not in DTYPES:
            raise self.bad(f"array {key!r}", f"has dtype {array.dtype}, which is no plain number")
        self.arrays[key] = array
        return key

    # -- reading --------------------------------------------------------------------------------

    def array(self, key: Any) -> Any:
        """The array called ``key``, in native byte order; one of no dimensions as a NumPy scalar."""
        if not isinstance(key, str) or key not in self.arrays:
            raise self.bad(f"dataset {key!r}", "is missing")
        try:
            self.arrays[key] = self.arrays[key][()]  # read once, however many things refer to it
        except Exception as error:  # h5py raises all kinds for damaged files
            raise self.bad(f"dataset {key!r}", f"is damaged and cannot be read ({error})") from error
        array = self.arrays[key]
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def entry(self, key: str, hint: Any) -> Any:
        """An entry of the record, refused if it is not of the type ``hint``; lists come as tuples."""
        if key not in self.record:
            raise self.bad(f"record entry {key!r}", "is missing")
        value = self.record[key]
        value = tuple(value) if isinstance(value, list) else value
        if not matches(value, hint):
            what = getattr(hint, "__name__", "")
            what = what if isinstance(hint, type) and not getattr(hint, "__args__", ()) else str(hint)
            raise self.bad(f"record entry {key!r}", f"must be of type {what}, got {_short(value)}")
        return value

    def check_finite(self, where: str, value: Any, valid: Any = True) -> None:
        """Refuse non-finite numbers where ``valid``, which must broadcast to the value's shape."""
        if isinstance(value, int):  # of any size, more than NumPy knows
            return
        bad = int(np.count_nonzero(~np.isfinite(value) & valid))
        if bad:
            raise self.bad(where, f"has {bad} non-finite value{'s' if bad > 1 else ''}, expected finite ones")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
