"""A calibrator and a reconstructor driven together, as one method."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .method import Calibrator, Iterate, Reconstructor
from .problem import Problem


class Calibrated(Reconstructor):
    """Estimates θ with ``calibrator``, which calls ``reconstructor`` for the object."""

    calibrator: Calibrator
    reconstructor: Reconstructor

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        yield from self.calibrator.solve(problem, self.reconstructor, rng)
