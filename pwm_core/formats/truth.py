"""Truth files: the object and the true parameters, apart from the problem that methods see."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadValue
from ..problem import Truth
from .contents import LIMIT, Contents
from .safe import opened
from .values import decode, encode
from .write import write

KIND = "pwm-truth"


def save_truth(path: str | Path, truth: Truth) -> None:
    """Write ``truth`` to ``path``, replacing what is there; BadValue if it is not finite."""
    contents = Contents.draft("the truth cannot be saved")
    contents.put("x", truth.x)
    contents.record = {"theta": pack_theta(contents, truth.theta)}
    _unpack(contents)
    write(path, KIND, contents)


def load_truth(path: str | Path, limit: int = LIMIT) -> Truth:
    """Read a truth; BadFile if the file is not a sound one or its arrays exceed ``limit`` bytes."""
    with opened(path, KIND, limit) as contents:
        return _unpack(contents)


def _unpack(contents: Contents) -> Truth:
    x, theta = np.asarray(contents.array("x")), unpack_theta(contents)
    check_estimate(contents, x, theta)
    return Truth(x, theta)


def check_estimate(contents: Contents, x: np.ndarray, theta: dict[str, Any]) -> None:
    """Refuse an object or parameters that are not finite."""
    contents.check_finite("dataset 'x'", x)
    for name, value in theta.items():
        contents.check_finite(f"parameter {name!r}", value)


def pack_theta(contents: Contents, theta: dict[str, Any]) -> dict[str, Any]:
    """Parameters by dotted name: numbers as they are, arrays by reference."""
    return {name: encode(value, partial(contents.add, "theta", name)) for name, value in theta.items()}


def unpack_theta(contents: Contents) -> dict[str, Any]:
    """What ``pack_theta`` stored, in the record's entry ``theta``."""
    stored = contents.entry("theta", dict[str, dict[str, str] | float | complex])
    try:
        return {name: decode(value, contents.array) for name, value in stored.items()}
    except BadValue as error:
        raise contents.bad("record entry 'theta'", f"is refused: {error}") from error
