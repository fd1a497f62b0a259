"""PtyLab: ePIE and mPIE with its default steps, transforms without shifts."""

from __future__ import annotations

from typing import Any

import numpy as np
from PtyLab import Engines
from PtyLab.ExperimentalData.ExperimentalData import ExperimentalData
from PtyLab.Monitor.Monitor import DummyMonitor
from PtyLab.Params.Params import Params
from PtyLab.Reconstruction.Reconstruction import Reconstruction

from . import Watch


def epie(scan: Any, sweeps: int, watch: Watch) -> None:
    engine = _engine(Engines.ePIE, scan, sweeps)
    for _, frame in engine.reconstruct_stepwise():
        if frame == len(scan.frames) - 1:
            watch(lambda: _object(engine, scan))


def mpie(scan: Any, sweeps: int, watch: Watch) -> None:
    engine = _engine(Engines.mPIE, scan, sweeps)
    engine.reconstruct(vis_after_each_iteration=lambda *_: watch(lambda: _object(engine, scan)))


def _engine(kind: Any, scan: Any, sweeps: int) -> Any:
    n, size = scan.window, max(scan.truth.shape)
    data = ExperimentalData(operationMode="CPM")
    data.ptychogram = scan.frames
    data.wavelength, data.dxd, data.zo = 1.0, 1.0, float(n)  # makes a pixel of the object 1
    data.encoder = scan.corners - float(size // 2 - n // 2)
    data.entrancePupilDiameter, data.spectralDensity, data.theta, data.emptyBeam = n / 2, None, None, None
    data._setData()
    params = Params()
    params.gpuSwitch = False
    params.fftshiftSwitch = True
    state = Reconstruction(data, params)
    state.No = size
    state.initializeObjectProbe()
    assert np.array_equal(state.positions, scan.corners)
    height, width = scan.start.shape
    state.object[..., :height, :width] = scan.start
    state.probe[...] = scan.probe
    monitor = DummyMonitor()
    monitor.figureUpdateFrequency = sweeps + 1
    np.random.seed(0)  # noqa: NPY002  PtyLab draws its orders from the global generator
    engine = kind(state, data, params, monitor)
    engine.numIterations = sweeps
    return engine


def _object(engine: Any, scan: Any) -> np.ndarray:
    height, width = scan.truth.shape
    return engine.reconstruction.object[0, 0, 0, 0, :height, :width]


METHODS = {"PtyLab ePIE": epie, "PtyLab mPIE": mpie}
