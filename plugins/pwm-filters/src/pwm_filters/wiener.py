"""The local adaptive Wiener filter."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from pwm_core import Denoiser, param
from pwm_core.errors import BadValue


class Wiener(Denoiser):
    """Each pixel moves towards its neighbourhood's mean, the less the more that varies beyond the noise.

    x̂ = m + max(v − σ², 0) / max(v, σ²) · (y − m), with the mean m and the variance v of the window
    (Lee 1980, doi:10.1109/TPAMI.1980.4766994; what MATLAB's wiener2 and SciPy's ``wiener`` compute).
    """

    window: int = param(5, low=3, high=101, unit="px", doc="width of the neighbourhood, odd")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window % 2 == 0:
            raise BadValue(f"Wiener: window must be odd, got {self.window}")

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        size = (self.window, self.window)
        y = np.asarray(image, dtype=np.float64)
        offset = y.mean(axis=(-2, -1), keepdims=True)  # variances of numbers far from zero lose digits
        y = y - offset
        mean = uniform_filter(y, size, axes=(-2, -1), mode="reflect")
        variance = uniform_filter(y * y, size, axes=(-2, -1), mode="reflect") - mean**2
        noise = max(sigma**2, 1e-300)
        gain = np.maximum(variance - noise, 0) / np.maximum(variance, noise)
        return (mean + gain * (y - mean) + offset).astype(image.dtype)
