"""Score a reconstruction from its arrays: the estimate, the data and the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from . import metrics
from .errors import BadValue
from .modality import Modality
from .problem import Problem, Truth


@dataclass(frozen=True)
class Score:
    """What the scorer found. ``views`` holds PSNR (dB) and SSIM of each view by name.

    ``psnr`` and ``ssim`` are those of the modality's first view. ``reason`` says why a score is 0.
    """

    psnr: float
    ssim: float
    consistency: float
    standard: float
    blind: float
    views: dict[str, dict[str, float]] = field(default_factory=dict)
    residuals: dict[str, float] = field(default_factory=dict)
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON record; infinities as strings, since JSON has none."""
        return _finite(asdict(self))


def score(
    x: np.ndarray,
    problem: Problem,
    truth: Truth,
    modality: Modality,
    theta: Mapping[str, Any] | None = None,
) -> Score:
    """Score the estimate ``x`` (and, if the method estimated any, its θ̂) against the truth.

    An estimate of the wrong shape is an error (BadValue); one that is not finite scores 0.
    """
    x = np.asarray(x)
    if x.shape != truth.x.shape:
        raise BadValue(f"the reconstruction has shape {x.shape}, expected {truth.x.shape}")
    if not np.isfinite(x).all():
        bad = int(x.size - np.count_nonzero(np.isfinite(x)))
        return _zero(f"{bad} of {x.size} values are not finite")
    mean = problem.operator(x, theta)
    fit = metrics.consistency(np.asarray(problem.y), mean, problem.mask)
    aligned = modality.align(x, truth, problem)
    views = {}
    for got, want in zip(modality.view(aligned, problem), modality.view(truth.x, problem), strict=True):
        views[want.name] = {
            "psnr": metrics.psnr(got.images, want.images),
            "ssim": metrics.ssim(got.images, want.images),
        }
    first = next(iter(views.values()))
    p, s = first["psnr"], first["ssim"]
    if not (p > -math.inf and math.isfinite(s)):
        return _zero("its values are too large to be compared with the truth")
    return Score(
        p,
        s,
        fit,
        metrics.standard_score(p, s),
        metrics.blind_score(p, s, fit),
        views,
        modality.residuals(mean, problem),
    )


def _zero(reason: str) -> Score:
    return Score(-math.inf, 0.0, 0.0, 0.0, 0.0, reason=reason)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
