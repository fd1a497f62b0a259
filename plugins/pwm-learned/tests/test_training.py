"""Training: what it trains on, that it learns, and that it can be taken up again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pwm_learned.command import train
from pwm_learned.training import examples, loop
from pwm_learned.training.checkpoint import read_checkpoint
from pwm_learned.training.examples import Pool, Source, batch
from pwm_learned.training.loop import Plan, Training, schedule
from pwm_learned.training.session import Session
from pwm_learned.training.validation import Validation

from pwm_core.errors import BadFile, BadValue
from pwm_core.registry import installed


def source(name: str, **fixed) -> Source:
    return Source(installed().find(name, "modality").load(), 0, fixed)


def plan(**changes) -> Plan:
    method = installed().find("dncnn", "denoiser").load()
    usual = {"precision": "float32", "size": {"width": 6, "depth": 3}, "steps": 12}
    return Plan(method, source("stem", size=32), **{**usual, **changes})


def test_scenes_that_may_be_scored_are_refused():
    modality = installed().find("stem", "modality").load()
    with pytest.raises(BadValue, match="may be scored"):
        source("stem").pose(7)
    assert examples.FIRST_VALIDATION + 10_000 < examples.FIRST_TRAINING
    standard = [modality.small().simulate(scene)[1].x for scene in modality.scenes]
    drawn = source("stem", **modality.small().values()).pose(examples.FIRST_TRAINING)[2].x
    assert all(not np.array_equal(drawn, x) for x in standard)


@pytest.mark.parametrize("name", ["stem", "fluoroscopy", "xrf", "stem-edx"])
def test_examples_are_sound_and_reproducible(name):
    small = {"size": 32, **({"frames": 4} if name == "fluoroscopy" else {})}
    for index in range(4):
        one, other = (source(name, **small).example(index) for _ in range(2))
        torch.testing.assert_close(one.target, other.target, rtol=0, atol=0)
        for tensor in (one.features.estimate, one.features.noise, one.target, one.weight):
            assert torch.isfinite(tensor).all()
        channels, target, weight = one.patch(1, 16, np.random.default_rng(0))
        assert channels.shape[-2:] == target.shape[-2:] == (16, 16)
        assert len(channels) == len(target) == len(weight) == (len(one.target) if one.together else 1)


def test_the_target_leads_to_the_truth():
    found = source("xrf", size=32)
    index = next(i for i in range(20) if found.example(i).features.gradients[0].abs().max() > 0)
    example = found.example(index)
    truth = found.pose(examples.FIRST_TRAINING + index)[2]
    np.testing.assert_allclose(example.features.object(example.target), truth.x, rtol=1e-3, atol=1e-3)


def test_a_pool_is_the_same_wherever_it_is_entered(monkeypatch):
    monkeypatch.setattr(Source, "example", lambda self, index: index)
    through = Pool(source("stem"), 5, 3, 0).steps(0)
    walked = [list(next(through)) for _ in range(30)]
    for first in (1, 2, 3, 14, 27):
        assert next(Pool(source("stem"), 5, 3, 0).steps(first)) == walked[first]


def test_a_pool_made_by_other_processes_is_the_same():
    one, two = (next(Pool(source("stem", size=32), 3, 8, workers).steps(0)) for workers in (0, 1))
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a.target, b.target)


def test_a_batch_holds_whole_groups():
    made = [source("xrf", size=32).example(i) for i in range(3)]
    channels, target, weight, groups = batch(made, 12, 1, 16, np.random.default_rng(1))
    assert sum(groups) == len(channels) == len(target) == len(weight) >= 12
    assert set(groups) <= {len(e.target) for e in made}


def test_training_learns():
    losses = [now.loss for now in Training.new(plan(steps=200, size={"width": 12, "depth": 4})).run()]
    assert losses[-1] < 0.9 * max(losses)


def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path):
    whole = Training.new(plan())
    for _ in whole.run():
        pass
    path = tmp_path / "checkpoint.safetensors"
    first = Training.new(plan())
    for now in first.run():
        if now.step == 7:
            now.save(path)
            break
    second = Training.new(plan(), path)
    assert second.step == 7
    for _ in second.run():
        pass
    for a, b in zip(whole.smooth.parameters(), second.smooth.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    Training.new(plan()).save(path)
    with pytest.raises(BadFile, match="not a checkpoint of this network"):
        Training.new(plan(size={"width": 8, "depth": 3}), path)
    path.write_bytes(b"nothing")
    training = Training.new(plan())
    with pytest.raises(BadFile, match="not a checkpoint"):
        read_checkpoint(path, training.network, training.smooth, training.optimizer)


def test_the_learning_rate_rises_then_falls_to_almost_nothing():
    rates = [schedule(p) for p in np.linspace(0, 1, 101)]
    assert max(rates) == pytest.approx(1, abs=0.05)
    assert np.argmax(rates) <= 3
    assert rates[-1] < 0.01


def command(tmp_path, *more: str) -> int:
    small = ["--simulate", "size=32", "--set", "width=8", "--set", "depth=3", "--precision", "float32"]
    return train(["dncnn", "--modality", "stem", *small, "--output", str(tmp_path), *more])


def test_the_command_beats_its_starting_point_and_leaves_everything_behind(tmp_path, capsys):
    assert command(tmp_path, "--steps", "120") == 0
    card = json.loads((tmp_path / "dncnn-stem.json").read_text())
    assert card["validation"]["psnr"] > card["validation"]["others"]["estimate"]
    assert card["training"]["steps"] == 120
    assert card["training"]["data"]["fixed"] == {"size": 32}
    assert (tmp_path / "curve.png").stat().st_size > 5000
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 12
    method = installed().find("dncnn", "denoiser").load()(weights=str(tmp_path / "dncnn-stem.safetensors"))
    noisy = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    assert method.denoise(noisy, 1.0).shape == (32, 32)
    assert method.model("stem")[1].sha256 == card["sha256"]


@pytest.fixture
def little(monkeypatch):
    """Little to do before and beside the training."""
    few = Validation.of
    monkeypatch.setattr(Validation, "of", lambda source: few(source, scenes=1))
    monkeypatch.setattr(Session, "_references", lambda self: {})
    monkeypatch.setattr(loop, "SLOTS", 3)


def test_the_command_ends_as_it_should_however_often_it_is_interrupted(little, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert command(whole, "--steps", "24") == 0
    learn = Training._learn

    def command_until(step: int) -> int:
        def interrupted(self: Training, *examples) -> None:
            if self.step == step:
                raise KeyboardInterrupt
            learn(self, *examples)

        monkeypatch.setattr(Training, "_learn", interrupted)
        return command(broken, "--steps", "24")

    stops = [1, 5, 6, 7, 8, 9, 11, 13, 14, 16, 17, 19, 21, 22, 23]
    assert [command_until(step) for step in stops] == [130] * len(stops)
    assert command_until(24) == 0
    one, other = (json.loads((folder / "dncnn-stem.json").read_text()) for folder in (whole, broken))
    assert one["sha256"] == other["sha256"]
    assert other["training"]["steps"] == 24
    history = [json.loads(line)["step"] for line in (broken / "history.jsonl").read_text().splitlines()]
    assert history == sorted(set(history))
    assert history[-1] == 24
    assert sorted(p.name for p in broken.iterdir()) == sorted(p.name for p in whole.iterdir())


def test_the_command_goes_on_from_weights_and_says_from_which(little, tmp_path):
    assert command(tmp_path / "first", "--steps", "12") == 0
    first = tmp_path / "first" / "dncnn-stem.safetensors"
    assert command(tmp_path / "second", "--steps", "6", "--from", str(first)) == 0
    one, other = (json.loads((tmp_path / n / "dncnn-stem.json").read_text()) for n in ("first", "second"))
    assert one["training"]["continued"] is None
    assert other["training"]["continued"] == {"sha256": one["sha256"], "training": one["training"]}
    with pytest.raises(BadValue, match="holds a network of"):
        command(tmp_path / "third", "--set", "width=6", "--from", str(first))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--simulate", "size"], "NAME=VALUE"),
        (["--set", "width=wide"], "whole number"),
        (["--set", "depth=0"], "whole number"),
        (["--set", "breadth=9"], "dncnn takes depth, exchange, width"),
        (["--steps", "0"], "positive"),
        (["--threads", "0"], "positive"),
        (["--workers", "-1"], "not be negative"),
        (["--device", "abacus"], "device must be"),
        (["--from", "nowhere.safetensors"], "cannot be read"),
    ],
)
def test_what_the_command_refuses(tmp_path, more, words):
    with pytest.raises((BadValue, BadFile), match=words):
        command(tmp_path, *more)
