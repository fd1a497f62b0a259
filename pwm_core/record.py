"""run.json: everything that is needed to judge a run and to do it again."""

from __future__ import annotations

import hashlib
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .registry import Entry
from .stored import BlockArray

_NUMERIC = ("numpy", "scipy", "torch", "numba", "h5py", "scikit-image")


def packages(*entries: Entry) -> dict[str, str]:
    """Versions of the core, of the packages behind these entries and of the numeric libraries."""
    names = ["pwm-core", *(e.package for e in entries), *_NUMERIC]
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> dict[str, Any]:
    """The machine, as far as it bears on timings."""
    import os

    import torch

    facts: dict[str, Any] = {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": sys.version.split()[0],
    }
    if device.startswith("cuda"):
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def array_hash(array: np.ndarray | BlockArray) -> str:
    """SHA-256 of shape, dtype and contents; contents in a file go by its blocks' axis first."""
    head = f"{array.shape}{array.dtype.str}".encode()
    if isinstance(array, BlockArray):
        digest = hashlib.sha256(head)
        for _, block in array.blocks():
            digest.update(np.ascontiguousarray(np.moveaxis(block, array.axis, 0)).data)
        return digest.hexdigest()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def jsonable(value: Any) -> Any:
    """``value`` with arrays as their shapes and non-finite floats as strings, as strict JSON wants."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "dtype": str(value.dtype), "sha256": array_hash(value)}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
