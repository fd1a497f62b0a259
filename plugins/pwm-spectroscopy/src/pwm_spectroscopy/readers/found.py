"""What a reader has found in a file, detector element by detector element, before anything is chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from pwm_core.errors import BadFile
from pwm_core.stored import StoredArray, blocks

Counts = TypeVar("Counts", np.ndarray, StoredArray)


@dataclass
class Found:
    """The contents of one file; energies in keV, lengths in µm, None = the file does not say.

    ``counts``     (detector, energy, y, x); a list of one (energy, y, x) each where they stay in their file
    ``zero, gain`` of the energy axis, common to the detector elements as far as the file knows
    ``live_time``  (detector, y, x) seconds
    ``low, high``  the range of energies that the file's own settings say is worth fitting
    """

    counts: np.ndarray | list[StoredArray]
    zero: float | None = None
    gain: float | None = None
    beam_energy: float | None = None
    tube: bool = False
    pixel_size: tuple[float, float] | None = None
    live_time: np.ndarray | None = None
    take_off: float | None = None
    tilt: float = 0.0
    low: float | None = None
    high: float | None = None
    elements: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    certified: dict[str, float] = field(default_factory=dict)


def checked(cube: np.ndarray | StoredArray, name: str) -> np.ndarray | list[StoredArray]:
    """The spectra (energy, y, x) of one detector element as ``Found`` has them, see `checked_counts`."""
    if isinstance(cube, StoredArray):
        return [checked_counts(cube, name)]
    return checked_counts(cube, name)[None]


def checked_counts(counts: Counts, name: str) -> Counts:
    """The counts if they can be counts: real numbers, finite, not negative, some of them; else BadFile."""
    if counts.dtype.kind not in "iuf":
        raise BadFile(f"{name}: the spectra hold {counts.dtype} where counts are expected")
    if counts.size == 0:
        raise BadFile(f"{name} holds no spectra: their shape is {counts.shape}")
    low, high = np.transpose([(block.min(), block.max()) for _, block in blocks(counts)])
    low, high = low.min(), high.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadFile(f"{name}: some of the spectra's counts are not finite; the file is damaged")
    if low < 0:
        raise BadFile(
            f"{name}: some counts are negative ({low:g}); raw spectra are expected, not corrected ones"
        )
    if high == 0:
        raise BadFile(f"{name}: all spectra are empty")
    return counts


def raster(y: np.ndarray, x: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Row and column of every point of a scan, and its steps (y, x) in the unit of the positions.

    Points may be missing or lie up to a third of a step off the raster; BadFile if they form none.
    """
    rows, dy = _grid(y)
    columns, dx = _grid(x)
    dy, dx = dy or dx, dx or dy
    if dy == 0:
        raise BadFile(f"{name}: all positions of the scan are the same")
    cells = (rows.max() + 1) * (columns.max() + 1)
    if cells > 4 * len(rows) or len(set(zip(rows.tolist(), columns.tolist(), strict=True))) < len(rows):
        raise BadFile(f"{name}: its {len(rows)} points lie on no raster of rows and columns")
    return rows, columns, (dy, dx)


def _grid(positions: np.ndarray) -> tuple[np.ndarray, float]:
    """Index of each position on the raster that fits it best, and the raster's step (0: one line)."""
    ordered = np.sort(positions)
    jumps = np.diff(ordered)
    large = jumps[jumps > 0.3 * jumps.max()] if len(jumps) and jumps.max() > 0 else jumps[:0]
    if not len(large):
        return np.zeros(len(positions), dtype=int), 0.0
    lines = round(float(np.ptp(positions)) / float(np.median(large)))
    step = float(np.ptp(positions)) / max(lines, 1)
    return np.rint((positions - ordered[0]) / step).astype(int), step
