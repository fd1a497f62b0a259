"""The spectra of the components, from the operator alone."""

from __future__ import annotations

import numpy as np
import torch

from pwm_core.channels import response
from pwm_core.errors import PwmError, Unsuitable
from pwm_core.operator import Operator
from pwm_core.problem import Problem

_UNEVEN = 1e-3  # relative: what a response may differ between pixels


def columns(problem: Problem) -> np.ndarray:
    """G (channel, component): the spectrum of one unit of each component everywhere; double precision.

    Unsuitable if the operator is not linear or does not respond alike in all pixels. A blur does: it
    leaves uniform maps as they are.
    """
    operator = problem.operator
    if not operator.linear:
        raise Unsuitable(f"least squares of spectra needs a linear operator, {operator} is not linear")
    single = torch.zeros(problem.shape[0], *(1 for _ in problem.shape[1:]), dtype=torch.float64)
    with torch.no_grad():
        if _answers(operator, single, np.shape(problem.y)[0]):
            return response(operator, single).numpy()
        return _of_full_maps(operator, problem)


def names(problem: Problem) -> tuple[str, ...]:
    """The components as the operator calls them, else their numbers."""
    own = getattr(problem.operator, "components", ())
    return tuple(own) if len(own) == problem.shape[0] else tuple(str(k) for k in range(problem.shape[0]))


def _answers(operator: Operator, single: torch.Tensor, channels: int) -> bool:
    """Whether the operator also takes maps of one pixel; not so if something in it has the maps' shape."""
    try:
        return tuple(operator(single).shape) == (channels, *single.shape[1:])
    except (PwmError, RuntimeError):
        return False


def _of_full_maps(operator: Operator, problem: Problem) -> np.ndarray:
    like = torch.zeros(problem.shape, dtype=torch.float64)
    for k in range(len(like)):
        x = torch.zeros_like(like)
        x[k] = 1
        spectra = operator(x).flatten(1)
        if (spectra.amax(1) - spectra.amin(1)).max() > _UNEVEN * spectra.abs().max():
            raise Unsuitable(
                f"least squares of spectra needs the same response in all pixels; that of {operator} varies"
            )
    return response(operator, like).numpy()
