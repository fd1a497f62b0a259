"""Endless examples: generated scenes before drawn instruments, as a network sees them, with the answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pwm_core.channels import CHANNELS
from pwm_core.errors import BadValue
from pwm_core.modality import TIERS, Modality, stream
from pwm_core.problem import Problem, Truth

from ..features import FRAME, Features, channels_for, features, gain_of, plain, works_on_data
from ..method import START, estimate

# Generated scenes have numbers: training uses those from FIRST_TRAINING on, validation those from
# FIRST_VALIDATION on. Standard scenes have names and random streams of their own; none is ever used here.
FIRST_VALIDATION, FIRST_TRAINING = 1 << 20, 1 << 30
MISMATCHED = 0.3  # part of the problems whose operator is the nominal one, as in scenario mismatch
_STRETCH = 0.25  # parameters are drawn this part of their range beyond it
_DENOISED = 0.25  # of the noise variance: what a classical denoiser leaves, which errors are measured by


@dataclass(frozen=True)
class Source:
    """Where examples come from. ``fixed`` settings of the instrument are not drawn."""

    modality: type[Modality]
    seed: int = 0
    fixed: Mapping[str, Any] | None = None
    bare: float = 0.0  # part of the examples that are an image with white noise, as a denoiser gets it

    def pose(self, number: int) -> tuple[Modality, Problem, Truth, Problem]:
        """The generated scene of this number before an instrument drawn for it: what a method may know, the
        truth, and the problem with the true operator."""
        if number < FIRST_VALIDATION:
            raise BadValue(f"scene {number} may be scored; training takes numbers from {FIRST_VALIDATION} on")
        rng = np.random.default_rng(stream("train", self.modality.name, number, self.seed))
        modality = self.modality.drawn(rng).replace(**(self.fixed or {}))
        problem, truth = modality.simulate(number, seed=self.seed, theta=_theta(modality, rng))
        told = problem
        if rng.random() < MISMATCHED:
            told = problem.replace(operator=problem.operator.at(modality.nominal()))
        return modality, told, truth, problem

    def example(self, index: int) -> Example:
        """Example number ``index`` of training."""
        _, problem, truth, true = self.pose(FIRST_TRAINING + index)
        rng = np.random.default_rng(stream("train", self.modality.name, "example", index, self.seed))
        if rng.random() < self.bare:
            return _bare(problem, truth, rng)
        problem = problem.reduced()
        seen = features(problem, estimate(estimate_for(problem), problem, rng))
        if works_on_data(problem):
            truth = Truth(true.operator(truth.x) / gain_of(problem).numpy())
        return _example(seen, problem, truth, 1.0)


def estimate_for(problem: Problem) -> str:
    """The classical method whose result networks correct, for problems of this kind."""
    if not problem.reduced().operator.linear:
        return START
    return "bm3d" if problem.axes[0] == CHANNELS else "spectral-wiener"


@dataclass(frozen=True)
class Example:
    """``features``, and the correction (K, H, W) that they ask for. ``weight`` (K, 1, 1) makes errors of all
    doses count alike: a weighted mean square of 1 is that of the estimate."""

    features: Features
    target: Tensor
    weight: Tensor
    together: bool  # the K images are one group of maps

    def patch(self, frames: int, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Channels (n, C, h, w), correction and weight of a random window, turned and mirrored at random;
        n is the number of maps, or 1."""
        count, height, width = self.target.shape
        side = min(size, height, width)
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        window = (slice(top, top + side), slice(left, left + side))
        which = range(count) if self.together else [int(rng.integers(count))]
        channels = torch.stack([self.features.channels(k, frames, window) for k in which])
        target = self.target[list(which)][(slice(None), *window)][:, None]
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        both = [torch.rot90(a, turns, (-2, -1)) for a in (channels, target)]
        channels, target = (a.flip(-1) if mirrored else a for a in both)
        return channels, target, self.weight[list(which)][:, None]


class Pool:
    """The examples at hand: a fixed number of slots, refilled one after the other as training goes on."""

    def __init__(self, source: Source, slots: int, every: int, workers: int) -> None:
        self.source, self.slots, self.every, self.workers = source, slots, every, workers
        self.examples: list[Example] = []

    def steps(self, first: int) -> Generator[list[Example]]:
        """For each step from ``first`` on, the examples to draw from: the same whenever it is started."""
        made = first // self.every  # refilled so far
        following = _produce(self.source, made, self.workers)
        fresh = {i % self.slots: next(following) for i in range(made, made + self.slots)}
        self.examples = [fresh[slot] for slot in range(self.slots)]
        step, index = first, made + self.slots
        while True:
            yield self.examples
            step += 1
            if step % self.every == 0:
                self.examples[index % self.slots] = next(following)
                index += 1


def batch(
    examples: list[Example], images: int, frames: int, size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """At least ``images`` patches: channels (N, C, h, w), corrections, weights, groups."""
    parts, count = [], 0
    while count < images:
        part = examples[int(rng.integers(len(examples)))].patch(frames, size, rng)
        parts.append(part)
        count += len(part[0])
    channels, target, weight = (torch.cat(column) for column in zip(*parts, strict=True))
    return channels, target, weight, [len(part[0]) for part in parts]


def _theta(modality: Modality, rng: np.random.Generator) -> dict[str, float]:
    """A state of the instrument from the ranges of a tier and somewhat beyond, where the physics allows."""
    theta = {}
    for spec in modality.specs:
        low, high = spec.range(TIERS[int(rng.integers(len(TIERS)))])
        more = _STRETCH * (high - low)
        theta[spec.path] = float(rng.uniform(low - more, high + more))
    return theta


def _bare(problem: Problem, truth: Truth, rng: np.random.Generator) -> Example:
    """The true object with white noise, and no physics."""
    video = problem.axes[0] == FRAME
    x = np.array(truth.x, np.float32)
    images = x.reshape(-1, *x.shape[-2:])
    contrast = images.std(None if video else (1, 2), keepdims=True)
    images /= np.where(contrast > 0, contrast, 1)
    sigma = float(10 ** rng.uniform(-1.5, 0.5))
    seen = plain(images + sigma * rng.standard_normal(images.shape), sigma, video, channels_for(problem, 1))
    return _example(seen, problem, Truth(images), _DENOISED)


def _example(seen: Features, problem: Problem, truth: Truth, share: float) -> Example:
    x = torch.as_tensor(np.asarray(truth.x, np.float32)).reshape(seen.estimate.shape)
    target = (x - seen.offset) / seen.scale - seen.estimate
    over = (0, 1, 2) if seen.frames else (1, 2)
    error = share * target.square().mean(over, keepdim=True)
    floor = (0.1 * seen.noise.median()) ** 2
    weight = (1 / (error + floor).clamp(min=1e-6)).expand(len(target), 1, 1)
    return Example(seen, target, weight, problem.axes[0] == CHANNELS)


def _produce(source: Source, first: int, workers: int) -> Iterator[Example]:
    """The examples from number ``first`` on, in order, made ahead by ``workers`` processes if any."""
    if workers == 0:
        index = first
        while True:
            yield source.example(index)
            index += 1
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        ahead: deque[Future[Example]] = deque()
        index = first
        try:
            while True:
                while len(ahead) < 2 * workers + 2:
                    ahead.append(pool.submit(source.example, index))
                    index += 1
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
