"""The state that one process shares: random generators, torch's modes, NumPy's error handling."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

State = dict[str, Any]


def read_state() -> State:
    """The present state, each part under the name that a report gives it."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global generator is the point
    return {
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's deterministic flag": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "torch's float32 matmul precision": torch.get_float32_matmul_precision(),
        "torch's cuDNN benchmark flag": torch.backends.cudnn.benchmark,
        "torch's global random generator": torch.get_rng_state().numpy().tobytes(),
        "NumPy's global random generator": (kind, np.asarray(keys).tobytes(), *rest),
        "Python's global random generator": random.getstate(),
        "NumPy's error handling": np.geterr(),
    }


def write_state(state: State) -> None:
    """Put everything back as it was when ``state`` was read."""
    torch.set_grad_enabled(state["torch's grad mode"])
    torch.set_default_dtype(state["torch's default dtype"])
    if torch.get_num_threads() != state["torch's number of threads"]:
        torch.set_num_threads(state["torch's number of threads"])
    enabled, warn_only = state["torch's deterministic flag"]
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.set_float32_matmul_precision(state["torch's float32 matmul precision"])
    torch.backends.cudnn.benchmark = state["torch's cuDNN benchmark flag"]
    generator = np.frombuffer(state["torch's global random generator"], dtype=np.uint8)
    torch.set_rng_state(torch.from_numpy(generator.copy()))
    kind, keys, *rest = state["NumPy's global random generator"]
    np.random.set_state((kind, np.frombuffer(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    random.setstate(state["Python's global random generator"])
    np.seterr(**state["NumPy's error handling"])


def changed_parts(before: State, after: State) -> list[str]:
    """The names of the parts that differ."""
    return [part for part in before if before[part] != after[part]]


@contextlib.contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Within it the global generators start from ``seed``; afterwards all is as before, whatever happened."""
    before = read_state()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    try:
        yield
    finally:
        write_state(before)
