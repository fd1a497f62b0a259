"""SpectraFormer: attention along the energy axis of spectrum images, between the maps of one pixel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from pwm_learned.network import Network
from torch import Tensor, nn

from .pyramid import MULTIPLE, Pyramid
from .restormer import ChannelNorm, GatedFeedForward


class EnergyAttention(nn.Module):
    """At every pixel the maps of one group, which is one spectrum image, attend to each other.

    A map has no index: permuting the maps of a group permutes the result. Any number of maps, one included.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.mix = nn.Conv2d(width, 3 * width, 1)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, image: Tensor, groups: Sequence[int]) -> Tensor:
        runs = [(maps, maps * len(list(same))) for maps, same in groupby(groups)]
        parts = self.mix(image).permute(0, 2, 3, 1).split([images for _, images in runs])
        out = [self.attend(part, maps) for part, (maps, _) in zip(parts, runs, strict=True)]
        return self.project(torch.cat(out).permute(0, 3, 1, 2))

    def attend(self, qkv: Tensor, maps: int) -> Tensor:
        """Within groups of ``maps`` each: (images, height, width, 3 C) -> (images, height, width, C)."""
        height, width = qkv.shape[1:3]
        split = qkv.reshape(-1, maps, height * width, 3, self.heads, qkv.shape[-1] // (3 * self.heads))
        q, k, v = split.permute(3, 0, 2, 4, 1, 5).unbind(0)  # each (groups, pixels, heads, maps, size)
        weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(-1)
        return (weights @ v).permute(0, 3, 1, 2, 4).reshape(-1, height, width, qkv.shape[-1] // 3)


class SpectraBlock(nn.Module):
    """Attention along energy, then mixing in space by a gated depth-wise feed-forward."""

    def __init__(self, width: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(width), ChannelNorm(width)
        self.attention = EnergyAttention(width, heads)
        self.feed = GatedFeedForward(width, expansion)

    def forward(self, image: Tensor, groups: Sequence[int]) -> Tensor:
        image = image + self.attention(self.norm1(image), groups)
        return image + self.feed(self.norm2(image))


class SpectraFormer(Network):
    """Attention along energy alternated with mixing in space, in an encoder-decoder.

    The maps of a group are one spectrum image, a map per component: the statistics to which the physics
    reduces the energy axis without loss. Self-attention (Vaswani et al. 2017, doi:10.48550/arXiv.1706.03762)
    joins the maps at every place and resolution, convolutions join the places.
    """

    multiple = MULTIPLE

    def __init__(
        self, channels: int, width: int = 32, blocks: int = 1, heads: int = 2, expansion: float = 2.0
    ) -> None:
        super().__init__()
        self.pyramid = Pyramid(
            channels, width, blocks, lambda size, level: SpectraBlock(size, heads * 2**level, expansion)
        )

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        return self.pyramid(features, groups)
