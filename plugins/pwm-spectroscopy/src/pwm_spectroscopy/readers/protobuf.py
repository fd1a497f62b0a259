"""Protocol buffers' wire format, as far as a reader needs it: fields by number, packed and coded integers."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np


class Malformed(ValueError):
    """The bytes are no protocol buffer."""


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """(number, value) of every field: an integer, a float, or the bytes of a text or nested message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            yield key >> 3, struct.unpack("<d" if kind == 1 else "<f", _slice(message, at, size))[0]
            at += size
        elif kind == 2:
            size, at = _varint(message, at)
            yield key >> 3, _slice(message, at, size)
            at += size
        else:
            raise Malformed(f"wire type {kind}")


def packed(message: bytes) -> np.ndarray:
    """A packed field of non-negative integers below 2⁶³."""
    data = np.frombuffer(message, np.uint8)
    if data.size == 0:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(data < 128)
    if ends.size == 0 or ends[-1] != data.size - 1:
        raise Malformed("a number that does not end")
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(data.size) - np.repeat(starts, ends - starts + 1)
    if place.max() > 8:
        raise Malformed("a number that is too large")
    return np.add.reduceat((data & 127).astype(np.int64) << (7 * place), starts)


def without_runs(coded: np.ndarray) -> np.ndarray:
    """Zero-run-length coded values, each zero followed by the number of zeros it stands for, written out."""
    zeros = np.flatnonzero(coded == 0)
    runs: list[int] = []
    skip = -1
    for z in zeros.tolist():  # the length behind a zero is no zero itself, unless damaged
        if z > skip:
            runs.append(z)
            skip = z + 1
    lengths = np.ones(len(coded), np.int64)
    if runs and runs[-1] + 1 >= len(coded):
        raise Malformed("a run of zeros without its length")
    index = np.array(runs, dtype=np.int64)
    lengths[index] = coded[index + 1]
    lengths[index + 1] = 0
    if lengths.sum() > 1 << 20:
        raise Malformed("a spectrum of more than a million channels")
    return np.repeat(coded, lengths)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise Malformed("a number that does not end")


def _slice(message: bytes, at: int, size: int) -> bytes:
    if size < 0 or at + size > len(message):
        raise Malformed("a field that reaches beyond its message")
    return message[at : at + size]
