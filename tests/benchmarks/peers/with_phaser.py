"""phaser: its ePIE with default steps, one frame at a time, LSQ-ML and Adam, compiled by JAX."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import numpy as np
import pane
from phaser.execute import execute_engine
from phaser.hooks import EngineHook
from phaser.observer import Observer, ObserverSet
from phaser.state import (
    IterState,
    Patterns,
    PixelatedObjectState,
    PixelatedProbeState,
    PreparedRecons,
    ReconsState,
    ScanState,
)
from phaser.utils.num import Sampling, get_backend_module
from phaser.utils.object import ObjectSampling

from . import Watch


class _Watching(Observer):
    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def update_iteration(self, state: ReconsState, i: int, n: int, errors: dict[str, float]) -> None:
        self.watch(lambda: np.asarray(state.object.data[0]))  # what JAX still computes is waited for


def reconstruct(plan: dict[str, Any], scan: Any, sweeps: int, watch: Watch) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    shared = {"niter": sweeps, "obj_pad_px": 0.0, "group_constraints": [], "iter_constraints": []}
    prepared = _prepared(scan, _Watching(watch)).to_xp(get_backend_module("jax"))
    execute_engine(prepared, pane.from_data(plan | shared, EngineHook))


def _prepared(scan: Any, observer: Observer) -> PreparedRecons:
    """The scan in phaser's terms: pixels of 1 Å, a position is the centre of a patch."""
    frames = np.fft.ifftshift(scan.frames, axes=(-2, -1))
    centres = (scan.corners + (scan.window - 1) / 2).astype(np.float32)
    sampling = Sampling(scan.frames.shape[1:], sampling=(1.0, 1.0))
    probe = PixelatedProbeState(sampling, scan.probe[None].copy())
    grid = ObjectSampling(scan.truth.shape, (1.0, 1.0), corner=(0.0, 0.0))
    sample = PixelatedObjectState(grid, scan.start[None].copy(), np.zeros(0, np.float32))
    state = ReconsState(
        iter=IterState.empty(),
        wavelength=0.02,
        probe=probe,
        object=sample,
        scan=ScanState(centres, centres.copy()),
    )
    mask = np.ones(scan.frames.shape[1:], np.float32)
    return PreparedRecons(Patterns(frames, mask), state, "reference", ObserverSet((observer,)))


EPIE = {"type": "conventional", "grouping": 1, "noise_model": "amplitude", "solver": "epie"}

LSQML = {  # grouping and regularisation (tenth of the dose of a pixel) as its examples have, full steps
    "type": "conventional",
    "grouping": 20,
    "noise_model": {"type": "amplitude", "eps": 1.0},
    "solver": {"type": "lsqml", "illum_reg_object": 100.0, "illum_reg_probe": 0.0, "gamma": 0.0},
}

ADAM = {  # of steps 0.003, 0.01 and 0.03, and a tenth of the probe's pixels, the last is best
    "type": "gradient",
    "grouping": 20,
    "noise_model": "amplitude",
    "regularizers": [],
    "solvers": {
        "object": {"type": "adam", "learning_rate": 0.03},
        "probe": {"type": "adam", "learning_rate": 0.3},
    },
}

METHODS = {
    "phaser ePIE": partial(reconstruct, EPIE),
    "phaser LSQML": partial(reconstruct, LSQML),
    "phaser Adam": partial(reconstruct, ADAM),
}
