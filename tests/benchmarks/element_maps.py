"""The simulated maps of six elements under the X-ray microprobe on which spectral fits are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pwm_spectroscopy.operator import spectrum_image_of
from pwm_spectroscopy.scenes.scene import Maps
from pwm_spectroscopy.scenes.shapes import Canvas
from pwm_spectroscopy.scenes.xrf_samples import SAMPLES
from pwm_spectroscopy.xrf import XRF

from pwm_core import Problem

ELEMENTS = ("S", "Ca", "Ti", "Ba", "Fe", "Pb")
_PAINT = next(s for s in SAMPLES if s.name == "paint")


def _drawn(canvas: Canvas) -> Maps:
    return {name: part for name, part in _PAINT.draw(canvas).items() if name != "Zn"}


class SixElements(XRF):
    """The scene ``paint`` without zinc: Ba L on Ti K, Pb M on S K, and the matrix that scatters."""

    scenes = ("paint",)
    samples = (
        replace(_PAINT, full_scale={c: v for c, v in _PAINT.full_scale.items() if c != "Zn"}, draw=_drawn),
    )


@dataclass(frozen=True)
class Map:
    """``truth`` (element, y, x) is what the beam covers at each step, µg/cm²: fits of spectra leave blur."""

    problem: Problem
    truth: np.ndarray

    def quality(self, maps: np.ndarray) -> tuple[float, float]:
        """Mean over the elements of PSNR (dB, after the best scale, peak = true maximum) and correlation."""
        found = []
        for estimate, truth in zip(np.asarray(maps, np.float64), self.truth, strict=True):
            error = estimate * (np.vdot(estimate, truth) / np.vdot(estimate, estimate)) - truth
            psnr = 10 * np.log10(truth.max() ** 2 / np.mean(error**2))
            found.append((psnr, np.corrcoef(estimate.ravel(), truth.ravel())[0, 1]))
        psnr, correlation = np.mean(found, axis=0)
        return float(psnr), float(correlation)


def six_elements(photons: float) -> Map:
    """128 × 128 pixels, 1024 channels; 2e8 ``photons`` make 600 counts on a pixel."""
    import torch

    problem, truth = SixElements(photons=photons).simulate("paint")
    operator = spectrum_image_of(problem)
    assert operator.elements == ELEMENTS
    blurred = operator.beam.blur(torch.as_tensor(truth.x), operator.beam.width(operator.beam.values()))
    return Map(problem, blurred.numpy()[: len(ELEMENTS)].astype(np.float64))
