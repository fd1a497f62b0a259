"""The noise that the data leave in an object, and how its misfit curves there."""

from __future__ import annotations

import numpy as np
import torch

from .axes import Axes, unit_maps
from .fit import Point
from .scaling import levels, push, sensitivity

_PROBES = 4  # enough for a mean over an image
_SMALLEST = 1e-3  # of the average information in an image: less is not told apart


def noise_of(point: Point, axes: Axes, rng: np.random.Generator) -> torch.Tensor:
    """Standard deviation of the pixels of each component, one number a component, in the object's shape.

    That of a pixel whose surroundings are known, from the mean diagonal of the Fisher information
    JᵀWJ, and larger where the component overlaps with others: by how much follows from the responses
    JᵀWJ to one uniform map at a time.
    """
    maps = list(unit_maps(point.x, axes.components))
    weight = point.fit.precision(point.mean)
    level = levels(sensitivity(point, rng, _PROBES), axes.across).expand(point.x.shape)
    responses = [point.pull(weight * push(point, m)) for m in maps]
    matrix = torch.stack([(r * m).sum() for r in responses for m in maps]).reshape(len(maps), -1)
    single = torch.stack([(level * m).sum() / m.sum() for m in maps])
    spread = _deviations(matrix.double(), single.double()).to(point.x)
    return sum((s * m for m, s in zip(maps, spread, strict=True)), torch.zeros_like(point.x))


def bound_of(point: Point, axes: Axes, noise: torch.Tensor, curvature: torch.Tensor) -> torch.Tensor:
    """A diagonal that is not below JᵀCJ for the ``curvature`` C of each datum, if J has one sign.

    The row sums of |JᵀCJ| in units of the ``noise``: separable surrogates (Erdogan & Fessler 1999,
    doi:10.1088/0031-9155/44/11/311).
    """
    rows = torch.zeros_like(point.x)
    for m in unit_maps(point.x, axes.components):
        rows += point.pull(curvature * push(point, m * noise)).abs()
    rows /= noise
    return torch.maximum(rows, _positive(_SMALLEST * rows.mean(axes.across, keepdim=True)))


def _deviations(matrix: torch.Tensor, single: torch.Tensor) -> torch.Tensor:
    """1/√single, times what the overlap of the components, in this information matrix, adds to it."""
    size = matrix.diagonal().clamp(min=0).sqrt()
    size = torch.where(size > 0, size, 1)
    unit = matrix / size / size[:, None]
    unit = unit + 1e-6 * torch.eye(len(unit), dtype=unit.dtype, device=unit.device)
    return (torch.linalg.inv(unit).diagonal().clamp(min=1) / single).sqrt()


def _positive(value: torch.Tensor) -> torch.Tensor:
    return torch.where(value > 0, value, 1)
