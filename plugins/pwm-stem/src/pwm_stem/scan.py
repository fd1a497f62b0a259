"""R: the scan of the beam over the specimen, with its distortion, drift and line jitter."""

from __future__ import annotations

from typing import Any

import torch

from pwm_core.errors import BadValue
from pwm_core.operator import Operator
from pwm_core.primitives.tensors import Number, cast, require, scalar, take_last
from pwm_core.settings import param


class Scan(Operator):
    """The image (..., y, x) that is recorded when the beam's positions are not what they should be.

    About the middle of the field, at the time t in −½…½ of its line, the scan position (y, x) looks at

        x' = (1 + s) x + s/2 y + drift_x t + jitter(line)          x along the fast axis
        y' = (1 − s/2) y + drift_y t                               y along the slow axis

    with s the distortion: the fast axis is too long by s, the slow one too short by s/2, and the lines are
    sheared by s/2. Motion within a line is left out. The image is interpolated by cubic convolution
    (Keys 1981, doi:10.1109/TASSP.1981.1163711), first between lines, then along them; outside the field
    it has its border's value.
    """

    symbol = "R"

    pixel_size: float = 1.0  # Å
    distortion: float = param(
        0.0, low=-20.0, high=20.0, unit="%", symbol="Δs", doc="error of the scan's magnification and shear"
    )
    drift_y: float = param(0.0, unit="Å", symbol="v_y", doc="drift along y during the frame")
    drift_x: float = param(0.0, unit="Å", symbol="v_x", doc="drift along x during the frame")
    jitter: Any = param(None, unit="Å", symbol="η", doc="displacement of each line (y) along x")

    def apply(
        self, x: torch.Tensor, distortion: Number, drift_y: Number, drift_x: Number, jitter: Any
    ) -> torch.Tensor:
        require(self, x, y=None, x=None)
        if jitter is None and all(isinstance(v, float) and v == 0 for v in (distortion, drift_y, drift_x)):
            return x
        s = scalar(distortion, x) / 100
        y, x_, time = self._grid(x)
        rows = (1 - s / 2) * y + scalar(drift_y, x) / self.pixel_size * time
        starts = s / 2 * y + scalar(drift_x, x) / self.pixel_size * time
        if jitter is not None:
            starts = starts + self._of_lines(jitter, x)
        columns = (1 + s) * x_ + starts[:, None]
        ny, nx = x.shape[-2:]
        between = _rows(x, rows + (ny - 1) / 2)
        return _columns(between, columns + (nx - 1) / 2)

    def _grid(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Lines and columns counted from the middle, and the time of each line."""
        y, x_ = (torch.arange(n, dtype=torch.float64, device=x.device) - (n - 1) / 2 for n in x.shape[-2:])
        return y, x_, y / x.shape[-2]

    def _of_lines(self, jitter: Any, x: torch.Tensor) -> torch.Tensor:
        shift = torch.as_tensor(jitter, dtype=torch.float64, device=x.device)
        if shift.shape != x.shape[-2:-1]:
            raise BadValue(f"{self}: jitter has shape {tuple(shift.shape)} for {x.shape[-2]} lines")
        return shift / self.pixel_size


def _rows(x: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Lines at the fractional positions (line,)."""
    first, weights = _taps(position, x.shape[-2])
    last = x.shape[-2] - 1
    parts = [
        x.index_select(-2, (first + k).clamp(0, last)) * cast(w, x)[:, None]
        for k, w in enumerate(weights, -1)
    ]
    return sum(parts[1:], parts[0])


def _columns(x: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Pixels of each line at its fractional positions (line, column)."""
    n = x.shape[-1]
    first, weights = _taps(position, n)
    flat, start = x.flatten(-2), torch.arange(x.shape[-2], device=x.device)[:, None] * n
    parts = [
        take_last(flat, start + (first + k).clamp(0, n - 1)) * cast(w, x) for k, w in enumerate(weights, -1)
    ]
    return sum(parts[1:], parts[0])


def _taps(position: torch.Tensor, n: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The second of the four samples of cubic convolution and the weights of all four."""
    position = position.clamp(-2, n + 1)  # beyond, nothing changes any more
    first = position.detach().floor()
    t = position - first
    weights = [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
    return first.long(), weights
