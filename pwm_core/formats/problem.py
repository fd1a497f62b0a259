"""Problem files: the measurement with the model that is assumed to explain it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadValue
from ..problem import Problem
from .contents import LIMIT, Contents
from .operators import pack_operator, unpack_operator
from .safe import opened
from .write import write

KIND = "pwm-problem"
_DTYPES = ("float32", "float64", "complex64", "complex128")
_TEXTS = ("modality", "dtype", "name")
_OPTIONAL = {"initial", "mask"}
_LISTS: dict[str, Any] = {
    "shape": tuple[int, ...],
    "axes": tuple[str, ...],
    "pixel_size": tuple[float, ...],
    "units": tuple[str, ...],
}


def save_problem(path: str | Path, problem: Problem) -> None:
    """Write ``problem`` to ``path``, replacing what is there. Its ``device`` is not a part of it.

    BadValue if it could not be read back: values that are not finite, or an operator of a class
    that belongs to no installed plugin.
    """
    contents = Contents.draft("the problem cannot be saved")
    contents.put("y", problem.y)
    for name in sorted(_OPTIONAL):
        if getattr(problem, name) is not None:
            contents.put(name, getattr(problem, name))
    contents.record = {
        **{key: getattr(problem, key) for key in _TEXTS},
        **{key: list(getattr(problem, key)) for key in _LISTS},
        "ranges": {key: [float(low), float(high)] for key, (low, high) in problem.ranges.items()},
        "operator": pack_operator(contents, problem.operator),
    }
    _unpack(contents)
    write(path, KIND, contents)


def load_problem(path: str | Path, limit: int = LIMIT) -> Problem:
    """Read a problem; BadFile if the file is not a sound one or its arrays exceed ``limit`` bytes."""
    with opened(path, KIND, limit) as contents:
        return _unpack(contents)


def _unpack(contents: Contents) -> Problem:
    fields: dict[str, Any] = {key: contents.entry(key, str) for key in _TEXTS}
    fields |= {key: contents.entry(key, hint) for key, hint in _LISTS.items()}
    _check_object(contents, fields["shape"], fields["dtype"])
    arrays: dict[str, Any] = {
        key: np.asarray(contents.array(key)) for key in ("y", *_OPTIONAL & contents.arrays.keys())
    }
    operator = unpack_operator(contents, contents.entry("operator", dict))
    try:
        problem = Problem(operator=operator, ranges=_ranges(contents), **arrays, **fields)
    except BadValue as error:
        raise contents.bad("the problem", f"contradicts itself: {error}") from error
    _check_values(contents, problem)
    return problem


def _check_values(contents: Contents, problem: Problem) -> None:
    valid: Any = True
    if problem.mask is not None:
        if problem.mask.dtype.kind not in "biu":
            raise contents.bad("dataset 'mask'", f"has dtype {problem.mask.dtype}, expected bool")
        valid = problem.mask.astype(bool)
    contents.check_finite("dataset 'y'", problem.y, valid)
    if problem.initial is not None:
        contents.check_finite("dataset 'initial'", problem.initial)


def _check_object(contents: Contents, shape: tuple[int, ...], dtype: str) -> None:
    if dtype not in _DTYPES:
        raise contents.bad("record entry 'dtype'", f"is {dtype!r}, expected one of {', '.join(_DTYPES)}")
    if min(shape, default=1) < 1 or math.prod(shape) * np.dtype(dtype).itemsize > contents.limit:
        raise contents.bad("record entry 'shape'", f"is {shape}, which no object can have")


def _ranges(contents: Contents) -> dict[str, tuple[float, float]]:
    ranges = contents.entry("ranges", dict[str, list[float]])
    for name, limits in ranges.items():
        if len(limits) != 2:
            raise contents.bad(f"the range of {name!r}", f"must be two numbers, got {len(limits)}")
    return {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
