"""The recursive average of fluoroscopy consoles."""

from __future__ import annotations

import numpy as np

from pwm_core import Denoiser, param


class RecursiveAverage(Denoiser):
    """Each frame is mixed with the average so far: s_n = w y_n + (1 − w) s_{n−1}, s_0 = y_0.

    What stands still keeps its value, with w / (2 − w) of the noise variance; what moves leaves a trail. Only
    frames of the past are used, so that it runs live. Leading axis: time (Brailean et al. 1995,
    doi:10.1109/5.406412).
    """

    weight: float = param(0.4, low=0.01, high=1.0, doc="part of the new frame")

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        if sigma == 0 or image.ndim < 3:
            return image.copy()
        out = np.array(image, dtype=np.float64)
        for n in range(1, len(out)):
            out[n] = self.weight * out[n] + (1 - self.weight) * out[n - 1]
        return out.astype(image.dtype)
