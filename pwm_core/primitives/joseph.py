"""Line integrals through a grid of pixels or voxels (Joseph 1982, doi:10.1109/TMI.1982.4307572)."""

from __future__ import annotations

import itertools
import math

import torch
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from .tensors import cast, take_last

BLOCK = 1 << 16  # interpolated values at a time, or as many as x has: small blocks stay in cache


def line_integrals(x: torch.Tensor, start: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """∫ x along rays, in units of the grid step: (..., *grid) -> (..., ray).

    ``start`` and ``direction`` (ray, axis), double precision, in grid indices, with one column for
    each of the last 2 or 3 axes of x; directions have unit length. Each ray is sampled where it
    crosses the planes of the axis it runs along most, linearly interpolated in the others; x is zero
    outside. Differentiable in all three. Rays go in blocks that the backward pass computes again,
    so beside its input and output this holds about ten times the larger of x and ``BLOCK`` values.
    """
    grid = tuple(x.shape[x.ndim - start.shape[-1] :])
    batch = x.shape[: x.ndim - len(grid)]
    padded = pad(x, (1, 2) * len(grid)).reshape(math.prod(batch), -1)
    rays = max(1, max(BLOCK, x.numel()) // (max(grid) * math.prod(batch)))
    parts = []
    for a, b in zip(start.split(rays), direction.split(rays), strict=True):
        if torch.is_grad_enabled():
            parts.append(
                checkpoint(_block, padded, a, b, grid, use_reentrant=False, preserve_rng_state=False)
            )
        else:
            parts.append(_block(padded, a, b, grid))
    return torch.cat(parts, dim=-1).reshape(*batch, -1)


def _block(
    padded: torch.Tensor, start: torch.Tensor, direction: torch.Tensor, grid: tuple[int, ...]
) -> torch.Tensor:
    """Integrals (batch, ray) through the grid, which has one plane of zeros before it and two behind."""
    device, dim = padded.device, len(grid)
    strides = [math.prod(n + 3 for n in grid[k + 1 :]) for k in range(dim)]
    main = direction.detach().abs().argmax(-1, keepdim=True)
    order = (main + torch.arange(dim, device=device)) % dim  # the main axis first
    start, direction = start.gather(1, order), direction.gather(1, order)
    size = torch.tensor(grid, dtype=torch.int32, device=device)[order]
    stride = torch.tensor(strides, dtype=torch.int32, device=device)[order]

    plane = torch.arange(max(grid), dtype=torch.int32, device=device)
    index = (torch.minimum(plane, size[:, :1]) + 1) * stride[:, :1]
    slope = direction[:, 1:] / direction[:, :1]
    crossing = start[:, 1:] - slope * start[:, :1]  # with plane 0
    parts = []
    for k in range(dim - 1):
        position = cast(crossing[:, k, None], padded) + cast(slope[:, k, None], padded) * plane
        position = position.clamp(min=-1).minimum(size[:, k + 1, None])  # beyond lie zeros only
        below = position.detach().floor()
        index = index + (below.int() + 1) * stride[:, k + 1, None]
        parts.append(position - below)
    total = _interpolate(padded, index, stride[:, 1:], parts).sum(-1)
    return total / cast(direction[:, 0].abs(), padded)


def _interpolate(
    padded: torch.Tensor, index: torch.Tensor, stride: torch.Tensor, parts: list[torch.Tensor]
) -> torch.Tensor:
    """Values (batch, ray, plane) at ``index`` plus the fraction ``parts`` of a step along each axis."""
    corners = []
    for steps in itertools.product((0, 1), repeat=len(parts)):
        offset = sum(step * stride[:, k, None] for k, step in enumerate(steps))
        corners.append(take_last(padded, index + offset))
    for part in reversed(parts):
        corners = [a + part * (b - a) for a, b in zip(corners[::2], corners[1::2], strict=True)]
    return corners[0]
