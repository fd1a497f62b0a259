"""R: rotation and motion of the sample, and the distortion of a scan."""

from __future__ import annotations

from typing import Any, Literal

import torch

from ..errors import BadValue
from ..operator import Operator
from ..settings import param
from .fourier import shift_last
from .tensors import Number, cast, require, scalar, take_last

MARGIN = 4  # pixels around the image that the interpolation may touch


class Rotate(Operator):
    """The image (..., y, x) after an affine motion of the sample about the image's middle.

    The sample is magnified by ``scale`` and sheared by ``shear`` (x moves with y), rotated by
    ``angle`` (counter-clockwise as displayed with y downwards, like ``numpy.rot90``) and moved by
    (``shift_y``, ``shift_x``). The middle is (n − 1)/2. Another geometry, such as a scan whose slow
    axis alone is stretched, overrides :meth:`matrix`.

    Cubic convolution (Keys 1981, doi:10.1109/TASSP.1981.1163711): local, so that edges do not ring
    across the image as with Fourier interpolation, and with a continuous derivative, so that
    gradients to every parameter are those that finite differences see. Outside the image the
    sample is zero, or its border's value with ``boundary="edge"``.
    """

    symbol = "R"

    angle: float = param(0.0, unit="deg", symbol="φ", doc="rotation, counter-clockwise")
    scale: float = param(0.0, low=-50.0, unit="%", symbol="s", doc="magnification in excess of 1")
    shear: float = param(0.0, unit="%", symbol="γ", doc="shift along x for a step along y")
    shift_y: float = param(0.0, unit="px", symbol="Δy", doc="shift downwards")
    shift_x: float = param(0.0, unit="px", symbol="Δx", doc="shift to the right")
    boundary: Literal["zero", "edge"] = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.boundary not in ("zero", "edge"):
            raise BadValue(f"{self}: boundary must be 'zero' or 'edge', got {self.boundary!r}")

    def apply(self, x: torch.Tensor, shift_y: Number, shift_x: Number, **theta: Any) -> torch.Tensor:
        require(self, x, y=None, x=None)
        ny, nx = x.shape[-2:]
        (a, b), (c, d) = self.matrix(**{key: scalar(value, x) for key, value in theta.items()})
        v = (
            torch.arange(ny, dtype=torch.float64, device=x.device)[:, None]
            - (ny - 1) / 2
            - scalar(shift_y, x)
        )
        u = torch.arange(nx, dtype=torch.float64, device=x.device) - (nx - 1) / 2 - scalar(shift_x, x)
        det = a * d - b * c  # each pixel looks back to where its content came from
        y, x_ = (d * v - b * u) / det + (ny - 1) / 2, (a * u - c * v) / det + (nx - 1) / 2
        return _interpolate(x, y, x_, self.boundary == "edge")

    def matrix(
        self, angle: torch.Tensor, scale: torch.Tensor, shear: torch.Tensor, *args: Any, **theta: Any
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
        """The motion ((yy, yx), (xy, xx)) of a point (y, x) measured from the middle."""
        m, g = 1 + scale / 100, shear / 100
        cos, sin = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
        return (m * (cos - sin * g), -m * sin), (m * (sin + cos * g), m * cos)


class Shift(Operator):
    """The image (..., y, x) moved by a fraction of a pixel: drift of a stage or of a beam.

    Fourier interpolation: periodic, exact for a band-limited image, and without loss of resolution.
    """

    symbol = "R"

    dy: float = param(0.0, unit="px", symbol="Δy", doc="shift downwards")
    dx: float = param(0.0, unit="px", symbol="Δx", doc="shift to the right")

    def apply(self, x: torch.Tensor, dy: Number, dx: Number) -> torch.Tensor:
        require(self, x, y=None, x=None)
        return shift_last(shift_last(x, scalar(dx, x)).mT, scalar(dy, x)).mT


def _interpolate(x: torch.Tensor, row: torch.Tensor, column: torch.Tensor, edge: bool) -> torch.Tensor:
    """Values of the images at fractional positions, both of shape (ny, nx)."""
    width = x.shape[-1] + 2 * MARGIN
    flat = _widen(x, edge).flatten(-2)
    i, wy = _taps(row, x.shape[-2], x)
    j, wx = _taps(column, x.shape[-1], x)
    first = (i - 1) * width + (j - 1)
    result = torch.zeros_like(x)
    for k, w in enumerate(wy):
        across = sum(take_last(flat, first + (k * width + m)) * v for m, v in enumerate(wx))
        result = result + w * across
    return result


def _taps(position: torch.Tensor, n: int, like: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The second of the four samples of cubic convolution, in the widened image, and all four weights."""
    position = position.clamp(-2, n + 1)  # beyond, nothing changes any more
    first = position.detach().floor()
    t = position - first
    weights = [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
    return first.long() + MARGIN, [cast(w, like) for w in weights]


def _widen(x: torch.Tensor, edge: bool) -> torch.Tensor:
    """The images with a margin on every side, of zeros or of their border's values."""
    if not edge:
        return torch.nn.functional.pad(x, (MARGIN,) * 4)
    for axis in (-2, -1):
        n = x.shape[axis]
        index = torch.arange(-MARGIN, n + MARGIN, device=x.device).clamp(0, n - 1)
        x = x.index_select(axis, index)
    return x
