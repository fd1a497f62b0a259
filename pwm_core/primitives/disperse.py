"""W: a shift that depends on wavelength, as behind a prism or a grating."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import pad

from ..errors import BadValue
from ..operator import Operator
from ..settings import param
from .fourier import shift_last
from .tensors import Number, freeze, require, scalar


class Disperse(Operator):
    """Each band of x (..., band, y, x) moved along an image axis by slope·Δλ + curvature·Δλ² pixels.

    Δλ = wavelength − ``reference`` (default: the first band), in nm. A grating has a slope alone; a
    prism bends the line. Sub-pixel shifts by Fourier interpolation, exact for band-limited images
    and periodic: ``margin`` zero pixels appended to the axis keep what leaves the scene from
    coming back on the other side, (..., band, y, x + margin).
    """

    symbol = "W"

    slope: float = param(1.0, unit="px/nm", symbol="α", doc="dispersion at the reference wavelength")
    curvature: float = param(
        0.0, unit="px/nm**2", symbol="β", doc="change of the dispersion with wavelength, halved"
    )
    wavelengths: np.ndarray  # nm, one a band
    reference: float | None = None  # nm
    axis: int = -1
    margin: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "wavelengths", ndim=1)
        if self.axis not in (-2, -1):
            raise BadValue(f"{self}: axis must be -1 (x) or -2 (y), got {self.axis}")
        if self.margin < 0:
            raise BadValue(f"{self}: margin must not be negative, got {self.margin}")

    def apply(self, x: torch.Tensor, slope: Number, curvature: Number) -> torch.Tensor:
        require(self, x, band=len(self.wavelengths), y=None, x=None)
        reference = self.wavelengths[0] if self.reference is None else self.reference
        offset = torch.as_tensor(self.wavelengths - reference, dtype=torch.float64, device=x.device)
        shift = scalar(slope, x) * offset + scalar(curvature, x) * offset**2
        lines = pad(x.transpose(self.axis, -1), (0, self.margin))
        return shift_last(lines, shift[:, None]).transpose(self.axis, -1)
