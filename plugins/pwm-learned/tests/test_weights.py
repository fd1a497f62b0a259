"""Weights and model cards: round trip, and one clear sentence for whatever does not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pwm_learned.method import Learned
from pwm_learned.network import Network
from pwm_learned.weights import ModelCard, read_card, read_model, write_model
from torch import nn

from pwm_core.errors import BadFile, BadValue, Unsuitable
from pwm_core.registry import installed


class Tiny(Network):
    multiple = 4

    def __init__(self, *, channels: int, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, features, groups):
        return self.body(features)


class TinyMethod(Learned):
    """Two convolutions."""

    method = "tiny"
    network = Tiny


@pytest.fixture
def written(tmp_path):
    network = Tiny(channels=3)
    card = ModelCard(
        "tiny", "stem", {"channels": 3, "width": 4}, 1, "spectral-wiener", validation={"psnr": 30.0}
    )
    path = tmp_path / "tiny-stem.safetensors"
    return path, network, write_model(path, network, card)


def test_round_trip(written):
    path, network, card = written
    again, read = read_model(path, TinyMethod.assemble)
    assert read == card
    assert read.validation == {"psnr": 30.0}
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(again(x, [1, 1]), network.half().float()(x, [1, 1]))
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".safetensors"]


def test_reading_leaves_the_random_numbers_of_others_alone(written):
    before = torch.random.get_rng_state()
    read_model(written[0], TinyMethod.assemble)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_changed_weights_are_noticed(written):
    path = written[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadFile, match="SHA-256"):
        read_model(path, TinyMethod.assemble)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "not a model card"),
        ({"version": 99}, "version 99"),
        ({"network": {"channels": "3"}}, "numbers only"),
        ({"network": {"channels": 5}}, "does not hold weights"),
        ({"network": {"depth": 5}}, "does not hold weights"),
        ({"frames": "5"}, "frames must be int"),
        ({"sha256": "0"}, "SHA-256"),
    ],
)
def test_malformed_cards(written, change, words):
    path = written[0]
    card = path.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **change}))
    with pytest.raises(BadFile, match=words):
        read_model(path, TinyMethod.assemble)


@pytest.mark.parametrize("text", ["", "[]", "{", '"pwm-model"'])
def test_what_is_no_card(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(BadFile, match="not a model card"):
        read_card(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadFile, match="cannot be read"):
        read_model(tmp_path / "nothing.safetensors", TinyMethod.assemble)


def test_weights_of_another_method_are_refused(written):
    path = written[0]

    class Other(TinyMethod):
        """Not tiny."""

        method = "other"

    with pytest.raises(BadValue, match="weights of tiny, not of other"):
        Other(weights=str(path)).model("stem")


def test_a_modality_without_weights_is_told_how_to_get_some():
    with pytest.raises(Unsuitable, match="pwm train tiny --modality xrf"):
        TinyMethod().model("xrf")


def test_retrained_weights_are_read_anew(written):
    path, network, card = written
    method = TinyMethod(weights=str(path))
    first = method.model("stem")[0]
    assert method.model("stem")[0] is first
    with torch.no_grad():
        network.body[0].weight.add_(1.0)
    write_model(path, network, card)
    assert method.model("stem")[0] is not first


def test_weights_for_another_kind_of_object_are_refused(written):
    """Three channels are not those of a micrograph, which are four."""
    modality = installed().find("stem", "modality").load().small()
    problem, _ = modality.simulate(1, seed=0)
    with pytest.raises(Unsuitable, match="of another kind than of stem"):
        next(TinyMethod(weights=str(written[0])).solve(problem, np.random.default_rng(0)))
