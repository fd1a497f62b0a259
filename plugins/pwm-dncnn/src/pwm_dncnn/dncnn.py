"""DnCNN: a plain stack of convolutions that predicts the noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pwm_learned.method import Learned
from pwm_learned.network import Network, lively, silent
from torch import Tensor, nn


class DnCNNetwork(Network):
    """``depth`` 3x3 convolutions of ``width`` channels with ReLU between (Zhang et al. 2017,
    doi:10.1109/TIP.2017.2662206: 17 of 64, and batch normalisation, which a noise level among the
    inputs makes unnecessary: FFDNet, doi:10.1109/TIP.2018.2839891)."""

    def __init__(self, *, channels: int, width: int = 40, depth: int = 12) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True)]
        last = nn.Conv2d(width, 1, 3, padding=1)
        self.layers = nn.Sequential(*layers, last)
        lively(self)
        silent(last)

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        return self.layers(features)


class DnCNN(Learned):
    """Each image alone: 12 convolutions of 40 channels, by the noise level (Zhang et al. 2017).

    The network sees one image, frame or element map at a time, 25 pixels wide about each pixel.
    """

    method = "dncnn"
    network = DnCNNetwork
    size: ClassVar[dict[str, int]] = {"width": 40, "depth": 12}
    images = "stem"
    bare = 0.25
