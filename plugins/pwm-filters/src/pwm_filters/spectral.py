"""The Wiener filter in Fourier space with the image's own power spectrum."""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

from pwm_core import Denoiser, param


class SpectralWiener(Denoiser):
    """Keeps the frequencies at which the image has more power than its noise.

    x̂ = F⁻¹[S / (S + N) · F y], where N is the noise's power and S = max(P − excess · N, 0) comes from the
    periodogram |F y|², smoothed to P over a few frequencies. On a lattice the power gathers in
    few reflections, which stand far above white noise; what is aperiodic (edges, single defects) is
    smeared. Kilaas 1998, doi:10.1046/j.1365-2818.1998.3070861.x, with a smoothed periodogram in two
    dimensions for the radial average.
    """

    smoothing: float = param(
        2.0, low=0.0, high=20.0, doc="rms width of the smoothing, in half a frequency step"
    )
    excess: float = param(1.5, low=0.0, high=10.0, doc="times the noise power taken off the periodogram")

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        if sigma == 0:
            return image.copy()
        height, width = image.shape[-2:]
        edges = [(0, 0)] * (image.ndim - 2) + [(n // 4, n - n // 4) for n in (height, width)]
        y = np.pad(np.asarray(image), edges, mode="symmetric")  # no seam at the border
        mean = y.mean(axis=(-2, -1), keepdims=True)
        spectrum = scipy.fft.fft2(y - mean)
        noise = sigma**2 * y.shape[-2] * y.shape[-1]
        power = spectrum.real**2 + spectrum.imag**2  # mirroring pixels leaves the noise's mean level as it is
        power = gaussian_filter(power, (self.smoothing, self.smoothing), axes=(-2, -1), mode="wrap")
        signal = np.maximum(power - self.excess * noise, 0)
        clean = scipy.fft.ifft2(spectrum * (signal / (signal + noise))).real + mean
        top, left = height // 4, width // 4
        return clean[..., top : top + height, left : left + width].astype(image.dtype)
