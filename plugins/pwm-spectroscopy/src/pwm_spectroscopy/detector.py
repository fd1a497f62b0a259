"""D: an energy-dispersive silicon detector, from photons of each line to counts in each channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from pwm_core.errors import BadValue
from pwm_core.noise import Noise, Poisson
from pwm_core.operator import Operator, Theta
from pwm_core.primitives.tensors import Number, cast, constant, freeze, require, scalar
from pwm_core.settings import param

from .silicon import FWHM, MN_KA, SILICON_K, SPREAD

_REACH = 6.0  # rms widths beyond which a line has nothing left


class EnergyDetector(Operator):
    """Lines (line, y, x) to spectra (energy, y, x): channel k counts photons about zero + gain · k keV.

    Each line becomes a Gaussian integrated over the channels, FWHM² = noise² + 2.355² ε F E with
    ε = 3.85 eV and F = 0.114 in silicon, and the part ``escapes`` of it appears 1.740 keV lower.
    ``efficiency`` is the part of the photons that are counted, ``doppler`` a FWHM (keV) that lines
    bring along; all three are (line,). ``pile_up`` p counts two photons as one with the sum of their
    energies: λ becomes (1 − 2pΛ) λ + p λ⊛λ with Λ the counts of the pixel. With p = 0 all is linear.
    """

    symbol = "D"

    energies: np.ndarray  # (line,) keV, nominal
    efficiency: np.ndarray
    escapes: np.ndarray
    doppler: np.ndarray
    channels: int
    base_solid_angle: float  # sr
    zero: float = param(unit="keV", symbol="E₀", doc="energy of channel 0")
    gain: float = param(low=1e-9, unit="keV", symbol="g", doc="energy of one channel")
    resolution: float = param(low=120.0, high=1000.0, unit="eV", symbol="d_r", doc="FWHM at Mn Kα")
    pile_up: float = 0.0  # 1/count: about twice the time that separates two pulses, over the live time

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("energies", "efficiency", "escapes", "doppler"):
            freeze(self, name, ndim=1)
        if not 0 <= self.pile_up <= 1e-2:
            raise BadValue(f"{self}: pile_up must lie in [0, 0.01] for each count, got {self.pile_up}")

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return self.pile_up == 0

    def apply(self, x: torch.Tensor, **theta: Any) -> torch.Tensor:
        require(self, x, line=len(self.energies), y=None, x=None)
        matrix = cast(self.response(x, self._of("energies", x), **theta), x)
        counts = (matrix @ x.flatten(-2)).unflatten(-1, x.shape[-2:])
        return self.piled(counts, theta["zero"], theta["gain"])

    def noise(self, theta: Theta | None = None) -> Noise | None:
        return Poisson()

    def response(
        self,
        like: torch.Tensor,
        energies: torch.Tensor,
        *args: Any,
        zero: Number,
        gain: Number,
        resolution: Number,
        broadening: Number = 1.0,
        **theta: Any,
    ) -> torch.Tensor:
        """Counts in each channel for one photon of each line into all directions: (channel, line).

        ``broadening`` multiplies the width of all lines.
        """
        noise2 = (1e-3 * scalar(resolution, like)) ** 2 - SPREAD * MN_KA
        doppler2 = self._of("doppler", like) ** 2
        start, step = scalar(zero, like), scalar(gain, like)

        def peaks(at: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
            width2 = (noise2 + SPREAD * at.clamp(min=0.0)).clamp(min=1e-6) + extra
            sigma = scalar(broadening, like) * torch.sqrt(width2) / FWHM
            return _gaussians(at, sigma, start, step, self.channels)

        escapes = self._of("escapes", like)
        matrix = (1 - escapes) * peaks(energies, doppler2)
        some = torch.from_numpy(np.flatnonzero(self.escapes)).to(like.device)
        lower = escapes[some] * peaks(energies[some] - SILICON_K, doppler2[some])
        matrix = matrix.index_add(1, some, lower)
        return matrix * (self._of("efficiency", like) * self.base_solid_angle / (4 * math.pi))

    def piled(self, counts: torch.Tensor, zero: Number, gain: Number) -> torch.Tensor:
        """Counts (energy, y, x) with sum peaks."""
        if not self.pile_up:
            return counts
        n = self.channels
        spectrum = torch.fft.rfft(counts, n=2 * n, dim=-3)
        sums = torch.fft.irfft(spectrum**2, n=2 * n, dim=-3)
        shift = round(float(scalar(zero, counts).detach() / scalar(gain, counts).detach()))
        sums = _moved(sums, shift, n)  # channels i and j add up to i + j + zero/gain
        return counts * (1 - 2 * self.pile_up * counts.sum(-3, keepdim=True)) + self.pile_up * sums

    def _of(self, name: str, like: torch.Tensor) -> torch.Tensor:
        return constant(self, name, torch.empty(0, dtype=torch.float64, device=like.device))


class EDXDetector(EnergyDetector):
    """An EDX detector with the errors of its geometry and of its pulse processing."""

    solid_angle: float = param(0.0, low=-0.69, high=10.0, unit="sr", symbol="d_s", doc="added to the base")
    peak_overlap: float = param(
        0.0, low=-9.0, high=90.0, symbol="p_o", doc="tenths by which all lines are wider than nominal"
    )

    def response(
        self,
        like: torch.Tensor,
        energies: torch.Tensor,
        *args: Any,
        solid_angle: Number = 0.0,
        peak_overlap: Number = 0.0,
        **theta: Any,
    ) -> torch.Tensor:
        broadening = 1 + 0.1 * scalar(peak_overlap, like)
        matrix = super().response(like, energies, broadening=broadening, **theta)
        return matrix * (1 + scalar(solid_angle, like) / self.base_solid_angle)


def _gaussians(
    at: torch.Tensor, sigma: torch.Tensor, zero: torch.Tensor, gain: torch.Tensor, channels: int
) -> torch.Tensor:
    """Gaussians of area 1 at energies ``at`` (line,), integrated over channels: (channel, line)."""
    middle = torch.round((at - zero) / gain).detach()
    reach = 1 + math.ceil(_REACH * float((sigma / gain).detach().max())) if len(at) else 0
    rows = middle + torch.arange(-reach, reach + 1, dtype=torch.float64, device=at.device)[:, None]
    last = torch.arange(-reach, reach + 2, dtype=torch.float64, device=at.device)[:, None] - 0.5
    edges = zero + gain * (middle + last)
    parts = torch.diff(torch.erf((edges - at) / (math.sqrt(2) * sigma)) / 2, dim=0)
    inside = (rows >= 0) & (rows < channels)
    index = rows.clamp(0, channels - 1).long()
    empty = torch.zeros(channels, len(at), dtype=torch.float64, device=at.device)
    return empty.scatter_add(0, index, parts * inside)


def _moved(spectra: torch.Tensor, shift: int, channels: int) -> torch.Tensor:
    """The first ``channels`` of the spectra moved up by ``shift`` channels."""
    first = max(0, -shift)
    kept = spectra.narrow(-3, first, min(spectra.shape[-3] - first, channels - max(0, shift)))
    below = max(0, shift)
    above = channels - below - kept.shape[-3]
    return torch.nn.functional.pad(kept, (0, 0, 0, 0, below, above))
