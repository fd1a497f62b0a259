"""A measurement with the model that is assumed to explain it, and, kept apart, the truth."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .errors import BadValue
from .operator import Operator, Theta
from .stored import Predicted, Stored


@dataclass(frozen=True)
class Problem:
    """What a method may see. The truth is another object, which never reaches a method.

    ``y``            the measurement, in the modality's data axes; what does not fit into memory is left in
                     its file, and ``y`` is a :class:`~pwm_core.stored.Stored` that stands for an array
    ``operator``     the *assumed* forward model; its nominal parameters are the assumed ones
    ``modality``     the modality's name
    ``shape, dtype`` of the object x
    ``axes``         names of the object's axes, slowest first: ("y", "x")
    ``pixel_size``   step along each object axis, in ``units``
    ``ranges``       dotted parameter name -> (low, high) that a calibrator may search
    ``initial``      where an iteration may start (default: zeros)
    ``mask``         data elements that are valid (True); None if all are
    ``name``         the scene or the file
    ``device``       where a method should compute ("cpu", "cuda")
    """

    y: np.ndarray | Stored
    operator: Operator
    modality: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    axes: tuple[str, ...] = ("y", "x")
    pixel_size: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    initial: np.ndarray | None = None
    mask: np.ndarray | None = None
    name: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in self.ranges:
            if name not in self.operator.parameters:
                raise BadValue(f"the range of {name!r} belongs to no parameter of {self.operator}")
        for what, array in (("initial", self.initial), ("mask", self.mask)):
            expected = self.shape if what == "initial" else np.shape(self.y)
            if array is not None and not _fits(np.shape(array), expected):
                raise BadValue(f"{what} has shape {np.shape(array)}, expected {tuple(expected)}")

    @property
    def like(self) -> torch.Tensor:
        """Zeros of the object's shape and dtype, on the problem's device."""
        return torch.zeros(self.shape, dtype=getattr(torch, self.dtype), device=self.device)

    @property
    def data(self) -> torch.Tensor:
        """The measurement as a tensor of the problem's precision, on its device; ``y`` stays as it is."""
        return self.tensor(self.y)

    @property
    def start(self) -> torch.Tensor:
        """The starting object as a tensor, a copy that the method may overwrite."""
        if self.initial is None:
            return self.like
        return torch.tensor(self.initial, dtype=getattr(torch, self.dtype), device=self.device)

    def tensor(self, array: Any) -> torch.Tensor:
        """A copy of ``array`` as a tensor of the problem's precision, on its device."""
        t = torch.tensor(np.asarray(array), device=self.device)
        single = self.dtype in ("float32", "complex64")
        if t.is_complex():
            return t.to(torch.complex64 if single else torch.complex128)
        return t.to(torch.float32 if single else torch.float64)

    def reduced(self) -> Problem:
        """The same problem with fewer data on the object's own grid, if its operator knows how; else itself.

        Its ``y`` has white noise of unit variance, see :meth:`Operator.reduce`.
        """
        y = self.y if isinstance(self.y, Stored) else np.asarray(self.y)
        less = self.operator.reduce(y, self.mask)
        return self if less is None else self.replace(y=less[0], operator=less[1], mask=None, ranges={})

    def predict(self, x: Any, theta: Theta | None = None) -> Any:
        """H(x; θ), the data that the object would give: block by block where ``y`` is read that way."""
        if isinstance(self.y, Stored):
            return Predicted(self.operator, x, theta, self.y)
        return self.operator(x, theta)

    def replace(self, **changes: Any) -> Problem:
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Truth:
    """What the simulation knows and a method never sees: the object and the true parameters."""

    x: np.ndarray
    theta: dict[str, Any] = field(default_factory=dict)


def _fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Equal, or broadcastable from the last axes on (one detector mask for all frames)."""
    return tuple(expected)[len(expected) - len(shape) :] == tuple(shape)
