"""Λ: spectral selection, by the lines that elements emit or by a filter's passband."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import BadValue
from ..operator import Operator
from ..settings import param
from .tensors import Number, cast, constant, freeze, require, scalar


class Select(Operator):
    """A matrix (out, in) applied along one axis: (..., in, y, x) -> (..., out, y, x).

    A stack of emission lines (energy, element) turns element maps into spectra, a filter bank (band,
    wavelength) turns spectra into bands: one matrix product either way. ``axis`` counts from the end.
    """

    symbol = "Λ"

    matrix: np.ndarray
    axis: int = -3

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "matrix", ndim=2)
        _check_axis(self, self.axis)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        n = self.matrix.shape[1]
        _check_length(self, x, self.axis, n)
        matrix = constant(self, "matrix", x)
        matrix, x = _same_kind(matrix, x)
        if self.axis == -1:
            return x @ matrix.mT
        rest = x.shape[x.ndim + self.axis + 1 :]
        return (matrix @ x.flatten(self.axis + 1)).unflatten(-1, rest)


class Passband(Operator):
    """A Gaussian filter along a spectral axis: y(E) = exp(−(E − centre)²/2width²) · x(E).

    ``energies`` are those of the axis, in the unit of the parameters (keV; a subclass that works in
    wavelengths declares both again). The axis stays; a Σ behind it sums the band.
    """

    symbol = "Λ"

    centre: float = param(1.0, unit="keV", symbol="E₀", doc="centre of the passband")
    width: float = param(0.1, low=1e-12, unit="keV", symbol="ΔE", doc="rms width of the passband")
    energies: np.ndarray
    axis: int = -3

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "energies", ndim=1)
        _check_axis(self, self.axis)

    def apply(self, x: torch.Tensor, centre: Number, width: Number) -> torch.Tensor:
        _check_length(self, x, self.axis, len(self.energies))
        energies = torch.as_tensor(np.array(self.energies, dtype=np.float64), device=x.device)
        passed = torch.exp(-(((energies - scalar(centre, x)) / scalar(width, x)) ** 2) / 2)
        return x * cast(passed, x).reshape(-1, *[1] * (-self.axis - 1))


def _check_axis(node: Operator, axis: int) -> None:
    if axis >= 0:
        raise BadValue(f"{node}: axis must count from the end, such as -3, got {axis}")


def _check_length(node: Operator, x: torch.Tensor, axis: int, n: int) -> None:
    require(node, x)
    if x.ndim < -axis or x.shape[axis] != n:
        raise BadValue(f"{node} needs {n} elements along axis {axis}, got an input of shape {tuple(x.shape)}")


def _same_kind(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    kind = torch.promote_types(a.dtype, b.dtype)
    return a.to(kind), b.to(kind)
