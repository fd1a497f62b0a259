"""A network on images of any size: padded, in overlapping tiles, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from .features import Features
from .network import Network

TILE = 256  # px; larger images are cut into tiles of this size
OVERLAP = 32  # px that neighbouring tiles share, over which they are blended
_PIXELS = 8 * TILE * TILE  # worked on at a time


@torch.inference_mode()
def corrections(network: Network, features: Features, frames: int) -> Tensor:
    """The network's answer for each image of the object, (K, H, W)."""
    height, width = features.estimate.shape[-2:]
    total = torch.zeros_like(features.estimate)
    weight = torch.zeros_like(features.estimate[0])
    for rows in _spans(height, network.multiple):
        for columns in _spans(width, network.multiple):
            window = (rows, columns)
            blend = _ramp(rows, height).to(total)[:, None] * _ramp(columns, width).to(total)
            total[(slice(None), *window)] += blend * _tile(network, features, frames, window)
            weight[window] += blend
    return total / weight


def _tile(network: Network, features: Features, frames: int, window: tuple[slice, slice]) -> Tensor:
    """The answer within one window, (K, h, w); all maps of a group at once, frames a few at a time."""
    count = len(features.estimate)
    area = (window[0].stop - window[0].start) * (window[1].stop - window[1].start)
    step = max(1, _PIXELS // area) if features.frames else count
    parts = []
    for first in range(0, count, step):
        which = range(first, min(first + step, count))
        batch = torch.stack([features.channels(k, frames, window) for k in which])
        groups = [1] * len(which) if features.frames else [len(which)]
        parts.append(_padded(network, batch, groups)[:, 0])
    return torch.cat(parts)


def _padded(network: Network, batch: Tensor, groups: list[int]) -> Tensor:
    """The answer on images whose size need not be a multiple of the network's."""
    height, width = batch.shape[-2:]
    more = [-n % network.multiple for n in (height, width)]
    kind = "reflect" if more[0] < height and more[1] < width else "replicate"
    if any(more):
        batch = pad(batch, (0, more[1], 0, more[0]), kind)
    batch = batch.contiguous(memory_format=torch.channels_last)
    return network(batch.float(), groups)[..., :height, :width]


def _spans(size: int, multiple: int) -> Iterator[slice]:
    """Overlapping intervals that cover ``size`` pixels; one if that is not much more than a tile."""
    if size <= TILE + OVERLAP:
        yield slice(0, size)
        return
    count = -(-(size - OVERLAP) // (TILE - OVERLAP))
    for i in range(count):
        start = round(i * (size - TILE) / (count - 1)) // multiple * multiple
        yield slice(start, start + TILE if i < count - 1 else size)


def _ramp(span: slice, size: int) -> Tensor:
    """Weights of a tile along one axis: falling towards the neighbours, never zero."""
    n = span.stop - span.start
    left = (torch.arange(n) + 1.0) / (OVERLAP + 1) if span.start > 0 else torch.ones(n)
    right = (n - torch.arange(n)).float() / (OVERLAP + 1) if span.stop < size else torch.ones(n)
    return left.minimum(right).clamp(max=1)
