"""SwinVideo: windows that span all frames bring neighbouring frames to bear on the middle one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pwm_learned.network import Network, silent
from torch import Tensor, nn
from torch.nn.functional import gelu, pixel_shuffle, pixel_unshuffle

from .pyramid import grow, shrink
from .windows import SwinBlock

WINDOWS = (8, 4, 4)  # tokens along a side at half, a quarter and an eighth of the resolution


class VideoStage(nn.Module):
    """Swin blocks at one resolution, odd ones shifted, with or without the frames about the image."""

    def __init__(
        self, blocks: range, width: int, heads: int, window: int, frames: int, expansion: float
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if frames > 1 else None
        self.blocks = nn.ModuleList(
            SwinBlock(width, heads, window, i % 2 == 1, expansion, frames) for i in blocks
        )

    def forward(self, image: Tensor, others: Tensor) -> Tensor:
        """Of (images, C, height, width) and (images, frames - 1, C, height, width)."""
        around = None if self.norm is None else self.norm(others.permute(0, 1, 3, 4, 2))
        tokens = image.permute(0, 2, 3, 1)
        for block in self.blocks:
            tokens = block(tokens, around)
        return tokens.permute(0, 3, 1, 2)


class SwinVideo(Network):
    """Correction of the middle of an odd number of frames, by attention in shifted windows of space and time.

    After Video Swin (Liu et al. 2022, doi:10.1109/CVPR52688.2022.00320) and, in working at several
    resolutions, VRT (Liang et al. 2024, doi:10.1109/TIP.2024.3372454). A first convolution over all frames
    averages what stands still; then windows over all frames find what moved, at a quarter and an eighth of
    the resolution, where windows are wide. Only the middle frame is asked for, so only its tokens ask: the
    other frames, each embedded alike, are looked at and not worked on, at a fifth of the cost.

    Features are (images, kinds * frames + 1, height, width): of each kind (estimate, gradient) all
    frames, then the noise level.
    """

    multiple = max(window << level for level, window in enumerate(WINDOWS, start=1))

    def __init__(
        self,
        channels: int,
        frames: int = 5,
        width: int = 32,
        blocks: int = 1,
        heads: int = 2,
        expansion: float = 2.0,
    ) -> None:
        super().__init__()
        kinds, rest = divmod(channels - 1, frames)
        if rest or kinds < 1 or frames % 2 == 0:
            raise ValueError(
                f"{channels} channels are not of an odd number of frames ({frames}) and a noise level"
            )
        self.frames = frames
        levels = range(len(WINDOWS))
        widths = [width << level for level in levels]

        def stage(level: int, numbers: range) -> VideoStage:
            seen = frames if level else 1  # the finest level is for the image's own detail
            return VideoStage(numbers, widths[level], heads << level, WINDOWS[level], seen, expansion)

        self.shallow = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.embed = nn.Conv2d(4 * (kinds + 1), width, 3, padding=1)
        down, up = range(blocks), range(blocks, 2 * blocks)
        self.encoders = nn.ModuleList(stage(level, down) for level in levels[:-1])
        self.decoders = nn.ModuleList(stage(level, up) for level in levels[:-1])
        self.bottom = stage(levels[-1], range(2 * blocks))
        self.shrinks = nn.ModuleList(shrink(w) for w in widths[:-1])
        self.frame_shrinks = nn.ModuleList(shrink(w) for w in widths[:-1])
        self.grows = nn.ModuleList(grow(w) for w in widths[:-1])
        self.joins = nn.ModuleList(nn.Conv2d(2 * w, w, 1) for w in widths[:-1])
        self.last = silent(nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        image = self.shallow(pixel_unshuffle(features, 2))
        others = self._others(features)
        skips = []
        for level, smaller in enumerate(self.shrinks):
            skips.append(self.encoders[level](image, others[level]))
            image = smaller(skips[-1])
        image = self.bottom(image, others[-1])
        for level in reversed(range(len(skips))):
            image = self.joins[level](torch.cat([self.grows[level](image), skips[level]], 1))
            image = self.decoders[level](image, others[level])
        return pixel_shuffle(self.last(image), 2)

    def _others(self, features: Tensor) -> list[Tensor]:
        """The frames about the middle one at every resolution: (images, frames - 1, C, height, width)."""
        kinds = features[:, :-1].unflatten(1, (-1, self.frames)).transpose(1, 2)
        noise = features[:, None, -1:].expand(-1, self.frames, -1, -1, -1)
        each = torch.cat([kinds, noise], 2)
        middle = self.frames // 2
        each = torch.cat([each[:, :middle], each[:, middle + 1 :]], 1)
        images = [self.embed(pixel_unshuffle(each.flatten(0, 1), 2))]
        for smaller in self.frame_shrinks:
            images.append(smaller(gelu(images[-1])))
        return [image.unflatten(0, (-1, self.frames - 1)) for image in images]
