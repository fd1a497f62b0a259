"""Positions, object and probe from sweeps of rPIE, each followed by a step of all positions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pwm_ptychography.engine import Engine

from .common import warm_up
from .likelihood import Positions

_FIRST = 9  # sweeps before positions move
_GAIN = 2.0  # half of the change that a displacement makes is phase, which the data leave free
_FRICTION = 0.6
_LIMIT = 0.5  # pixels a step


def settle_positions(
    engine: Engine, positions: Positions, rng: np.random.Generator, sweeps: int, update_probe: bool
) -> Iterator[float]:
    """Yield the misfit of each sweep. The positions' steps are least squares with momentum.

    (Odstrčil et al. 2018, doi:10.1364/OE.26.003108, section 2.5.)
    """
    velocity = torch.zeros_like(positions.correction)
    for sweep in range(sweeps):
        misfit = warm_up(engine, rng, update_probe)
        if sweep >= _FIRST:
            found = _GAIN * _displacements(engine, positions)
            bound = 10 * float(found.abs().median())
            velocity = _FRICTION * velocity + (1 - _FRICTION) * found.clamp(-bound, bound)
            velocity = velocity.clamp(-_LIMIT, _LIMIT)
            positions.shift(velocity)
        yield misfit


def _displacements(engine: Engine, positions: Positions) -> torch.Tensor:
    right, matrix = (e.double() for e in engine.position_equations())
    weight = 0.01 * matrix.diagonal(dim1=1, dim2=2).mean()
    found = torch.linalg.solve(
        matrix + weight * torch.eye(2, dtype=matrix.dtype, device=matrix.device), right
    )
    return found - found.mean(0)
