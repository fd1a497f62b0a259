"""pty-chi: the PIE family, least-squares and maximum likelihood, and projections of all exit waves."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import ptychi.api as api
from ptychi.api.task import PtychographyTask

from . import Watch


def reconstruct(options: Any, scan: Any, sweeps: int, watch: Watch) -> None:
    task = PtychographyTask(_described(options(), scan))
    for _ in range(sweeps):
        task.run(1)
        watch(lambda: task.get_data_to_cpu("object", as_numpy=True)[0])


def _described(options: Any, scan: Any) -> Any:
    """The scan in pty-chi's terms: a position is a patch's centre, the transform is not normalised."""
    centre = (scan.window - 1) / 2
    options.data_options.data = scan.frames
    options.object_options.initial_guess = scan.start[None]
    options.object_options.determine_position_origin_coords_by = api.ObjectPosOriginCoordsMethods.SPECIFIED
    options.object_options.position_origin_coords = [centre, centre]
    options.probe_options.initial_guess = scan.probe[None, None] / scan.window
    options.probe_position_options.position_y_px = scan.corners[:, 0].astype(np.float32)
    options.probe_position_options.position_x_px = scan.corners[:, 1].astype(np.float32)
    options.probe_position_options.optimizable = False
    options.reconstructor_options.default_device = api.Devices.CPU
    options.reconstructor_options.random_seed = 0
    return options


def _epie() -> Any:
    options = api.EPIEOptions()
    options.reconstructor_options.batch_size = 20
    options.object_options.alpha = options.probe_options.alpha = 1.0
    return options


def _rpie() -> Any:
    options = api.RPIEOptions()
    options.reconstructor_options.batch_size = 20
    options.object_options.alpha, options.probe_options.alpha = 0.5, 1.0  # it diverges with its 0.1, 0.1
    return options


def _lsqml() -> Any:
    options = api.LSQMLOptions()
    options.reconstructor_options.batch_size = 20
    return options


def _lsqml_compact() -> Any:
    options = api.LSQMLOptions()
    options.reconstructor_options.batch_size = 40
    options.reconstructor_options.batching_mode = api.BatchingModes.COMPACT
    options.reconstructor_options.momentum_acceleration_gain = 0.5
    return options


def _difference_map() -> Any:
    options = api.DMOptions()
    options.reconstructor_options.chunk_length = 20  # of no effect but on speed
    return options


def _raar() -> Any:
    """With its default β. Of release 2.2.0 it moves away with any: it adds β(Qψ − ψ), not β(ψ − Qψ)."""
    options = api.RAAROptions()
    options.reconstructor_options.chunk_length = 20
    return options


def _bilinear_hessian() -> Any:
    """Conjugate gradients on all frames; of ρ = 0.1 (for far fields), 0.03 and 0.01 the last is best."""
    options = api.BHOptions()
    options.reconstructor_options.method = "CG"
    options.reconstructor_options.batch_size = 400
    options.probe_options.rho = 0.01
    return options


def _adam() -> Any:
    """Automatic derivatives of the amplitude misfit; of steps 0.003, 0.01 and 0.03 the last is best."""
    options = api.AutodiffPtychographyOptions()
    options.reconstructor_options.batch_size = 20
    options.object_options.optimizer = options.probe_options.optimizer = api.Optimizers.ADAM
    options.object_options.step_size, options.probe_options.step_size = 0.03, 0.006
    return options


METHODS = {
    "pty-chi ePIE": partial(reconstruct, _epie),
    "pty-chi rPIE": partial(reconstruct, _rpie),
    "pty-chi LSQML": partial(reconstruct, _lsqml),
    "pty-chi LSQML compact": partial(reconstruct, _lsqml_compact),
    "pty-chi difference map": partial(reconstruct, _difference_map),
    "pty-chi RAAR": partial(reconstruct, _raar),
    "pty-chi BH CG": partial(reconstruct, _bilinear_hessian),
    "pty-chi Adam": partial(reconstruct, _adam),
}
