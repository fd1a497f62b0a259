"""U-Net: convolutions at several scales, joined by skip connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pwm_learned.method import Learned
from pwm_learned.network import Network, silent
from torch import Tensor, nn


class UNetwork(Network):
    """Residual blocks at three scales, of ``width``, twice and four times as many channels.

    Ronneberger et al. 2015 (doi:10.1007/978-3-319-24574-4_28) with the residual blocks, strided convolutions
    and added skips of DRUNet (doi:10.1109/TPAMI.2021.3088914).
    """

    multiple = 4

    def __init__(self, *, channels: int, width: int = 32) -> None:
        super().__init__()
        sizes = (width, 2 * width, 4 * width)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(_Block(n) for n in sizes[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(n, 2 * n, 2, stride=2) for n in sizes[:-1])
        self.bottom = nn.Sequential(_Block(sizes[-1]), _Block(sizes[-1]))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, stride=2) for n in sizes[:-1])
        self.up = nn.ModuleList(_Block(n) for n in sizes[:-1])
        self.last = silent(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        x, kept = self.first(features), []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            x = block(x)
            kept.append(x)
            x = shrink(x)
        x = self.bottom(x)
        for block, grow, skip in zip(self.up[::-1], self.grow[::-1], reversed(kept), strict=True):
            x = block(grow(x) + skip)
        return self.last(x)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class UNet(Learned):
    """U-Net of three scales that sees five frames of a video, or all element maps of a spectrum image.

    Ronneberger et al. 2015. Element maps exchange a learned summary before each is worked on.
    """

    method = "unet"
    network = UNetwork
    size: ClassVar[dict[str, int]] = {"width": 32}
    frames = 5
    exchange = 16
    images = "stem"
    bare = 0.25
