"""How primitives bring their parameters, fixed arrays and expectations to the tensor they act on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..errors import BadValue
from ..operator import Operator

Number = float | torch.Tensor  # the value of a parameter inside ``apply``


def scalar(value: Number, like: torch.Tensor) -> torch.Tensor:
    """A parameter in double precision on the device of ``like``; stays differentiable."""
    return torch.as_tensor(value, dtype=torch.float64, device=like.device)


def cast(kernel: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``kernel``, computed in double precision, in the precision of ``like``; real stays real."""
    real = like.dtype.to_real()
    return kernel.to(real.to_complex() if kernel.is_complex() else real)


def as_complex(x: torch.Tensor) -> torch.Tensor:
    """``x`` as a complex field of the same precision."""
    return x.to(x.dtype.to_complex())


def take_last(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """``x[..., index]`` by way of gather, whose backward pass is many times faster than that of indexing."""
    flat = index.long().flatten().expand(*x.shape[:-1], -1)
    return x.gather(-1, flat).unflatten(-1, tuple(index.shape))


def constant(node: Operator, field: str, like: torch.Tensor) -> torch.Tensor:
    """The array ``node.field`` on the device and in the precision of ``like``, converted only once."""
    kept = node.__dict__.setdefault("_constants", {})
    key = (field, like.device, like.dtype.to_real())
    if key not in kept:
        with torch.inference_mode(False):  # what is kept must serve later calls that record gradients
            array = torch.from_numpy(np.array(getattr(node, field)))
            kept[key] = cast(array, like).to(like.device)
    return kept[key]


def freeze(node: Operator, field: str, ndim: int | None = None) -> None:
    """Make ``node.field`` a read-only array of its own; BadValue unless numeric with ``ndim`` axes."""
    array: np.ndarray[Any, Any] = np.asarray(getattr(node, field))
    if array.dtype.kind not in "biufc" or (ndim is not None and array.ndim != ndim):
        wanted = "a numeric array" if ndim is None else f"a numeric array with {ndim} axes"
        raise BadValue(f"{type(node).__name__}: {field} must be {wanted}, got {array.dtype} {array.shape}")
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    object.__setattr__(node, field, array)


def require(node: Operator, x: torch.Tensor, /, **axes: int | None) -> None:
    """Check that ``x`` is floating-point and ends in these named axes (None: any length); BadValue."""
    wanted = ", ".join(name if size is None else f"{name}={size}" for name, size in axes.items())
    tail = x.shape[x.ndim - len(axes) :] if x.ndim >= len(axes) else None
    if tail is None or any(size not in (None, n) for n, size in zip(tail, axes.values(), strict=True)):
        raise BadValue(f"{node} needs an input of shape (..., {wanted}), got {tuple(x.shape)}")
    if not (x.is_floating_point() or x.is_complex()):
        raise BadValue(f"{node} needs floating-point or complex input, got {x.dtype}; convert it first")
