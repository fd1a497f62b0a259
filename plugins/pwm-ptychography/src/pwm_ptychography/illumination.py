"""The illumination: its modes at the sample as a function of defocus error and source width."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from pwm_core.operator import Operator
from pwm_core.settings import param

# Two-dimensional Gaussian quadrature of degree 5 with seven points, for unit variance per axis:
# the centre with weight 1/2 and a hexagon of radius 2 with weight 1/12 each (Stroud 1971, E2r2 5-1).
_HEXAGON = [(2 * math.sin(math.pi * k / 3), 2 * math.cos(math.pi * k / 3)) for k in range(6)]
SOURCE_POINTS = np.array([(0.0, 0.0), *_HEXAGON])
SOURCE_WEIGHTS = np.array([1 / 2, *[1 / 12] * 6])


class Probe(Operator):
    """M: multiply each patch of the object, (frame, y, x), by the modes: (frame, mode, y, x).

    The nominal wave ``wave`` (mode, y, x), in √counts, is given in the plane of the sample. A relative
    error ``error`` of its defocus moves the sample by defocus·error along the beam: the wave is
    propagated by that distance (Fresnel), which changes its curvature and size. The source has an rms
    width of ``source_width`` + ``coherence`` at the sample; each of its points illuminates with a
    displaced wave, and the points add incoherently (Gaussian quadrature of degree 5).

    ``modes``, where a method has retrieved them, replace all of this. With ``weights`` they are added
    coherently, differently in each frame: an illumination that changes during the scan. ``flux`` is the
    incident intensity of each frame relative to their mean.
    """

    symbol = "M"

    wave: np.ndarray
    pixel_size: float  # m
    wavelength: float | None = None  # m
    defocus: float | None = None  # m, focus to sample
    source_width: float = 0.0  # m, rms
    modes: Any = param(
        None, unit="√counts", symbol="P", doc="retrieved modes (mode, y, x); replace the model"
    )
    weights: Any = param(None, symbol="u", doc="coherent weights of the modes (frame, mode)")
    flux: Any = param(None, symbol="c", doc="relative incident intensity (frame)")
    error: float = param(
        0.0, low=-50.0, high=50.0, unit="%", symbol="ΔP", doc="relative error of the defocus"
    )
    coherence: float = param(
        0.0, low=-1000.0, high=1000.0, unit="nm", symbol="σ_c", doc="added to the rms width of the source"
    )

    def apply(
        self, x: torch.Tensor, modes: Any, weights: Any, flux: Any, error: Any, coherence: Any
    ) -> torch.Tensor:
        return x[..., None, :, :] * in_frames(self.at_sample(x, modes, error, coherence), weights, flux)

    def at_sample(self, like: torch.Tensor, modes: Any, error: Any, coherence: Any) -> torch.Tensor:
        """The modes (mode, y, x) at the sample, in the precision of ``like`` and on its device."""
        if modes is not None:
            return torch.as_tensor(modes, device=like.device).to(like.dtype)
        wave = torch.as_tensor(self.wave, device=like.device).to(like.dtype)
        if self.defocus is not None and not _is_zero(error):
            wave = self._propagated(wave, error / 100 * self.defocus)
        width = self.source_width + 1e-9 * coherence
        return wave if _is_zero(width) else self._spread(wave, width)

    def _propagated(self, wave: torch.Tensor, distance: Any) -> torch.Tensor:
        if self.wavelength is None:
            raise TypeError("a probe with a defocus needs its wavelength")
        ky, kx = frequencies(wave)
        phase = (
            -math.pi
            * self.wavelength
            * distance
            * ((ky / self.pixel_size) ** 2 + (kx / self.pixel_size) ** 2)
        )
        return _filtered(wave, torch.exp(1j * phase))

    def _spread(self, wave: torch.Tensor, width: Any) -> torch.Tensor:
        """Modes √w_k · wave(r − s_k), all source points of all waves."""
        ky, kx = frequencies(wave)
        points = torch.as_tensor(SOURCE_POINTS, device=wave.device).to(ky.dtype) * (width / self.pixel_size)
        ramp = -2 * math.pi * (points[:, 0, None, None] * ky + points[:, 1, None, None] * kx)
        weights = torch.as_tensor(SOURCE_WEIGHTS, device=wave.device).to(ky.dtype).sqrt()[:, None, None]
        return _filtered(wave[:, None], weights * torch.exp(1j * ramp)).flatten(0, 1)


def in_frames(modes: torch.Tensor, weights: Any, flux: Any) -> torch.Tensor:
    """The modes (mode, y, x) as they are in each frame: (frame or 1, mode, y, x)."""
    inside = modes[None]
    if weights is not None:
        weights = torch.as_tensor(weights, device=modes.device).to(modes.dtype)
        inside = torch.einsum("fm,myx->fyx", weights, modes)[:, None]
    if flux is not None:
        flux = torch.as_tensor(flux, device=modes.device).to(modes.real.dtype)
        inside = inside * flux.sqrt()[:, None, None, None]
    return inside


def frequencies(wave: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Spatial frequencies (cycles per pixel) along y, as a column, and along x, in FFT order."""
    real = wave.real.dtype if wave.is_complex() else wave.dtype
    ky = torch.fft.fftfreq(wave.shape[-2], dtype=real, device=wave.device)[:, None]
    return ky, torch.fft.fftfreq(wave.shape[-1], dtype=real, device=wave.device)


def displaced(wave: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Waves (frame or 1, mode, y, x) moved by ``shift`` (frame, 2) pixels, in Fourier space."""
    return _filtered(wave, shift_ramp(wave, shift))


def shift_ramp(wave: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """What the spectrum of ``wave`` is multiplied by to move it by ``shift`` (frame, 2): (frame, 1, y, x)."""
    ky, kx = frequencies(wave)
    along_y, along_x = (
        torch.exp(-2j * math.pi * shift[:, k, None, None] * f) for k, f in enumerate((ky, kx))
    )
    return (along_y * along_x)[:, None]  # an exponential for each pixel would take far longer


def _filtered(wave: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    return torch.fft.ifft2(torch.fft.fft2(wave) * transfer.to(wave.dtype))


def _is_zero(value: Any) -> bool:
    return not isinstance(value, torch.Tensor) and value == 0
