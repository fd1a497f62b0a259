"""Time of learned methods: the network for an image of 256 x 256, one thread."""

import numpy as np
import pytest
import torch
from pwm_learned.features import plain
from pwm_learned.method import Learned
from pwm_learned.predict import corrections

from pwm_core.registry import installed

PAIRS = [
    (entry.card.name, modality)
    for entry in installed().of("reconstructor", "denoiser")
    for modality in sorted(entry.card.modalities)
    if issubclass(entry.load(), Learned)
]
COUNT = {"stem": 1, "fluoroscopy": 5, "xrf": 8, "stem-edx": 7}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "modality"), PAIRS)
def test_seconds_an_image(benchmark, name, modality):
    network, card = installed().find(name, "reconstructor", "denoiser").load()().model(modality)
    count = COUNT[modality]
    images = np.random.default_rng(0).normal(size=(count, 256, 256))
    single = 1 + (card.network["channels"] - 1) // card.frames
    seen = plain(images, 0.1, modality == "fluoroscopy", single)
    benchmark.pedantic(corrections, (network, seen, card.frames), rounds=3, warmup_rounds=1)
    benchmark.extra_info["milliseconds an image"] = 1e3 * benchmark.stats.stats.min / count
    benchmark.extra_info["parameters"] = sum(p.numel() for p in network.parameters())
