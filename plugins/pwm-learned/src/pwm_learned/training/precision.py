"""Which number format trains faster on this machine; on some CPUs bfloat16 is many times slower."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from ..network import Network

if TYPE_CHECKING:
    from .loop import Plan

_TRIES = 3


def faster(network: Network, plan: Plan) -> str:
    """ "bfloat16" if forward and backward take less time with it, otherwise "float32"."""
    side = plan.method.patch
    x = torch.zeros(plan.method.batch, plan.numbers["channels"], side, side, device=plan.device)
    x = x.contiguous(memory_format=torch.channels_last)
    times = {kind: min(_seconds(network, x, kind) for _ in range(_TRIES)) for kind in ("float32", "bfloat16")}
    return min(times, key=times.__getitem__)


def _seconds(network: Network, x: torch.Tensor, kind: str) -> float:
    began = time.perf_counter()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=kind == "bfloat16"):
        answer = network(x, [1] * len(x))
    answer.float().sum().backward()
    network.zero_grad()
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began
