"""Prediction on images of any size."""

from __future__ import annotations

import itertools
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_learned import predict
from pwm_learned.exchange import Exchange
from pwm_learned.features import plain
from pwm_learned.network import Network
from torch import nn


class Blur(Network):
    """Answers a 5x5 mean of the estimate."""

    multiple: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 5, padding=2, padding_mode="reflect", bias=False)
        nn.init.constant_(self.conv.weight, 1 / 25)

    def forward(self, features, groups):
        assert features.shape[-1] % 4 == 0
        assert features.shape[-2] % 4 == 0
        assert sum(groups) == len(features)
        return self.conv(features[:, :1])


@given(height=st.integers(5, 40), width=st.integers(5, 40), count=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_any_size_is_answered(height, width, count):
    images = np.random.default_rng(0).normal(size=(count, height, width))
    answer = predict.corrections(Blur(), plain(images, 0.1, False, 3), 1)
    assert answer.shape == images.shape
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize("frames", [True, False])
def test_tiles_leave_no_seam(monkeypatch, frames):
    images = np.random.default_rng(0).normal(size=(3, 150, 200))
    seen = plain(images, 0.1, frames, 3)
    whole = predict.corrections(Blur(), seen, 1)
    monkeypatch.setattr(predict, "TILE", 64)
    monkeypatch.setattr(predict, "OVERLAP", 16)
    tiled = predict.corrections(Blur(), seen, 1)
    # at a tile's edge the network sees its padding, which the blending hides all but a little of
    assert float((tiled - whole).abs().max()) < 0.2 * float(whole.abs().max())
    assert float((tiled - whole).square().mean()) < 1e-3 * float(whole.square().mean())


@given(size=st.integers(1, 2000), multiple=st.sampled_from([1, 4, 16]))
def test_spans_cover_everything(size, multiple):
    spans = list(predict._spans(size, multiple))
    assert spans[0].start == 0
    assert spans[-1].stop == size
    for a, b in itertools.pairwise(spans):
        assert a.start < b.start <= a.stop
        assert a.stop - b.start >= predict.OVERLAP - multiple


def test_exchange_does_not_mind_the_order_or_the_number_of_maps():
    torch.manual_seed(0)
    layer = Exchange(3, 5)
    maps = torch.randn(7, 3, 8, 8)
    together = layer(maps, [4, 3])
    order = [2, 0, 3, 1, 6, 4, 5]
    torch.testing.assert_close(layer(maps[order], [4, 3]), together[order])
    torch.testing.assert_close(layer(maps[:4], [4]), together[:4])
    assert not torch.allclose(layer(maps[:3], [3])[:, 3:], together[:3, 3:])  # the fourth had a say
