"""The U-Net that learns from one measurement: small enough to train in a minute."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

LEVELS = 2
MULTIPLE = 2**LEVELS  # height and width of its input are multiples of this
REACH = 24  # px, rounded up to a multiple: no output pixel depends on inputs further away


class SmallUNet(nn.Module):
    """Two convolutions at each of three scales of ``width``, 2 and 4 times ``width`` channels (Ronneberger
    et al. 2015, doi:10.1007/978-3-319-24574-4_28), with a 1x1 convolution before each enlargement.

    From (n, inputs, y, x) to (n, outputs, y, x). A new network answers zero.
    """

    def __init__(self, inputs: int, outputs: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = [width * 2**level for level in range(LEVELS + 1)]
        before = [inputs, *sizes]
        self.down = nn.ModuleList(_pair(a, b) for a, b in zip(before, sizes, strict=False))
        self.narrow = nn.ModuleList(_layer(2 * size, size, 1) for size in sizes[:-1])
        self.up = nn.ModuleList(_pair(2 * size, size) for size in sizes[:-1])
        self.last = _layer(width, outputs, 1)
        _initialise(self, generator)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for level, block in enumerate(self.down):
            x = block(max_pool2d(x, 2) if level else x)
            kept.append(x)
        kept.pop()
        for narrow, up in zip(reversed(self.narrow), reversed(self.up), strict=True):
            x = interpolate(narrow(x), scale_factor=2.0, mode="nearest")
            x = up(torch.cat([x, kept.pop()], 1))
        return self.last(x)


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    slope = nn.LeakyReLU(0.1, inplace=True)
    return nn.Sequential(_layer(inputs, outputs, 3), slope, _layer(outputs, outputs, 3), slope)


def _layer(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    """A convolution without values yet: torch would draw them from its global generator."""
    return nn.utils.skip_init(nn.Conv2d, inputs, outputs, size, padding=size // 2)


def _initialise(network: nn.Module, generator: torch.Generator) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, 0.1, generator=generator)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
