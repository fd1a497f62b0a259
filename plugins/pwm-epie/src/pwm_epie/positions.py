"""Refinement of the scan positions between sweeps."""

from __future__ import annotations

from typing import Any

import torch
from pwm_ptychography.engine import Engine

from .affine import Affine


class Refinement:
    """Moves the frames by their least-squares displacement, with momentum.

    The errors of the given positions are taken to be independent of one another: their variance,
    estimated from the corrections, is the prior that holds frames of little structure and the smooth
    distortion that object and positions could share. The mean displacement, which only shifts the
    object, is taken off; with an affine map of the whole scan, which `Affine` finds, so is the affine
    part of the displacements.
    """

    gain = 2.0  # half of the change that a displacement makes is phase, which the data leave free
    friction = 0.6
    limit = 0.5  # pixels a step
    free_steps = 5  # first steps, under a weak prior: the corrections do not tell their spread yet
    weak = 0.01
    smallest = 0.05  # pixels, of the prior's standard deviation

    def __init__(self, engine: Engine, affine: Affine | None = None) -> None:
        self.engine, self.affine = engine, affine
        self.velocity = torch.zeros(engine.frames, 2, dtype=torch.float64)
        self.correction = torch.zeros(engine.frames, 2, dtype=torch.float64)
        self.steps = 0

    def step(self) -> None:
        """One step of all positions."""
        found = self.gain * self._displacements()
        bound = 10 * float(found.abs().median())
        found = found.clamp(-bound, bound)
        velocity = self.friction * self.velocity + (1 - self.friction) * found
        self.velocity = velocity.clamp(-self.limit, self.limit)
        self.engine.move(self.velocity)
        self.correction += self.velocity
        self.steps += 1

    def jumped(self, displacements: torch.Tensor) -> None:
        """Take note that frames have been moved by (frame, 2) pixels; they come to rest there."""
        self.correction += displacements
        self.velocity[displacements.any(1)] = 0

    def _displacements(self) -> torch.Tensor:
        """Least-squares displacements (frame, 2) under the prior, in pixels."""
        right, matrix = (e.double().cpu() for e in self.engine.position_equations())
        weight = self.weak if self.steps < self.free_steps else self._precision()
        right = right - weight * self.correction
        found = torch.linalg.solve(matrix + weight * torch.eye(2, dtype=torch.float64), right)
        return found - found.mean(0) if self.affine is None else self.affine.without(found)

    def _precision(self) -> float:
        """1/(4σ²): an amplitude has the variance 1/4; σ is a robust estimate from the corrections."""
        centred = self.correction - self.correction.median(0).values
        sigma = max(self.smallest, 1.4826 * float(centred.abs().median()))
        return 1 / (4 * sigma**2)


def refined(engine: Engine) -> dict[str, Any]:
    """The engine's positions as parameters of the operator, in which drift and jitter are contained."""
    return {
        "scan.positions": engine.positions(),
        "scan.drift": 0.0,
        "scan.jitter": torch.zeros(engine.frames, 2),
    }
