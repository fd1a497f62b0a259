"""EPICS MDA scans: the tree of nested scans that a saveData file holds, all offsets and sizes checked."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pwm_core.errors import BadFile

POINTS = 1 << 24  # more in one dimension is a damaged header


@dataclass
class Scan:
    """One scan of the nest: ``detectors`` and ``positioners`` by process variable, ``inner`` one a point.

    Arrays hold the points that were acquired; ``planned`` is how many the scan was to have.
    """

    planned: int
    positioners: dict[str, np.ndarray] = field(default_factory=dict)
    positioner_units: dict[str, str] = field(default_factory=dict)
    detectors: dict[str, np.ndarray] = field(default_factory=dict)
    inner: list[Scan] = field(default_factory=list)


def read_mda(path: Path) -> tuple[int, Scan]:
    """The rank of the data and the outermost scan of the file."""
    return Xdr(path.read_bytes(), path.name).file()


class Xdr:
    """A cursor in a file of big-endian XDR values; BadFile when it would leave the file."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.at = data, name, 0

    def file(self) -> tuple[int, Scan]:
        version = struct.unpack_from(">f", self._take(4))[0]
        if not 1.1 < version < 1.5:
            raise BadFile(f"{self.name} is no EPICS MDA file, or of an unknown version ({version:g})")
        self.integers(1)  # the number of the scan
        rank = self.integers(1)[0]
        if not 1 <= rank <= 4:
            raise BadFile(f"{self.name} claims {rank} dimensions; it is damaged")
        self.integers(rank + 2)  # planned shape, whether it is regular, where further variables are
        return rank, self.scan(rank)

    def scan(self, rank: int) -> Scan:
        inner_rank, planned, done = self.integers(3)
        if inner_rank != rank or not 0 <= done <= planned <= POINTS:
            raise BadFile(
                f"{self.name}: a scan of rank {inner_rank} with {done} of {planned} points where one of "
                f"rank {rank} is expected; the file is damaged"
            )
        offsets = self.integers(planned) if rank > 1 else ()
        self.text(), self.text()  # name and time
        counts = self.integers(3)
        if min(counts) < 0 or max(counts) > 1000:
            raise BadFile(
                f"{self.name}: a scan claims {counts} positioners, detectors, triggers; it is damaged"
            )
        scan = Scan(planned)
        positioners = [self._positioner() for _ in range(counts[0])]
        detectors = [self._detector() for _ in range(counts[1])]
        for _ in range(counts[2]):
            self.integers(1), self.text(), self._take(4)
        for name, unit in positioners:
            scan.positioners[name] = self._array(">f8", planned)[:done].astype(np.float64)
            scan.positioner_units[name] = unit
        for name in detectors:
            scan.detectors[name] = self._array(">f4", planned)[:done].astype(np.float32)
        for offset in offsets[:done]:
            if offset > 0:
                self.at = offset
                scan.inner.append(self.scan(rank - 1))
        return scan

    def integers(self, n: int) -> tuple[int, ...]:
        return struct.unpack(f">{n}i", self._take(4 * n))

    def text(self) -> str:
        """A counted string, which MDA precedes with its length once more."""
        if self.integers(1)[0] <= 0:
            return ""
        n = self.integers(1)[0]
        if n < 0:
            raise BadFile(f"{self.name}: a text of {n} characters; the file is damaged")
        return self._take((n + 3) // 4 * 4)[:n].decode("latin1")

    def _positioner(self) -> tuple[str, str]:
        self.integers(1)
        name, _, _, unit, *_ = [self.text() for _ in range(7)]
        return name, unit

    def _detector(self) -> str:
        self.integers(1)
        name, *_ = [self.text() for _ in range(3)]
        return name

    def _array(self, dtype: str, n: int) -> np.ndarray:
        return np.frombuffer(self._take(np.dtype(dtype).itemsize * n), dtype)

    def _take(self, n: int) -> bytes:
        if self.at < 0 or self.at + n > len(self.data):
            raise BadFile(f"{self.name} is truncated or damaged: it ends at byte {len(self.data)}")
        self.at += n
        return self.data[self.at - n : self.at]
