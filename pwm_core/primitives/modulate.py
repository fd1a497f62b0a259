"""M: modulation, of a field by a known mask or absorber, or of a known beam by the object itself."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import BadValue
from ..operator import Operator
from ..settings import param
from .tensors import Number, cast, constant, freeze, require, scalar


class Modulate(Operator):
    """Multiplication by a known ``mask``: probe, aperture, coded mask, coil sensitivities.

    The mask, real or complex, meets the last axes of x and broadcasts like NumPy. With ``modes`` its
    first axis is a new one: x (..., y, x) becomes (..., mode, y, x), one field for each incoherent
    mode of a probe or each coil.
    """

    symbol = "M"

    mask: np.ndarray
    modes: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "mask")
        if self.modes and self.mask.ndim < 2:
            raise BadValue(
                f"{self}: a mask with modes needs a mode axis before its own, got {self.mask.shape}"
            )

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        shape = self.mask.shape[1:] if self.modes else self.mask.shape
        _broadcasts(self, x, shape)
        if self.modes:
            x = x.unsqueeze(x.ndim - len(shape))
        return x * constant(self, "mask", x)


class Absorb(Operator):
    """Attenuation of x by a known absorber: y = x · exp(−strength · depth).

    ``depth`` is its optical depth on the last axes of x; ``strength`` says how far the true absorber
    departs from it (1: as given). Linear in x.
    """

    symbol = "M"

    strength: float = param(1.0, low=0.0, symbol="m", doc="factor on the optical depth of the absorber")
    depth: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "depth")

    def apply(self, x: torch.Tensor, strength: Number) -> torch.Tensor:
        _broadcasts(self, x, self.depth.shape)
        return x * torch.exp(-cast(scalar(strength, x), x) * constant(self, "depth", x))


class BeerLambert(Operator):
    """Transmission of a known beam through the object: y = flux · exp(−x), x an optical depth.

    This is modulation with the object as the mask, and it stands before whatever sums intensities
    (sub-frames, energies), hence is no part of the detector. Not linear.
    """

    symbol = "M"
    linear = False

    flux: float = param(1.0, low=0.0, unit="quanta", symbol="I₀", doc="quanta a pixel in the open beam")

    def apply(self, x: torch.Tensor, flux: Number) -> torch.Tensor:
        require(self, x)
        return flux * torch.exp(-x)


def _broadcasts(node: Operator, x: torch.Tensor, shape: tuple[int, ...]) -> None:
    """BadValue unless an array of ``shape`` can multiply ``x`` without giving it more axes or elements."""
    require(node, x)
    tail = x.shape[x.ndim - len(shape) :]
    if x.ndim < len(shape) or any(a not in (1, n) for a, n in zip(shape, tail, strict=True)):
        raise BadValue(f"{node} has an array of shape {shape}, which does not fit the input {tuple(x.shape)}")
