"""Refinement of the scan positions between sweeps."""

from __future__ import annotations

from typing import Any

import torch
from pwm_ptychography.engine import Engine


class Refinement:
    """Moves the frames by their least-squares displacement, with momentum.

    The displacement of a frame is the one whose effect on its exit wave comes closest to the change
    that the measured modulus asks for (Odstrčil et al. 2018, doi:10.1364/OE.26.003108). Steps are
    limited to ten median absolute deviations and half a pixel; the mean displacement, which only
    shifts the object, is taken off.
    """

    gain = 2.0  # a single least-squares step sees about a quarter of the error
    friction = 0.6
    limit = 0.5  # pixels

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.velocity = torch.zeros(engine.frames, 2, dtype=torch.float64)

    def step(self) -> None:
        """One step of all positions."""
        found = self.gain * self.engine.displacements().double().cpu()
        found -= found.mean(0)
        typical = found.abs().median()
        found = found.clamp(-10 * typical, 10 * typical)
        self.velocity = (self.friction * self.velocity + (1 - self.friction) * found).clamp(
            -self.limit, self.limit
        )
        self.engine.move(self.velocity)

    def theta(self) -> dict[str, Any]:
        """The refined positions as parameters of the operator, in which drift and jitter are contained."""
        return {
            "scan.positions": self.engine.positions(),
            "scan.drift": 0.0,
            "scan.jitter": torch.zeros(self.engine.frames, 2),
        }
