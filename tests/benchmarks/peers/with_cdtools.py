"""cdtools: its plain ptychography model with Adam, in the settings of its examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from cdtools.datasets import Ptycho2DDataset
from cdtools.models import SimplePtycho

from . import Watch

BASIS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])  # a pixel is one unit along y, then x


def adam(scan: Any, sweeps: int, watch: Watch) -> None:
    torch.manual_seed(0)
    moves = np.pad(scan.corners, ((0, 0), (0, 1))).astype(np.float32)
    geometry = {"basis": BASIS, "distance": 1.0, "corner": None}
    data = Ptycho2DDataset(
        torch.from_numpy(moves),
        torch.from_numpy(scan.frames),
        wavelength=1.0,
        detector_geometry=geometry,
        mask=torch.ones(scan.frames.shape[1:], dtype=torch.bool),
    )
    model = SimplePtycho(1.0, BASIS, torch.from_numpy(scan.probe), torch.from_numpy(scan.start))
    for _ in model.Adam_optimize(sweeps, data, lr=0.02, batch_size=20, thread=False):
        watch(lambda: model.obj.detach().numpy())


METHODS = {"cdtools Adam": adam}
