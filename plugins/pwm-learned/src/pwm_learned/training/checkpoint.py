"""A training that can be taken up again: network, running mean, optimiser and counters in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pwm_core.errors import BadFile
from pwm_core.formats.write import replacing

from ..network import Network


def write_checkpoint(
    path: Path, network: Network, smooth: Network, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Written whole or not at all, so that an interruption leaves the one before."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"smooth.{k}": v for k, v in smooth.state_dict().items()}
    for i, kept in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in kept.items()}
    data = save({k: v.contiguous() for k, v in tensors.items()}, {"state": json.dumps(state)})
    with replacing(path) as file:
        file.write(data)


def read_checkpoint(
    path: Path, network: Network, smooth: Network, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Fill in the networks and the optimiser; BadFile if it is the checkpoint of something else."""
    try:
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (it is no mapping)
        network.load_state_dict(_part(tensors, "network."))
        smooth.load_state_dict(_part(tensors, "smooth."))
        kept: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _part(tensors, "optimizer.").items():
            index, _, what = name.partition(".")
            kept.setdefault(int(index), {})[what] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": kept})
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BadFile(
            f"{path} is not a checkpoint of this network ({reason}); choose another --output, or remove it"
        ) from None
    return state


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
