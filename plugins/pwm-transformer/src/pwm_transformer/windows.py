"""Shifted-window attention: transformer blocks on the tokens of an image, with or without frames about it.

Tokens are (images, height, width, C). A window is ``window`` x ``window`` of them and, in a video, the same
place in the frames about the image; every second block moves its windows by half of one, so that what windows
separate is joined in the next block (Liu et al. 2021, doi:10.1109/ICCV48922.2021.00986; in three dimensions
Liu et al. 2022, doi:10.1109/CVPR52688.2022.00320).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

SEPARATE = -100.0  # added to a score: exp(-100) is no weight at all, and finite in every float type


def partition(tokens: Tensor, window: int) -> Tensor:
    """(images, frames, height, width, C) -> (windows, frames * window², C)."""
    images, frames, height, width, size = tokens.shape
    tiles = tokens.reshape(images, frames, height // window, window, width // window, window, size)
    return tiles.permute(0, 2, 4, 1, 3, 5, 6).reshape(-1, frames * window**2, size)


def merge(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """Windows of one frame (windows, window², C) -> (images, height, width, C)."""
    tiles = windows.reshape(-1, height // window, width // window, window, window, windows.shape[-1])
    return tiles.transpose(2, 3).reshape(-1, height, width, windows.shape[-1])


def border_mask(height: int, width: int, window: int, like: Tensor) -> Tensor:
    """What to add to scores in windows moved by half of one: (windows of a frame, window², window²).

    The move is cyclic, so windows on the border hold tokens of opposite borders, which must not see each
    other.
    """
    shift = window // 2
    down, right = (torch.arange(n, device=like.device) >= n - shift for n in (height, width))
    regions = partition((2 * down[:, None] + right.int())[None, None, :, :, None], window)[..., 0]
    return SEPARATE * (regions[:, :, None] != regions[:, None, :]).to(like.dtype)


class WindowAttention(nn.Module):
    """Multi-head attention within windows; each head learns a bias for every relative position."""

    def __init__(self, width: int, heads: int, window: int, frames: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, window // 2 if shifted else 0
        self.query, self.project = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.table = nn.Parameter(torch.empty(heads, frames, 2 * window - 1, 2 * window - 1))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, seen: Tensor) -> Tensor:
        """(images, height, width, C): what the first of (images, frames, height, width, C) takes from all."""
        height, width = seen.shape[2:4]
        if self.shift:
            seen = seen.roll((-self.shift, -self.shift), (2, 3))
        out = merge(self._attend(partition(seen, self.window), height, width), self.window, height, width)
        return out.roll((self.shift, self.shift), (1, 2)) if self.shift else out

    def bias(self) -> Tensor:
        """For a query at row, column and a key at frame, row, column: (heads, window², frames * window²)."""
        near = self.table.unfold(2, self.window, 1).unfold(3, self.window, 1).flip(2, 3)
        return near.permute(0, 2, 3, 1, 4, 5).reshape(self.heads, self.window**2, -1)

    def _attend(self, windows: Tensor, height: int, width: int) -> Tensor:
        q = self.query(windows[:, : self.window**2]).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.key_value(windows).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        # the plain product: on CPUs several times faster than scaled_dot_product_attention with a bias
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        out = (scores + self._offset(scores, height, width)).softmax(-1) @ v
        return self.project(out.transpose(1, 2).flatten(-2))

    def _offset(self, scores: Tensor, height: int, width: int) -> Tensor:
        """The bias, and between what only the cyclic move made neighbours, the separation."""
        bias = self.bias().to(scores.dtype)
        if not self.shift:
            return bias
        mask = border_mask(height, width, self.window, scores)
        frames = self.table.shape[1]
        images = len(scores) // len(mask)
        return (bias + mask.repeat(1, 1, frames)[:, None]).repeat(images, 1, 1, 1)


class SwinBlock(nn.Module):
    """Window attention, then a perceptron at every token; each behind a layer norm and around a skip.

    In a video only the image asked for is worked on; the frames about it, normalised once, are looked at.
    """

    def __init__(
        self, width: int, heads: int, window: int, shifted: bool, expansion: float, frames: int = 1
    ) -> None:
        super().__init__()
        hidden = round(width * expansion)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window, frames, shifted)
        self.rise, self.fall = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, around: Tensor | None = None) -> Tensor:
        """Of (images, height, width, C) and the frames about each, (images, frames - 1, height, width, C)."""
        seen = self.norm1(tokens)[:, None]
        if around is not None:
            seen = torch.cat([seen, around], 1)
        tokens = tokens + self.attention(seen)
        return tokens + self.fall(gelu(self.rise(self.norm2(tokens))))
