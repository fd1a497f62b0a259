"""Π: X-ray line integrals in parallel, fan and cone beams."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import BadValue
from ..operator import Operator
from ..settings import param
from .joseph import line_integrals
from .tensors import Number, freeze, require, scalar


class _Projection(Operator):
    """What the beams have in common: views about an axis through the middle of the object.

    At angle φ the detector's axis points along (x, y) = (cos φ, sin φ) and the central ray along
    (−sin φ, cos φ), y counting downwards like the rows. Bin d lies at d − (n − 1)/2 − centre bins from
    the projected axis. Line integrals are in the unit of ``pixel_size``, after Joseph's method; the
    adjoint is the exact transpose. Linear interpolation has kinks: where rays meet pixel centres
    exactly, as at 0° with a bin for each column, the gradient to the geometry is one-sided.
    """

    symbol = "Π"

    centre: float = param(
        0.0, unit="px", symbol="c", doc="detector bin of the rotation axis, from the middle"
    )
    angle_offset: float = param(0.0, unit="deg", symbol="δφ", doc="added to every angle")
    angles: np.ndarray  # degrees
    pixel_size: float = 1.0  # mm, of the object
    detector_pixel: float | None = None  # mm; default: pixel_size
    detectors: int | None = None  # bins in a row; default: the object's width

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "angles", ndim=1)
        if not self.pixel_size > 0 or not self._pitch > 0:
            raise BadValue(f"{self}: pixel_size and detector_pixel must be positive lengths in mm")

    @property
    def _pitch(self) -> float:
        return self.pixel_size if self.detector_pixel is None else self.detector_pixel

    def _bins(self, x: torch.Tensor, centre: Number) -> torch.Tensor:
        """Positions of the detector's bins from the rotation axis, (bin), mm."""
        return (_middle(self.detectors or x.shape[-1], x) - scalar(centre, x)) * self._pitch

    def _frame(self, x: torch.Tensor, offset: Number) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit vectors (y, x) along the detector and along the beam, each (angle, 1, 2)."""
        angles = torch.as_tensor(np.array(self.angles, dtype=np.float64), device=x.device)
        phi = torch.deg2rad(angles + scalar(offset, x))
        cos, sin = phi.cos()[:, None], phi.sin()[:, None]
        return torch.stack([sin, cos], -1), torch.stack([cos, -sin], -1)

    def _integrate(self, x: torch.Tensor, point: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """Integrals (..., angle, *detector) along rays through ``point``, mm from the axis."""
        dim = point.shape[-1]
        middle = torch.tensor(
            [(n - 1) / 2 for n in x.shape[x.ndim - dim :]], dtype=torch.float64, device=x.device
        )
        start = (point / self.pixel_size + middle).reshape(-1, dim)
        unit = direction / direction.square().sum(-1, keepdim=True).sqrt()
        flat = line_integrals(x, start, unit.expand_as(point).reshape(-1, dim))
        return flat.unflatten(-1, tuple(point.shape[:-1])) * self.pixel_size


class Project(_Projection):
    """Parallel beam: x (..., y, x) -> (..., angle, bin); slices of a volume are a batch."""

    def apply(self, x: torch.Tensor, centre: Number, angle_offset: Number) -> torch.Tensor:
        require(self, x, y=None, x=None)
        across, along = self._frame(x, angle_offset)
        return self._integrate(x, self._bins(x, centre)[:, None] * across, along)


class _Divergent(_Projection):
    """A point source at ``source_object`` from the axis, a flat detector at ``source_detector``."""

    source_object: float = param(500.0, low=1e-9, unit="mm", symbol="SOD", doc="from source to rotation axis")
    source_detector: float = param(1000.0, low=1e-9, unit="mm", symbol="SDD", doc="from source to detector")

    def _distances(
        self, x: torch.Tensor, source_object: Number, source_detector: Number
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both distances; BadValue if the source would turn through the object."""
        near, far = scalar(source_object, x), scalar(source_detector, x)
        distance = float(near.detach())
        radius = self.pixel_size * float(np.hypot(*x.shape[-2:])) / 2
        if distance <= radius:
            raise BadValue(
                f"{self}: source_object {distance:g} mm puts the source inside the object, "
                f"whose corners reach {radius:g} mm from the axis"
            )
        return near, far


class FanProject(_Divergent):
    """Fan beam: x (..., y, x) -> (..., angle, bin)."""

    def apply(
        self,
        x: torch.Tensor,
        centre: Number,
        angle_offset: Number,
        source_object: Number,
        source_detector: Number,
    ) -> torch.Tensor:
        require(self, x, y=None, x=None)
        near, far = self._distances(x, source_object, source_detector)
        across, along = self._frame(x, angle_offset)
        direction = far * along + self._bins(x, centre)[:, None] * across
        return self._integrate(x, (-near * along).expand_as(direction), direction)


class ConeProject(_Divergent):
    """Cone beam: x (..., z, y, x) -> (..., angle, row, bin), the rotation axis along z.

    ``rows`` of bins, by default as many as the object has slices, centred on the central ray.
    """

    rows: int | None = None

    def apply(
        self,
        x: torch.Tensor,
        centre: Number,
        angle_offset: Number,
        source_object: Number,
        source_detector: Number,
    ) -> torch.Tensor:
        require(self, x, z=None, y=None, x=None)
        near, far = self._distances(x, source_object, source_detector)
        across, along = self._frame(x, angle_offset)
        flat = (far * along + self._bins(x, centre)[:, None] * across)[:, None]  # (angle, 1, bin, 2)
        height = (_middle(self.rows or x.shape[-3], x) * self._pitch)[:, None, None]
        shape = (len(self.angles), height.shape[0], flat.shape[2], 1)
        direction = torch.cat([height.expand(shape), flat.expand(*shape[:-1], 2)], -1)
        source = torch.nn.functional.pad(-near * along, (1, 0))[:, None]  # (angle, 1, 1, 3)
        return self._integrate(x, source.expand_as(direction), direction)


def _middle(n: int, like: torch.Tensor) -> torch.Tensor:
    return torch.arange(n, dtype=torch.float64, device=like.device) - (n - 1) / 2
