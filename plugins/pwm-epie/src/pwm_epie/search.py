"""Frames that are further off than their gradient shows are looked for all around."""

from __future__ import annotations

import torch
from pwm_ptychography.engine import Engine

ROUNDS = 4
GAIN = 0.9  # of the present misfit: a frame goes where it has less than that
FINENESS = 4  # places tried from the centre to the reach, at least a pixel apart


class Search:
    """Compares frames with the data at places on a grid, and takes the best (after Maiden et al. 2012).

    doi:10.1016/j.ultramic.2012.06.001. Half of the frames are looked for, those of the largest misfit. The
    others are what the object is made of. A step costs about 25 sweeps.
    """

    def __init__(self, engine: Engine, reach: float) -> None:
        self.engine = engine
        spacing = max(1.0, reach / FINENESS)
        ticks = spacing * torch.arange(-int(reach / spacing), int(reach / spacing) + 1, dtype=torch.float64)
        grid = torch.cartesian_prod(ticks, ticks)
        distance = grid.norm(dim=1)
        self.grid = grid[(distance > 0) & (distance <= reach + 1e-9)]

    def step(self) -> torch.Tensor:
        """Move the frames that lie better elsewhere; returns how far all have moved (frame, 2), in pixels."""
        engine = self.engine
        first = self._places()
        misfits = engine.misfits(torch.arange(engine.frames)).cpu()
        frames = misfits.argsort(descending=True)[: (engine.frames + 1) // 2]
        least, best = GAIN * misfits[frames], first.clone()
        for offset in self.grid:
            there = first.clone()
            there[frames] += offset
            engine.move(there - self._places())
            found, places = engine.misfits(frames).cpu(), self._places()
            better = found < least
            least = torch.where(better, found, least)
            best[frames[better]] = places[frames[better]]
        engine.move(best - self._places())
        return self._places() - first

    def _places(self) -> torch.Tensor:
        return self.engine.positions().cpu() / self.engine.operator.scan.pixel_size
