"""What the maps of one object tell each other before a network works on each of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Exchange(nn.Module):
    """Adds to the features of each map a summary of all maps of its group.

    At every pixel the embeddings of the K maps are averaged with learned soft-max weights, so that any
    number of maps, in any order, can be taken together (attention pooling, Ilse et al. 2018,
    arXiv:1802.04712). (N, C, H, W) becomes (N, C + width, H, W).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width + 1, 3, padding=1),
        )

    def forward(self, features: Tensor, groups: Sequence[int]) -> Tensor:
        embedded = self.embed(features)
        value, score = embedded[:, :-1], embedded[:, -1:]
        shared = []
        for v, s in zip(value.split(list(groups)), score.split(list(groups)), strict=True):
            mean = (v * s.softmax(0)).sum(0, keepdim=True)
            shared.append(mean.expand(len(v), -1, -1, -1))
        return torch.cat([features, torch.cat(shared).to(features.dtype)], 1)
