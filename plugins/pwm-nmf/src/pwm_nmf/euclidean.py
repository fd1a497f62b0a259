"""Least squares by accelerated hierarchical alternating updates."""

from __future__ import annotations

import numpy as np
from pwm_mls.nonnegative import nonnegative

from .counts import Counts
from .phases import Free, Physical

_INNER = 10  # sweeps over the shares at most, for one update of the spectra
_ENOUGH = 0.1  # of the first sweep's change: then sweeping on does not pay


class Euclidean:
    """min ½ ‖Y − A H‖² over spectra A and shares H, both at or above zero, in units of the noise.

    Channels count by ``weights``, pixels by one over ``level`` squared (the scaling of Keenan & Kotula), for
    in raw counts the strong peaks would be all. Accelerated HALS (Gillis & Glineur 2012,
    doi:10.1162/NECO_a_00256): phase by phase the exact minimum, the cheap sweeps repeated. With
    ``simplex`` projected gradient steps onto shares that add up to one.
    """

    def __init__(self, phases: Physical | Free, shares: np.ndarray, level: np.ndarray, simplex: bool) -> None:
        self.phases, self.level, self.simplex = phases, level, simplex
        self.scaled = shares / level  # (phase, pixel)

    @property
    def shares(self) -> np.ndarray:
        """(pixel, phase)."""
        return np.asarray((self.scaled * self.level).T)

    def step(self) -> float:
        """One update of shares and spectra; returns the objective."""
        gram, cross = self._of_shares()
        if self.simplex:
            self.scaled = _projected(self.scaled, gram, cross, 1 / self.level)
        else:
            self.scaled = hals(self.scaled, gram, cross)
        return self._new_spectra(self.scaled @ self.scaled.T)

    def _of_shares(self) -> tuple[np.ndarray, np.ndarray]:
        """AᵀA (phase, phase) and AᵀY (phase, pixel)."""
        raise TypeError(f"{type(self).__name__} does not define _of_shares()")

    def _new_spectra(self, gram: np.ndarray) -> float:
        """Updates the spectra, given HHᵀ; returns the objective."""
        raise TypeError(f"{type(self).__name__} does not define _new_spectra(gram)")


class PhysicalEuclidean(Euclidean):
    """With A = G W, when all that counts is in the few unit-noise maps ``z`` (component, pixel)."""

    phases: Physical

    def __init__(
        self,
        phases: Physical,
        shares: np.ndarray,
        level: np.ndarray,
        simplex: bool,
        z: np.ndarray,
        factor: np.ndarray,
        apart: float,
    ) -> None:
        """``factor`` L with GᵀWG = L Lᵀ; ``apart`` is the part of ½‖Y‖² that no G W H can explain."""
        super().__init__(phases, shares, level, simplex)
        self.z, self.factor, self.apart = z, factor, apart

    def _of_shares(self) -> tuple[np.ndarray, np.ndarray]:
        a = self.factor.T @ self.phases.amounts
        return a.T @ a, a.T @ self.z

    def _new_spectra(self, gram: np.ndarray) -> float:
        normal = self.factor @ self.factor.T
        pulled = self.factor @ (self.z @ self.scaled.T)  # GᵀWY Hᵀ
        w = self.phases.amounts.copy()
        for j in np.flatnonzero(np.diag(gram) > 0):
            right = pulled[:, j] - normal @ (w @ gram[:, j]) + normal @ w[:, j] * gram[j, j]
            w[:, j] = nonnegative(normal, right[None] / gram[j, j])[0].numpy()
        self.phases.amounts = w
        misfit = self.z - self.factor.T @ w @ self.scaled
        return self.apart + 0.5 * float(np.sum(misfit**2))


class FreeEuclidean(Euclidean):
    """With any A: each step goes through the data twice."""

    phases: Free

    def __init__(
        self,
        phases: Free,
        shares: np.ndarray,
        level: np.ndarray,
        simplex: bool,
        counts: Counts,
        weights: np.ndarray,
    ) -> None:
        super().__init__(phases, shares, level, simplex)
        self.counts, self.root = counts, np.sqrt(weights)[:, None]
        y = counts.data
        squares = weights @ y**2
        self.size = float(squares @ level**-2.0)

    def _of_shares(self) -> tuple[np.ndarray, np.ndarray]:
        a = self.root * self.phases.spectra
        cross = np.asarray(self.counts.data.T @ (self.root * a)).T / self.level
        return a.T @ a, cross

    def _new_spectra(self, gram: np.ndarray) -> float:
        pulled = self.root * np.asarray(self.counts.data @ (self.scaled / self.level).T)
        a = hals((self.root * self.phases.spectra).T, gram, pulled.T)
        self.phases.spectra = np.ascontiguousarray(a.T / np.maximum(self.root, 1e-150))
        return 0.5 * (self.size - 2 * float(np.sum(a.T * pulled)) + float(np.sum((a @ a.T) * gram)))


def hals(rows: np.ndarray, gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Sweeps towards argmin over X ≥ 0 of ½ tr(Xᵀ gram X) − tr(Xᵀ cross), X (phase, anything).

    Each row of X in turn is set to its exact minimum, until a sweep changes little against the first one.
    """
    x, first = rows.copy(), 0.0
    for sweep in range(_INNER):
        change = 0.0
        for j in np.flatnonzero(np.diag(gram) > 0):
            new = np.maximum(x[j] + (cross[j] - gram[j] @ x) / gram[j, j], 0.0)
            change += float(np.sum((new - x[j]) ** 2))
            x[j] = new
        first = first or change
        if sweep and change <= _ENOUGH**2 * first:
            break
    return x


def _projected(x: np.ndarray, gram: np.ndarray, cross: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Gradient steps on shares (phase, pixel) whose sums over the phases are ``sums`` (pixel,)."""
    length = max(float(np.linalg.eigvalsh(gram)[-1]), 1e-300)
    for _ in range(_INNER):
        x = on_simplex(x - (gram @ x - cross) / length, sums)
    return x


def on_simplex(x: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """The nearest columns at or above zero with these sums (Held, Wolfe & Crowder 1974)."""
    high = -np.sort(-x, axis=0)
    excess = (np.cumsum(high, 0) - sums) / np.arange(1, len(x) + 1)[:, None]
    last = (high > excess).sum(0) - 1
    return np.maximum(x - np.take_along_axis(excess, last[None], 0), 0.0)
