"""What a network of a learned method is given and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from torch import Tensor, nn

Convolution = TypeVar("Convolution", nn.Conv2d, nn.ConvTranspose2d)


class Network(nn.Module):
    """From features of images to the correction of an estimate.

    ``features`` (N, C, H, W): for each image the channels of :mod:`pwm_learned.features`. ``groups``: sizes
    of the consecutive runs of images that belong together, such as the element maps of one spectrum
    image; their sum is N. The answer (N, 1, H, W) is what to add to the estimate, in the features' scale.
    H and W are multiples of ``multiple``. A new network answers zero, which is the estimate as it is.

    Constructors take ``channels`` (C) and further numbers by keyword: they are stored beside the weights.
    """

    multiple: ClassVar[int] = 1

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not define forward(features, groups)")


def lively(network: nn.Module) -> None:
    """Start the convolutions so that signals keep their size through ReLUs (He et al. 2015,
    doi:10.1109/ICCV.2015.123): torch's own start lets them fade out in a deep stack without skips."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def silent(layer: Convolution) -> Convolution:
    """The layer with weights and bias zero: the last one of a new network."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
