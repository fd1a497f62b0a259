"""The strength of a regularisation by Poisson thinning: fit a part of the counts, predict the others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from pwm_core.noise import Poisson

from .fit import Fit

KEPT = 0.8  # of the counts
FIRST = 0.8  # strength to look at, in units of the noise
_FACTOR, _WALK = 2.0, 8  # from one to the next, and how often at most
_WORTH = 4.0  # a smaller gain in χ² is chance


def thinned(fit: Fit, mean: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Two independent measurements that have the mean of the data, from 4/5 and from 1/5 of the counts.

    Each quantum goes to one or the other by lot, which keeps both Poisson distributed
    (Oliveira, Lei & Tibshirani 2022, doi:10.48550/arXiv.2212.01943). Where noise is not
    only that of whole counts, a draw of the noise (by its variance at ``mean``, which need not be exact) is
    added to the data for the one and subtracted for the other, so that their errors are uncorrelated
    (Oliveira, Lei & Tibshirani 2021, doi:10.48550/arXiv.2111.09447).
    """
    noise, data = fit.stated, fit.data
    if isinstance(noise, Poisson) and noise.readout == 0:
        counts = data / noise.gain
        if bool((counts >= 0).all()) and torch.allclose(counts, counts.round(), rtol=0, atol=1e-3):
            kept = torch.from_numpy(rng.binomial(counts.round().long().cpu().numpy(), KEPT)).to(data)
            return noise.gain * kept / KEPT, (data - noise.gain * kept) / (1 - KEPT)
    error = torch.from_numpy(rng.standard_normal(tuple(data.shape))).to(data) * fit.variance(mean).sqrt()
    odds = math.sqrt((1 - KEPT) / KEPT)
    return data + odds * error, data - error / odds


def least(error: Callable[[float], float]) -> float:
    """The strength of the smallest ``error``: downhill by factors of two, then the vertex of a parabola.

    ``error`` is a sum of squares in units of its noise.
    """
    found, best = {0: error(FIRST)}, 0
    for direction in (1, -1):  # stronger first: those are soon solved
        while abs(best) < _WALK:
            found[best + direction] = error(FIRST * _FACTOR ** (best + direction))
            if found[best + direction] > found[best] - _WORTH:
                break
            best += direction
        if best > 0:  # no need to look the other way
            break
    return FIRST * _FACTOR ** _vertex(found, best)


def _vertex(found: dict[int, float], best: int) -> float:
    """Where the parabola through the least value and its neighbours is least; one side may be missing."""
    if best - 1 not in found or best + 1 not in found:
        return best
    left, right = found[best - 1] - found[best], found[best + 1] - found[best]
    return best + min(max(0.5 * (left - right) / (left + right), -1), 1) if left + right > 0 else best
