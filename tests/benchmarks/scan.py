"""The simulated scan on which methods and peers are compared."""

from __future__ import annotations

import runpy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pwm_ptychography.align import aligned
from pwm_ptychography.modality import illuminated
from pwm_ptychography.operator import diffraction_of

from pwm_core import Problem
from pwm_core.metrics import nrmse, psnr, ssim

_TESTS = Path(__file__).resolve().parents[2] / "plugins" / "pwm-epie" / "tests" / "test_epie.py"


@dataclass(frozen=True)
class Scan:
    """What every package gets, in plain arrays, and what its result is held against.

    ``frames`` (frame, y, x) counts, zero frequency at [n/2, n/2];  ``corners`` (frame, 2) first pixel of
    each patch;  ``probe`` (y, x) in √counts, the wrong one;  ``start`` and ``truth`` (y, x) the object.
    """

    frames: np.ndarray
    corners: np.ndarray
    probe: np.ndarray
    start: np.ndarray
    truth: np.ndarray
    region: tuple[slice, slice]
    problem: Problem

    @property
    def window(self) -> int:
        return int(self.frames.shape[-1])

    def quality(self, found: np.ndarray) -> dict[str, float]:
        """NRMSE of the complex object, PSNR (dB) and SSIM of its phase, in the illuminated rectangle."""
        if not np.isfinite(found).all():
            return {"nrmse": float("nan"), "psnr": float("nan"), "ssim": float("nan")}
        part, truth = aligned(found, self.truth, self.region)[self.region], self.truth[self.region]
        phase = np.angle(truth)
        estimate = phase + np.angle(part * truth.conj())  # a phase near ±π is not an error of 2π
        return {"nrmse": nrmse(part, truth), "psnr": psnr(estimate, phase), "ssim": ssim(estimate, phase)}

    def at_the_truth(self) -> Scan:
        """The same without noise, started from the true object with the probe that made the data."""
        clean = self.problem.operator(self.truth).astype(np.float32)
        problem = self.problem.replace(y=clean, initial=self.truth)
        return replace(self, frames=clean, start=self.truth, problem=problem)


def reference(window: int, **options: Any) -> Scan:
    """The scan that the tests of ePIE use: 400 frames of 1e5 photons, 65 % overlap, a wrong probe."""
    problem, truth = _reference_scan()(n=window, **options)
    operator = diffraction_of(problem)
    corners, fractions = operator.scan.corners(operator.scan.positions)
    assert not fractions.any()  # whole pixels, so that no package interpolates
    return Scan(
        frames=np.asarray(problem.y),
        corners=corners.numpy(),
        probe=np.asarray(operator.probe.wave)[0],
        start=np.asarray(problem.initial),
        truth=truth,
        region=illuminated(operator),
        problem=problem,
    )


def _reference_scan() -> Any:
    return runpy.run_path(str(_TESTS))["reference_scan"]
