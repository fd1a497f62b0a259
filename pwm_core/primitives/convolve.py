"""C: convolution with a shift-invariant point-spread function."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from ..errors import BadValue
from ..operator import Operator, Theta
from ..settings import param
from .fourier import filter2, frequency_grid
from .tensors import cast, freeze, require, scalar


class Convolve(Operator):
    """Blur of the last two axes, (..., y, x) -> (..., y, x).

    The point-spread function is ``kernel``, by default a point, blurred by a Gaussian of rms width
    ``sigma``. The kernel is a real array whose middle is at index n//2; it is used as given, so one
    that sums to 1 conserves the total. ``sigma`` is in the unit of ``pixel_size`` (by default pixels).

    Outside the image the object is periodic, or zero with ``boundary="zero"``.

    An instrument with its own transfer function subclasses this, declares its parameters with their
    units, and overrides :meth:`transfer`.
    """

    symbol = "C"

    sigma: float = param(0.0, low=0.0, unit="px", symbol="σ", doc="rms width of the Gaussian")
    kernel: np.ndarray | None = None
    pixel_size: float | tuple[float, float] = 1.0
    boundary: Literal["periodic", "zero"] = "periodic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.boundary not in ("periodic", "zero"):
            raise BadValue(f"{self}: boundary must be 'periodic' or 'zero', got {self.boundary!r}")
        if self.kernel is not None:
            freeze(self, "kernel", ndim=2)
            if self.kernel.dtype.kind == "c":
                raise BadValue(
                    f"{self}: kernel must be real; modulate a spectrum with F and M for a complex one"
                )

    def apply(self, x: torch.Tensor, **theta: Any) -> torch.Tensor:
        require(self, x, y=None, x=None)
        ny, nx = x.shape[-2:]
        if self.boundary == "periodic":
            return filter2(x, cast(self._transfer((ny, nx), x, theta), x))
        padded = torch.nn.functional.pad(x, (0, nx, 0, ny))  # room for a kernel as large as the image
        return filter2(padded, cast(self._transfer((2 * ny, 2 * nx), x, theta), x))[..., :ny, :nx]

    def transfer(self, fy: torch.Tensor, fx: torch.Tensor, *args: Any, **theta: Any) -> torch.Tensor:
        """The optical transfer function of a real kernel on the frequencies fy (ny, 1) and fx (nx).

        Frequencies are double precision, in FFT order, in cycles per unit of ``pixel_size``; the
        parameters of the node come as double-precision tensors, differentiable.
        """
        gauss = torch.exp(-2 * (torch.pi * theta["sigma"]) ** 2 * (fy**2 + fx**2))
        if self.kernel is None:
            return gauss
        return gauss * self._kernel_transfer(len(fy), len(fx), fx.device)

    def transfer_function(self, shape: tuple[int, int], theta: Theta | None = None) -> np.ndarray:
        """The transfer function of a (ny, nx) image as a complex array in FFT order, for Wiener filters.

        ``theta`` overrides the node's own parameters, by dotted name.
        """
        with torch.no_grad():
            values = self.at(theta).values()
            return self._transfer(shape, torch.empty(0), values).to(torch.complex128).numpy()

    def _transfer(self, shape: tuple[int, int], like: torch.Tensor, theta: dict[str, Any]) -> torch.Tensor:
        fy, fx = frequency_grid(shape, self.pixel_size, like.device)
        return self.transfer(fy, fx, **{key: scalar(value, like) for key, value in theta.items()})

    def _kernel_transfer(self, ny: int, nx: int, device: torch.device) -> torch.Tensor:
        assert self.kernel is not None
        ky, kx = self.kernel.shape
        if ky > ny or kx > nx:
            raise BadValue(
                f"{self} has a kernel {self.kernel.shape} that is larger than the image {(ny, nx)}"
            )
        full = torch.zeros(ny, nx, dtype=torch.float64, device=device)
        full[:ky, :kx] = torch.as_tensor(np.array(self.kernel, dtype=np.float64), device=device)
        return torch.fft.fft2(full.roll((-(ky // 2), -(kx // 2)), dims=(0, 1)))
