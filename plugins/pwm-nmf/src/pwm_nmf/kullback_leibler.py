"""Multiplicative updates of the Kullback–Leibler divergence, the likelihood of counts."""

from __future__ import annotations

import numpy as np

from .counts import Counts
from .kernels import set_shares, sweep_for
from .phases import Phases


class KullbackLeibler:
    """min D(Y ‖ A H) = Σ y log(y/ŷ) − y + ŷ over spectra A and shares H, both at or above zero.

    Lee & Seung's updates (doi:10.1038/44565), which never raise D: every pixel's shares first, then the
    spectra. Of sparse data only the counts are visited.
    """

    def __init__(self, counts: Counts, phases: Phases, shares: np.ndarray, simplex: bool) -> None:
        self.counts, self.phases, self.simplex = counts, phases, simplex
        self.shares = np.ascontiguousarray(shares.T, dtype=counts.data.dtype)  # (pixel, phase)
        self._total = float(counts.data.sum(dtype=np.float64))
        self._ratios = np.empty_like(counts.data.data) if counts.sparse else np.empty(0)

    def step(self) -> float:
        """One update of shares and spectra; returns D with the new shares and the spectra before."""
        spectra = self.phases.spectra.astype(self.shares.dtype)
        sums = spectra.sum(0, dtype=np.float64).astype(spectra.dtype)
        pulled, fitted = (self._sparse if self.counts.sparse else self._dense)(spectra, sums)
        amount = self.shares.sum(0, dtype=np.float64)
        self.phases.multiply(pulled, amount)
        return fitted - self._total + float(amount @ sums)

    def _sparse(self, spectra: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, float]:
        y, pulled, ratios = self.counts.data, np.empty_like(spectra), self._ratios
        sweep = sweep_for(spectra.shape[1])
        sweep(y.indptr, y.indices, y.data, spectra, sums, self.shares, self.simplex, pulled, ratios)
        return pulled, float(np.dot(y.data, np.log(np.maximum(ratios, 1e-30))))

    def _dense(self, spectra: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, float]:
        pulled, fitted = np.zeros_like(spectra), 0.0
        for part, y in self.counts.parts():
            shares = self.shares[part]
            gains = shares * ((y / _mean(spectra, shares)).T @ spectra)
            set_shares(shares, gains, sums, self.simplex)
            ratio = y / _mean(spectra, shares)
            pulled += ratio @ shares
            fitted += float(np.sum(y * np.log(np.where(y > 0, ratio, 1)), dtype=np.float64))
        return pulled, fitted


def _mean(spectra: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return np.maximum(spectra @ shares.T, 1e-30)
