"""Σ: sums and means along a spectral, temporal or angular axis."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import BadValue
from ..operator import Operator
from ..settings import param
from .tensors import Number, cast, constant, freeze, require, scalar


class _Windows(Operator):
    """What sums have in common: consecutive windows along one axis, counted from the end."""

    symbol = "Σ"

    axis: int = -3
    window: int | None = None  # elements in a window; None: the whole axis, which then disappears

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axis >= 0:
            raise BadValue(f"{self}: axis must count from the end, such as -3, got {self.axis}")
        if self.window is not None and self.window < 1:
            raise BadValue(f"{self}: window must be at least 1, got {self.window}")

    def __str__(self) -> str:
        text = self.label or self.name
        return f"Σ_{text}" if text else "Σ"

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` with ``axis`` running inside a window, and the windows, if several, just before it."""
        require(self, x)
        if x.ndim < -self.axis:
            raise BadValue(f"{self} sums over axis {self.axis}, but the input has shape {tuple(x.shape)}")
        if self.window is None:
            return x
        if x.shape[self.axis] % self.window:
            raise BadValue(
                f"{self} sums windows of {self.window} along axis {self.axis}, "
                f"but the input {tuple(x.shape)} is no multiple of that long"
            )
        return x.unflatten(self.axis, (-1, self.window))


class Accumulate(_Windows):
    """Sum of x along ``axis``: bands on one detector, sub-frames of an exposure, projections.

    Without ``window`` the axis disappears; with it, each run of ``window`` elements becomes one.
    ``weights`` (one for each element of a window) makes it a weighted sum, ``mean`` divides by their
    sum, or by the number of elements.
    """

    weights: np.ndarray | None = None
    mean: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None:
            freeze(self, "weights", ndim=1)
            if self.mean and not self.weights.sum():
                raise BadValue(f"{self}: weights that sum to zero have no mean")

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        split = self._split(x)
        if self.weights is None:
            return split.mean(self.axis) if self.mean else split.sum(self.axis)
        n = split.shape[self.axis]
        if len(self.weights) != n:
            raise BadValue(f"{self} has {len(self.weights)} weights for {n} elements along axis {self.axis}")
        total = _weighted(split, constant(self, "weights", x), self.axis)
        return total / float(self.weights.sum()) if self.mean else total


class Expose(_Windows):
    """Mean of x over a pulse of ``width`` ms in the middle of each frame of ``window`` sub-frames.

    A sub-frame lasts ``subframe`` ms and counts by the part of it that the pulse covers; a pulse
    longer than the frame counts as the whole frame. Rectangular pulse: what moves is blurred, what
    stands still keeps its value.
    """

    width: float = param(1.0, low=0.0, unit="ms", symbol="w", doc="duration of the pulse")
    subframe: float = 1.0  # ms

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.subframe > 0:
            raise BadValue(f"{self}: subframe must be a positive time in ms, got {self.subframe}")

    def apply(self, x: torch.Tensor, width: Number) -> torch.Tensor:
        split = self._split(x)
        return _weighted(split, cast(self._coverage(split.shape[self.axis], scalar(width, x)), x), self.axis)

    def _coverage(self, n: int, width: torch.Tensor) -> torch.Tensor:
        """The part of the pulse that falls into each of the n sub-frames, summing to 1."""
        middle = torch.arange(n, dtype=torch.float64, device=width.device) - (n - 1) / 2
        half = (width / self.subframe).clamp(min=1e-6) / 2  # a flash still lands in the middle
        covered = torch.minimum(middle + 0.5, half) - torch.maximum(middle - 0.5, -half)
        covered = covered.clamp(min=0)
        return covered / covered.sum()


def _weighted(x: torch.Tensor, weights: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.tensordot(x, weights.to(x.dtype), dims=([x.ndim + axis], [0]))
