"""M: the beam on the sample, its dose and its footprint."""

from __future__ import annotations

from typing import Any

import torch

from pwm_core.operator import Operator
from pwm_core.primitives.fourier import filter2, frequency_grid
from pwm_core.primitives.tensors import Number, cast, require, scalar
from pwm_core.settings import param

from .silicon import FWHM


class Beam(Operator):
    """Component maps (component, y, x) as the beam averages them, times the quanta on each pixel.

    The footprint is Gaussian; beyond its border the sample is taken to repeat.
    """

    symbol = "M"

    pixel: float  # step of the scan, in the unit of the width

    def blur(self, x: torch.Tensor, width: Number) -> torch.Tensor:
        """The maps averaged over a footprint of this FWHM."""
        require(self, x, y=None, x=None)
        if isinstance(width, (int, float)) and width == 0:
            return x
        fy, fx = frequency_grid((x.shape[-2], x.shape[-1]), self.pixel, x.device)
        sigma = scalar(width, x) / FWHM
        return filter2(x, cast(torch.exp(-2 * (torch.pi * sigma) ** 2 * (fy**2 + fx**2)), x))

    def width(self, theta: dict[str, Any]) -> Any:
        """The FWHM among the node's parameters."""
        raise TypeError(f"{type(self).__name__} has no width")

    def apply(self, x: torch.Tensor, dose: Number, **theta: Any) -> torch.Tensor:
        return cast(scalar(dose, x), x) * self.blur(x, self.width(theta))


class XRayBeam(Beam):
    """A focused monochromatic X-ray beam. Its energy acts in the emission and in the scatter lines."""

    energy: float  # keV, nominal
    dose: float = param(low=0.0, unit="photons", symbol="N₀", doc="photons on a pixel")
    energy_drift: float = param(
        0.0, low=-0.5, high=0.5, unit="keV", symbol="e_e", doc="added to the photon energy"
    )
    spot_size: float = param(low=0.0, unit="um", symbol="b_s", doc="FWHM of the beam on the sample")

    def width(self, theta: dict[str, Any]) -> Any:
        return theta["spot_size"]


class ElectronBeam(Beam):
    """A focused electron probe."""

    energy: float  # keV
    dose: float = param(low=0.0, unit="electrons", symbol="N₀", doc="electrons on a pixel")
    probe_size: float = param(low=0.0, unit="nm", symbol="b", doc="FWHM of the probe in the sample")

    def width(self, theta: dict[str, Any]) -> Any:
        return theta["probe_size"]
