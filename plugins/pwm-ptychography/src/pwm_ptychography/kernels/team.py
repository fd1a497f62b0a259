"""Memory of the threads that sweep over one object together."""

from __future__ import annotations

import numpy as np

from .plan import Plan, aligned

GUARD = 1024  # floats between what two threads write: prefetchers run on to the end of a page


class Team:
    """Room for each thread: its copy of the probe and of its spectrum, increment, buffer and scratch memory,
    and, for a probe of components, that of a position and its spectrum.

    ``rooms`` are those arrays, one row per thread.  Each copy is there twice if there are several threads:
    when the copies are averaged, all are read on one side and written on the other."""

    def __init__(
        self, threads: int, plan: Plan, modes: int, shifted: bool, varied: bool, *fields: np.ndarray
    ) -> None:
        sides, guard = (1, 0) if threads == 1 else (2, GUARD)
        self.copies = [aligned(threads, sides, len(field) + guard) for field in fields]
        increment = modes * 2 * plan.size if shifted or varied else 16
        sizes = increment, modes * plan.tiles, modes * plan.strip
        own = aligned(threads, 2, (2 * plan.size if varied else 16) + guard)
        self.rooms = (*self.copies, *(aligned(threads, size + guard) for size in sizes), own)

    def take(self, *fields: np.ndarray) -> None:
        """Give every thread its copy of the probe and of its spectrum."""
        for copies, field in zip(self.copies, fields, strict=True):
            copies[:, 0, : len(field)] = field

    def give(self, merges: int, *fields: np.ndarray) -> None:
        """Put the probe and its spectrum back after so many times of averaging."""
        for copies, field in zip(self.copies, fields, strict=True):
            field[:] = copies[0, merges % copies.shape[1], : len(field)]
