"""The reconstructors made of the networks of this package."""

from __future__ import annotations

from typing import ClassVar

from pwm_learned.method import Learned

from .restormer import Restormer
from .spectraformer import SpectraFormer
from .swin_video import SwinVideo
from .swinir import SwinIR

RATE = 3e-3  # short trainings get further with it than with 1e-3


class SwinIRMethod(Learned):
    """Swin transformer for image restoration (Liang et al. 2021, doi:10.1109/ICCVW54120.2021.00210).

    Each image alone; tokens of 2x2 pixels, windows of 8x8 tokens.
    """

    method = "swinir"
    network = SwinIR
    rate = RATE


class RestormerMethod(Learned):
    """Restormer (Zamir et al. 2022, doi:10.1109/CVPR52688.2022.00564).

    Five frames of a video enter as channels; element maps exchange a learned summary first.
    """

    method = "restormer"
    network = Restormer
    rate = RATE
    frames = 5
    exchange = 16


class SpectraFormerMethod(Learned):
    """Attention along the energy axis, reduced to the components' maps, alternating with spatial mixing.

    The attention is Vaswani et al. 2017 (arXiv:1706.03762); the maps carry no position, so that any elements
    in any number can be taken.
    """

    method = "spectraformer"
    network = SpectraFormer
    rate = RATE


class SwinVideoMethod(Learned):
    """Video Swin transformer (Liu et al. 2022, doi:10.1109/CVPR52688.2022.00320) over five frames.

    It corrects the middle frame, by windows that reach over all five.
    """

    method = "swin-video"
    network = SwinVideo
    rate = RATE
    size: ClassVar[dict[str, int]] = {"frames": 5}
    frames = 5
