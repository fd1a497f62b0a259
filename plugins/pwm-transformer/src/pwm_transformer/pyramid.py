"""The encoder-decoder that Restormer and SpectraFormer share: three resolutions, joined by skips."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pwm_learned.network import silent
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

LEVELS = 3
MULTIPLE = (
    2**LEVELS
)  # pixels: the finest level takes 2x2 of them at a time, and each further one twice as many


def shrink(width: int) -> nn.Module:
    """Half the resolution and twice the channels: a 3x3 convolution, then a pixel-unshuffle."""
    return nn.Sequential(nn.Conv2d(width, width // 2, 3, padding=1), nn.PixelUnshuffle(2))


def grow(width: int) -> nn.Module:
    """Double the resolution, and ``width`` channels of twice as many: a 3x3 convolution, a pixel-shuffle."""
    return nn.Sequential(nn.Conv2d(2 * width, 4 * width, 3, padding=1), nn.PixelShuffle(2))


class Stage(nn.Module):
    """Blocks one after another at one resolution; each takes an image and the sizes of the groups."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, image: Tensor, groups: Sequence[int]) -> Tensor:
        for block in self.blocks:
            image = block(image, groups)
        return image


class Pyramid(nn.Module):
    """Features of images to their correction, by an encoder and a decoder with skips at every resolution.

    After Zamir et al. 2022 (doi:10.1109/CVPR52688.2022.00564); unlike there, 2x2 pixels are one place of the
    finest level. On the way back a 1x1 convolution joins what comes from below with the encoder's image.

    ``block(channels, level)`` makes a block for the level; ``blocks`` of them go down, as many up, at every
    level.
    """

    def __init__(
        self, channels: int, width: int, blocks: int, block: Callable[[int, int], nn.Module]
    ) -> None:
        super().__init__()
        widths = [width << level for level in range(LEVELS)]
        down = [Stage([block(w, level) for _ in range(blocks)]) for level, w in enumerate(widths[:-1])]
        up = [Stage([block(w, level) for _ in range(blocks)]) for level, w in enumerate(widths[:-1])]
        self.embed = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.encoders, self.decoders = nn.ModuleList(down), nn.ModuleList(up)
        self.bottom = Stage([block(widths[-1], LEVELS - 1) for _ in range(2 * blocks)])
        self.shrinks = nn.ModuleList(shrink(w) for w in widths[:-1])
        self.grows = nn.ModuleList(grow(w) for w in widths[:-1])
        self.joins = nn.ModuleList(nn.Conv2d(2 * w, w, 1) for w in widths[:-1])
        self.last = silent(nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        image = self.embed(pixel_unshuffle(features, 2))
        skips = []
        for encoder, smaller in zip(self.encoders, self.shrinks, strict=True):
            skips.append(encoder(image, groups))
            image = smaller(skips[-1])
        image = self.bottom(image, groups)
        for level in reversed(range(LEVELS - 1)):
            image = self.joins[level](torch.cat([self.grows[level](image), skips[level]], 1))
            image = self.decoders[level](image, groups)
        return pixel_shuffle(self.last(image), 2)
