"""Weights on disk: a safetensors file and, beside it, a model card that says where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from pwm_core.errors import BadFile
from pwm_core.formats.write import replacing

from .network import Network

FORMAT, VERSION = "pwm-model", 1
LARGEST = 64 << 20  # bytes that are read at most; shipped files stay below 16 MiB


@dataclass(frozen=True)
class ModelCard:
    """What is known about weights. ``training`` holds the recipe, seeds, versions and device."""

    method: str
    modality: str
    network: dict[str, Any]  # the constructor's numbers
    frames: int  # neighbouring frames that the network sees; 1 for single images and maps
    estimate: str  # the classical method whose result the network corrects
    training: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    licence: str = "BSD-3-Clause"
    sha256: str = ""
    format: str = FORMAT
    version: int = VERSION


def write_model(path: Path, network: Network, card: ModelCard) -> ModelCard:
    """Write ``path`` (.safetensors, half precision) and its card (.json), each whole or not at all."""
    tensors = {name: t.detach().cpu().half().contiguous() for name, t in network.state_dict().items()}
    data = save(tensors)
    card = ModelCard(**{**asdict(card), "sha256": hashlib.sha256(data).hexdigest()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)
    with replacing(path.with_suffix(".json")) as file:
        file.write((json.dumps(asdict(card), indent=1) + "\n").encode())
    return card


def read_model(path: Path, build: Callable[..., Network]) -> tuple[Network, ModelCard]:
    """The network, ready to answer, and its card; BadFile if they do not fit. No code in them is executed."""
    card = read_card(path.with_suffix(".json"))
    data = _bytes(path)
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise BadFile(
            f"{path} is not the file that {path.with_suffix('.json').name} describes: SHA-256 differs"
        )
    try:
        tensors = {name: t.float() for name, t in load(data).items()}
        with torch.random.fork_rng(devices=[]):  # a new network draws weights, which are replaced
            network = build(**card.network)
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadFile(f"{path} does not hold weights of {card.method}: {reason}") from None
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise BadFile(f"{path} holds weights that are not finite")
    return network.eval().requires_grad_(False), card


def read_card(path: Path) -> ModelCard:
    """The model card in a JSON file; BadFile if it is not one."""
    try:
        found = json.loads(_bytes(path))
    except ValueError as error:
        raise BadFile(f"{path} is not a model card: {error}") from None
    kinds: Mapping[str, type] = {
        "method": str, "modality": str, "network": dict, "frames": int, "estimate": str, "sha256": str,
    }  # fmt: skip
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadFile(f'{path} is not a model card: it lacks "format": "{FORMAT}"')
    if found.get("version") != VERSION:
        raise BadFile(f"{path} has version {found.get('version')!r} of the model card; this reads {VERSION}")
    for name, kind in kinds.items():
        if type(found.get(name)) is not kind:
            raise BadFile(f"{path}: {name} must be {kind.__name__}, got {found.get(name)!r}")
    if not all(isinstance(v, (int, float)) for v in found["network"].values()):
        raise BadFile(f"{path}: network must hold numbers only, got {found['network']!r}")
    known = {f.name for f in fields(ModelCard)}
    return ModelCard(**{k: v for k, v in found.items() if k in known})


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise BadFile(f"{path} has {path.stat().st_size} bytes; weights have {LARGEST} at most")
        return path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}") from None
