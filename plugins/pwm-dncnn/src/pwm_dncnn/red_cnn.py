"""RED-CNN: an encoder of convolutions and a decoder of transposed ones, with shortcuts between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from pwm_learned.method import Learned
from pwm_learned.network import Network, lively, silent
from torch import Tensor, nn

_LAYERS = 5


class REDCNNetwork(Network):
    """Five 5x5 convolutions without padding and five transposed ones (Chen et al. 2017,
    doi:10.1109/TMI.2017.2715284).

    Shortcuts lead from the second and the fourth layer, and from the input, which here is the estimate that
    the answer is added to. The paper has 96 channels, and a ReLU at the end, which a correction cannot have.
    """

    def __init__(self, *, channels: int, width: int = 32) -> None:
        super().__init__()
        sizes = [channels] + [width] * _LAYERS
        self.encoder = nn.ModuleList(nn.Conv2d(a, b, 5) for a, b in pairwise(sizes))
        self.decoder = nn.ModuleList(nn.ConvTranspose2d(width, width, 5) for _ in range(_LAYERS - 1))
        self.last = nn.ConvTranspose2d(width, 1, 5)
        lively(self)
        silent(self.last)

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        x, kept = features, []
        for i, layer in enumerate(self.encoder):
            x = layer(x).relu()
            if i in (1, 3):
                kept.append(x)
        for i, layer in enumerate(self.decoder):
            x = layer(x)
            x = (x + kept.pop()).relu() if i in (0, 2) else x.relu()
        return self.last(x)


class REDCNN(Learned):
    """Residual encoder-decoder of 5x5 convolutions, 32 channels, each image alone (Chen et al. 2017)."""

    method = "red-cnn"
    network = REDCNNetwork
    size: ClassVar[dict[str, int]] = {"width": 32}
