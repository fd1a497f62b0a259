"""One adapter per package: the reference scan in the package's own conventions.

An adapter's ``METHODS`` maps a label to ``reconstruct(scan, sweeps, watch)``, which starts from
``scan.start`` and ``scan.probe`` and calls ``watch(current)`` after every sweep, where ``current()`` is
the object so far on the pixels of ``scan.truth``. Those of spectrum images, `with_pymca`, `with_sklearn` and
`with_espm`, have functions of their own, which their tests import.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module, metadata
from typing import Any

import numpy as np

Watch = Callable[[Callable[[], np.ndarray]], None]
Reconstruct = Callable[[Any, int, Watch], None]

ADAPTERS = {  # distribution: module
    "ptylab": "with_ptylab",
    "ptychi": "with_ptychi",
    "phaserEM": "with_phaser",
    "cdtools-py": "with_cdtools",
}


def installed() -> dict[str, str]:
    """Version of every peer at hand, by its distribution."""
    found = {}
    for name in ADAPTERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def load(name: str) -> dict[str, Reconstruct]:
    """The methods of one installed peer by label."""
    return import_module(f"peers.{ADAPTERS[name]}").METHODS
