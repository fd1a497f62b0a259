"""The training of one network, step by step."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..method import Learned
from ..network import Network
from ..weights import ModelCard
from .checkpoint import read_checkpoint, write_checkpoint
from .examples import FIRST_VALIDATION, Pool, Source, batch
from .precision import faster

SLOTS, REFILL = 48, 8  # examples at hand; steps after which one of them is a new one
_WARM_UP = 0.02  # part of the training in which the learning rate rises
_SMOOTHING = 0.999  # of the running mean of the weights, which is what ships
_CLIP = 1.0  # largest norm of a gradient


@dataclass
class Plan:
    """What is trained, and for how long: ``steps``, or ``minutes`` on this machine if they are None."""

    method: type[Learned]
    source: Source
    minutes: float = 30.0
    steps: int | None = None
    seed: int = 0
    device: str = "cpu"
    precision: str = "auto"  # "float32", "bfloat16", or the faster of them on this machine
    workers: int = 0  # processes that make examples
    size: dict[str, int] = field(default_factory=dict)  # in place of the method's own numbers
    start: tuple[Network, ModelCard] | None = None  # what was trained before

    def __post_init__(self) -> None:
        self.source = replace(self.source, bare=self.method.bare)
        self.numbers, self.frames = self.method.numbers(self.source.pose(FIRST_VALIDATION)[1].reduced())
        self.numbers.update(self.size)


@dataclass
class Training:
    """A network in training. ``progress`` goes from 0 to 1; ``smooth`` is the running mean of ``network``."""

    plan: Plan
    network: Network
    smooth: Network
    optimizer: torch.optim.AdamW
    precision: str
    step: int = 0
    seconds: float = 0.0
    loss: float = math.nan  # running mean

    @classmethod
    def new(cls, plan: Plan, checkpoint: Path | None = None) -> Training:
        """From the start, or from where ``checkpoint``, if there is one, was written."""
        torch.manual_seed(plan.seed)
        networks = [plan.method.assemble(**plan.numbers) for _ in range(2)]
        if plan.start is not None:
            networks[0].load_state_dict(plan.start[0].state_dict())
        networks[1].load_state_dict(networks[0].state_dict())
        networks = [n.to(plan.device).to(memory_format=torch.channels_last) for n in networks]  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(networks[0].parameters(), plan.method.rate)
        kind = plan.precision if plan.precision != "auto" else faster(networks[0], plan)
        self = cls(plan, networks[0], networks[1].requires_grad_(False), optimizer, kind)
        if checkpoint is not None and checkpoint.exists():
            state = read_checkpoint(checkpoint, self.network, self.smooth, optimizer)
            self.step, self.seconds, self.loss = int(state["step"]), state["seconds"], state["loss"]
        return self

    def save(self, path: Path) -> None:
        state = {"step": self.step, "seconds": self.seconds, "loss": self.loss}
        write_checkpoint(path, self.network, self.smooth, self.optimizer, state)

    @property
    def progress(self) -> float:
        if self.plan.steps is not None:
            return min(self.step / self.plan.steps, 1.0)
        return min(self.seconds / (60 * self.plan.minutes), 1.0)

    def run(self) -> Iterator[Training]:
        """Train on, yielding after each step, until ``progress`` is 1."""
        if self.progress >= 1:
            return
        method, pool = self.plan.method, Pool(self.plan.source, SLOTS, REFILL, self.plan.workers)
        began = time.monotonic()
        with contextlib.closing(pool.steps(self.step)) as steps:
            for examples in steps:
                rng = np.random.default_rng([self.plan.seed, self.step])
                self._learn(*batch(examples, method.batch, self.plan.frames, method.patch, rng))
                self.step += 1
                self.seconds += time.monotonic() - began
                yield self
                if self.progress >= 1:
                    return
                began = time.monotonic()  # what is done in between, such as validation, is not training

    def _learn(self, channels: Tensor, target: Tensor, weight: Tensor, groups: list[int]) -> None:
        device = self.plan.device
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.method.rate * schedule(self.progress)
        features = channels.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            answer = self.network(features, groups)
        # the square root keeps single examples, on which the estimate is hopeless, from ruling the rest
        errors = (weight.to(device) * (answer.float() - target.to(device)).square()).mean((1, 2, 3))
        loss = (errors + 1e-3).sqrt().mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimizer.step()
        keep = min(_SMOOTHING, (1 + self.step) / (10 + self.step))
        mean, now = self.smooth.state_dict(), self.network.state_dict()
        torch._foreach_lerp_(list(mean.values()), list(now.values()), 1 - keep)
        value = float(loss.detach())
        self.loss = value if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * value

    def recipe(self) -> dict[str, Any]:
        """What a model card says of the training."""
        method = self.plan.method
        return {
            "steps": self.step,
            "seconds": round(self.seconds),
            "seed": self.plan.seed,
            "device": self.plan.device,
            "threads": torch.get_num_threads(),
            "precision": self.precision,
            "batch": method.batch,
            "patch": method.patch,
            "learning_rate": method.rate,
            "optimizer": "AdamW, cosine schedule, running mean of the weights",
            "continued": self._before(),
        }

    def _before(self) -> dict[str, Any] | None:
        """Which weights the training went on from, and how those were trained."""
        if self.plan.start is None:
            return None
        card = self.plan.start[1]
        return {"sha256": card.sha256, "training": card.training}


def schedule(progress: float) -> float:
    """The learning rate's factor: a short rise, then half a cosine."""
    return min(progress / _WARM_UP, 1.0) * 0.5 * (1 + math.cos(math.pi * progress)) + 1e-3
