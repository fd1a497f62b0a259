"""What the data say about θ: Fisher information, standard errors, correlations, and what they cannot tell."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

log = logging.getLogger("pwm.calibrate")

PRIOR = 12.0  # 1/variance of a number that may lie anywhere in a range of length 1
_NOTHING = 1e-6  # information that is added, so that parameters without any have a finite variance
_END = 1e-3  # of a range
DEGENERATE = 0.95  # correlation beyond which two parameters cannot be told apart


@dataclass(frozen=True)
class Report:
    """Which parameters are determined, with their covariance in units of the allowed ranges."""

    names: tuple[str, ...]
    widths: np.ndarray
    determined: np.ndarray  # bool
    covariance: np.ndarray  # with those that are not determined anywhere in their range
    degenerate: tuple[tuple[str, str, float], ...]

    def std(self, index: int) -> float:
        """The standard error in the parameter's own unit, infinite if it is not determined."""
        own = math.sqrt(max(float(self.covariance[index, index]), 0.0)) * float(self.widths[index])
        return own if self.determined[index] else math.inf

    def info(self) -> dict[str, float]:
        """``std:NAME`` of every parameter and ``corr:NAME,NAME`` of each determined pair."""
        found = {f"std:{name}": self.std(k) for k, name in enumerate(self.names)}
        size = np.sqrt(np.maximum(np.diag(self.covariance), 1e-300))
        for i, one in enumerate(self.names):
            for j in range(i + 1, len(self.names)):
                if self.determined[i] and self.determined[j]:
                    value = self.covariance[i, j] / (size[i] * size[j])
                    found[f"corr:{one},{self.names[j]}"] = float(value)
        return found

    def tell(self, theta: dict[str, float], units: dict[str, str], place: np.ndarray) -> None:
        """The report in words, through the log; ``place`` is where in their ranges, from 0 to 1, they are."""
        for k, name in enumerate(self.names):
            value = f"{name} = {theta[name]:.5g}"
            if self.determined[k]:
                log.info(f"{value} ± {self.std(k):.2g} {units[name]}".rstrip())
                if min(place[k], 1 - place[k]) < _END:
                    log.info(
                        f"{name} is at the end of its range: it may stand in for an error not searched for"
                    )
            else:
                log.info(f"{value} {units[name]}: kept, the data do not determine it inside its range")
        for one, other, correlation in self.degenerate:
            log.info(f"{one} and {other} can hardly be told apart (correlation {correlation:+.3f})")


def identify(
    names: Sequence[str], widths: Sequence[float], information: np.ndarray, allowed: np.ndarray | None = None
) -> Report:
    """Which parameters data with this Fisher information (per allowed range) determine.

    A parameter counts as determined if its marginal standard error is less than that of a number anywhere
    in the range, width/√12. The least determined one is given up first: with it fixed, others may stand. What
    is given up stays unknown within its range, and adds to the errors of the others. Those that are not
    ``allowed`` (bool) are given up beforehand.
    """
    determined = np.ones(len(names), bool) if allowed is None else allowed.copy()
    covariance = _covariance(information, determined)
    degenerate = _degenerate(names, covariance)
    while determined.any():
        covariance = _covariance(information, determined)
        variance = np.where(determined, np.diag(covariance), -1.0)
        worst = int(np.argmax(variance))
        if variance[worst] <= 1 / PRIOR:
            break
        determined[worst] = False
    return Report(tuple(names), np.asarray(widths, float), determined, covariance, degenerate)


def tell_misfit(before: float, after: float, expected: float) -> None:
    """Through the log, what the object leaves unexplained at the start and at the solution.

    In parts of what is ``expected`` of a right model before its object is fitted.
    """
    before, after = before / max(expected, 1e-30), after / max(expected, 1e-30)
    log.info(f"χ² is {before:.4g} of that of pure noise at the start, {after:.4g} at the solution")


def _covariance(information: np.ndarray, determined: np.ndarray) -> np.ndarray:
    return np.linalg.inv(information + np.diag(np.where(determined, _NOTHING, PRIOR)))


def _degenerate(names: Sequence[str], covariance: np.ndarray) -> tuple[tuple[str, str, float], ...]:
    size = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    pairs = []
    for i, one in enumerate(names):
        for j in range(i + 1, len(names)):
            value = float(covariance[i, j] / (size[i] * size[j]))
            if abs(value) > DEGENERATE:
                pairs.append((one, names[j], value))
    return tuple(pairs)
