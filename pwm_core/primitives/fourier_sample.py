"""F: samples of the object's Fourier transform, as an MRI scanner or an interferometer takes them."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import BadValue
from ..operator import Operator
from ..settings import param
from .fourier import centred_fft2
from .tensors import Number, as_complex, cast, freeze, require, scalar


class FourierSample(Operator):
    """k-space samples of x: (..., y, x) -> (..., sample), complex.

    Where they lie is given by one of

    ``mask``    (y, x), true where the centred grid is sampled (zero frequency at n//2); the samples
                come in the order of the grid
    ``points``  (sample, 2), ky and kx in cycles per pixel, anywhere: the exact non-uniform discrete
                Fourier transform, as two matrix products

    y(k) = Σ x(r) exp(−2πi k·r) / √(ny·nx) with r from index n//2, so a full mask is unitary.
    """

    symbol = "F"

    shift_ky: float = param(0.0, unit="1/FOV", symbol="δky", doc="offset of the whole trajectory along y")
    shift_kx: float = param(0.0, unit="1/FOV", symbol="δkx", doc="offset of the whole trajectory along x")
    mask: np.ndarray | None = None
    points: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.mask is None) == (self.points is None):
            raise BadValue(f"{self}: give either a mask of the grid or points in k-space")
        freeze(self, "mask" if self.mask is not None else "points", ndim=2)
        if self.mask is not None and self.mask.dtype != bool:
            raise BadValue(f"{self}: mask must be boolean, got {self.mask.dtype}")
        if self.points is not None and self.points.shape[1] != 2:
            raise BadValue(f"{self}: points must be (sample, 2), ky and kx, got {self.points.shape}")

    def apply(self, x: torch.Tensor, shift_ky: Number, shift_kx: Number) -> torch.Tensor:
        sizes = (
            dict(zip("yx", self.mask.shape, strict=True)) if self.mask is not None else {"y": None, "x": None}
        )
        require(self, x, **sizes)
        (ny, nx), field = x.shape[-2:], as_complex(x)
        y, column = _centred(ny, x.device), _centred(nx, x.device)
        ramp = scalar(shift_ky, x) * y[:, None] / ny + scalar(shift_kx, x) * column / nx
        field = field * cast(torch.exp(-2j * torch.pi * ramp), field)
        if self.mask is not None:
            return centred_fft2(field).flatten(-2).index_select(-1, self._sampled(x.device))
        k = torch.as_tensor(np.array(self.points, dtype=np.float64), device=x.device)
        ey = cast(torch.exp(-2j * torch.pi * y[:, None] * k[:, 0]), field)
        ex = cast(torch.exp(-2j * torch.pi * column[:, None] * k[:, 1]), field)
        return ((field @ ex) * ey).sum(-2) / (ny * nx) ** 0.5

    def _sampled(self, device: torch.device) -> torch.Tensor:
        assert self.mask is not None
        return torch.as_tensor(np.flatnonzero(self.mask), device=device)


def _centred(n: int, device: torch.device) -> torch.Tensor:
    return torch.arange(n, dtype=torch.float64, device=device) - n // 2
