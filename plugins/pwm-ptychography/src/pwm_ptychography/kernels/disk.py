"""Amplitudes that memory does not hold: kept in a temporary file, a part of them in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pwm_core.scratch import Scratch

_SEGMENT = 1 << 22  # bytes read in one go: enough for a spinning disk
_TOGETHER = 8  # segments in memory


class FrameFile(Scratch):
    """Amplitudes ``array`` (frame, n * n) on disk, read in segments of ``segment`` frames."""

    def __init__(self, frames: int, size: int) -> None:
        super().__init__(frames, size)
        self.segment = max(1, _SEGMENT // self.row)

    def random_order(self, rng: np.random.Generator) -> np.ndarray:
        """All frames: eight segments drawn from all over the scan, their frames mixed; the next eight; ...

        So every segment is read once a sweep. ePIE and rPIE end within the scatter of seeds of full random
        order; blocks of neighbouring frames alone would cost 2 dB where they are as small as ten frames.
        """
        count = len(self.array)
        drawn = rng.permutation(-(-count // self.segment))
        numbers = np.arange(count)
        parts = [numbers[s * self.segment : (s + 1) * self.segment] for s in drawn]
        groups = [parts[k : k + _TOGETHER] for k in range(0, len(parts), _TOGETHER)]
        return np.concatenate([rng.permutation(np.concatenate(group)) for group in groups])

    def stretches(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """``order`` in parts of eight segments at most, whose memory is given back behind each part."""
        cuts: list[int] = []
        held: list[set[int]] = []
        inside: set[int] = set()
        for place, segment in enumerate((order // self.segment).tolist()):
            if segment not in inside and len(inside) == _TOGETHER:
                cuts.append(place)
                held.append(inside)
                inside = set()
            inside.add(segment)
        held.append(inside)
        for k, part in enumerate(np.split(order, cuts)):
            for segment in held[k + 1] if k + 1 < len(held) else ():
                self.fetch(*self._rows(segment))
            yield part
            for segment in held[k]:
                self.release(*self._rows(segment))

    def _rows(self, segment: int) -> tuple[int, int]:
        return segment * self.segment, min((segment + 1) * self.segment, len(self.array))
