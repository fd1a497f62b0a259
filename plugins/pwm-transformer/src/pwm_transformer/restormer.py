"""Restormer: attention between channels instead of pixels, in an encoder-decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pwm_learned.network import Network
from torch import Tensor, nn
from torch.nn.functional import gelu

from .pyramid import MULTIPLE, Pyramid

_NONE = 1e-12  # the squared length below which a channel is empty, and correlated with none


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (images, channels, height, width)."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TransposedAttention(nn.Module):
    """Multi-Dconv head transposed attention: channels attend to the channels of their head.

    q, k and v come from a 1x1 and a depth-wise 3x3 convolution; q and k count as unit vectors over the
    pixels, so a score is a correlation, sharpened by a learned temperature per head. The cost is linear in
    the number of pixels.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.local = nn.Conv2d(3 * width, 3 * width, 3, padding=1, groups=3 * width, bias=False)
        self.temperature = nn.Parameter(torch.ones(heads))
        self.project = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        q, k, v = self.local(self.mix(image)).permute(0, 2, 3, 1).flatten(1, 2).chunk(3, -1)
        out = v @ self.weights(q, k).transpose(-1, -2)
        return self.project(out.unflatten(1, image.shape[2:]).permute(0, 3, 1, 2))

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        """What each channel of (images, pixels, C) takes of each other: (images, C, C), zero between heads.

        All channels are correlated at once, then other heads masked: one product is faster than one per head.
        The lengths of q and k divide the small product instead of q and k.
        """
        size, heads = q.shape[-1], len(self.temperature)
        lengths = [x.square().sum(1).float().clamp(min=_NONE).rsqrt() for x in (q, k)]
        sharpness = lengths[0] * self.temperature.repeat_interleave(size // heads)
        scores = (q.transpose(-1, -2) @ k).float() * sharpness[:, :, None] * lengths[1][:, None, :]
        head = torch.arange(size, device=q.device) // (size // heads)
        return scores.masked_fill(head[:, None] != head, -torch.inf).softmax(-1).to(q.dtype)


class GatedFeedForward(nn.Module):
    """Gated-Dconv feed-forward: one half of the channels, through a GELU, gates the other."""

    def __init__(self, width: int, expansion: float) -> None:
        super().__init__()
        hidden = round(width * expansion)
        self.rise = nn.Conv2d(width, 2 * hidden, 1, bias=False)
        self.local = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.fall = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        gate, value = self.local(self.rise(image)).chunk(2, 1)
        return self.fall(gelu(gate) * value)


class RestormerBlock(nn.Module):
    """Transposed attention, then a gated feed-forward; each behind a layer norm and around a skip."""

    def __init__(self, width: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(width), ChannelNorm(width)
        self.attention = TransposedAttention(width, heads)
        self.feed = GatedFeedForward(width, expansion)

    def forward(self, image: Tensor, groups: Sequence[int]) -> Tensor:
        image = image + self.attention(self.norm1(image))
        return image + self.feed(self.norm2(image))


class Restormer(Network):
    """Restormer (Zamir et al. 2022, doi:10.1109/CVPR52688.2022.00564), small and from half the resolution on.

    Three levels instead of four, as many blocks at each, one head at the finest and twice as many at each
    further one.
    """

    multiple = MULTIPLE

    def __init__(self, channels: int, width: int = 32, blocks: int = 1, expansion: float = 2.0) -> None:
        super().__init__()
        self.pyramid = Pyramid(
            channels, width, blocks, lambda size, level: RestormerBlock(size, 2**level, expansion)
        )

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        return self.pyramid(features, groups)
