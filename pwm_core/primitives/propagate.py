"""P: free-space propagation of a coherent wave field."""

from __future__ import annotations

from typing import Literal

import torch

from ..errors import BadValue
from ..operator import Operator
from ..settings import param
from .fourier import centred_fft2, frequency_grid
from .tensors import Number, as_complex, cast, require, scalar

Method = Literal["fraunhofer", "fresnel", "angular-spectrum"]


class Propagate(Operator):
    """The field u(y, x) at ``distance`` behind the plane where it is given.

    Input and output are complex fields (..., y, x); leading axes are batches. Time runs as
    exp(−iωt), so a wave travelling forward gains phase, exp(+ikz). The carrier exp(ikz) of the
    straight wave is divided out: what remains is what a detector can tell.

    ``fraunhofer``        far field: unitary centred Fourier transform, zero frequency at n//2, pixel
                          λ·distance/(n·pixel_size); the quadratic phase before it is left out
    ``fresnel``           paraxial transfer function exp(−iπλz f²)
    ``angular-spectrum``  exact transfer function exp(ikz(√(1−λ²f²) − 1)); evanescent waves decay
                          with |z|, so that propagating back is the adjoint and never blows up
                          (Goodman, Introduction to Fourier Optics, sections 3.10, 4.2, 4.3)

    The two near-field methods are periodic and, for propagating waves, unitary. ``padded`` makes
    them aperiodic: the field is embedded in zeros of twice its size and the transfer function cut
    where its sampling would alias (Matsushima & Shimobaba 2009, doi:10.1364/OE.17.019662).
    """

    symbol = "P"

    distance: float = param(0.0, unit="m", symbol="z", doc="distance from the plane of the input")
    wavelength: float | None = None  # m
    pixel_size: float | tuple[float, float] | None = None  # m, of the input; (y, x) if they differ
    method: Method = "angular-spectrum"
    padded: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in ("fraunhofer", "fresnel", "angular-spectrum"):
            raise BadValue(
                f"Propagate: method must be fraunhofer, fresnel or angular-spectrum, got {self.method!r}"
            )
        if self.method == "fraunhofer":
            if self.padded:
                raise BadValue(
                    "Propagate: padded is for the near-field methods; pad the field itself in the far field"
                )
        elif not self.wavelength or not self.pixel_size:
            raise BadValue(f"Propagate: method {self.method!r} needs wavelength and pixel_size, in metres")

    def apply(self, x: torch.Tensor, distance: Number) -> torch.Tensor:
        require(self, x, y=None, x=None)
        field = as_complex(x)
        if self.method == "fraunhofer":
            return centred_fft2(field)
        ny, nx = field.shape[-2:]
        shape = (2 * ny, 2 * nx) if self.padded else (ny, nx)
        transfer = cast(self.transfer(shape, scalar(distance, field)), field)
        return torch.fft.ifft2(torch.fft.fft2(field, s=shape) * transfer)[..., :ny, :nx]

    def transfer(self, shape: tuple[int, int], distance: torch.Tensor) -> torch.Tensor:
        """The near-field transfer function (ny, nx) in FFT order, complex128."""
        assert self.wavelength is not None
        assert self.pixel_size is not None
        fy, fx = frequency_grid(shape, self.pixel_size, distance.device)
        k, sine2 = 2 * torch.pi / self.wavelength, (self.wavelength * fy) ** 2 + (self.wavelength * fx) ** 2
        if self.method == "fresnel":
            kernel = torch.exp(-0.5j * k * distance * sine2)
        else:
            cosine, growth = (1 - sine2).clamp(min=0).sqrt(), (sine2 - 1).clamp(min=0).sqrt()
            lag = torch.where(sine2 < 1, -sine2 / (1 + cosine), -1.0)  # cosine − 1 without cancellation
            kernel = torch.exp(k * torch.complex(-growth * distance.abs(), lag * distance))
        return kernel * self._band(fy, distance) * self._band(fx, distance) if self.padded else kernel

    def _band(self, f: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
        """Where the phase of the transfer function is sampled finely enough along one axis."""
        assert self.wavelength is not None
        step = f.flatten()[1]
        return f.abs() * self.wavelength <= ((2 * step * distance.detach()) ** 2 + 1) ** -0.5
