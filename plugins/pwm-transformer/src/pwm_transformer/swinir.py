"""SwinIR: residual Swin transformer blocks between two convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from pwm_learned.network import Network, silent
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from .windows import SwinBlock

WINDOW = 8  # tokens along a side


class ResidualSwin(nn.Module):
    """Swin blocks, every second one shifted, then a 3x3 convolution; around all of it a skip (RSTB)."""

    def __init__(self, width: int, blocks: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(SwinBlock(width, heads, WINDOW, i % 2 == 1, expansion) for i in range(blocks))
        )
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.blocks(image.permute(0, 2, 3, 1))
        return image + self.conv(tokens.permute(0, 3, 1, 2))


class SwinIR(Network):
    """SwinIR (Liang et al. 2021, doi:10.1109/ICCVW54120.2021.00210), light and at half the resolution.

    A 3x3 convolution makes shallow features, ``stages`` of residual Swin ``blocks`` make deep ones. Unlike in
    the paper's denoiser a token is 2x2 pixels: a quarter of the tokens, and windows twice as wide.
    """

    multiple = 2 * WINDOW

    def __init__(
        self,
        channels: int,
        width: int = 48,
        stages: int = 2,
        blocks: int = 4,
        heads: int = 3,
        expansion: float = 2.0,
    ) -> None:
        super().__init__()
        self.shallow = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.deep = nn.Sequential(*(ResidualSwin(width, blocks, heads, expansion) for _ in range(stages)))
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.last = silent(nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        shallow = self.shallow(pixel_unshuffle(features, 2))
        deep = self.norm(self.deep(shallow).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return pixel_shuffle(self.last(shallow + self.conv(deep)), 2)
