"""Spectra of phases: what they consist of, and how they follow from it."""

from __future__ import annotations

import numpy as np
from pwm_mls.nonnegative import nonnegative


class Physical:
    """Spectra A = G W of phases with the ``amounts`` W (component, phase), G (channel, component) fixed."""

    def __init__(self, columns: np.ndarray, amounts: np.ndarray) -> None:
        self.columns, self.amounts = columns, amounts
        self._sums = columns.sum(0)

    @property
    def spectra(self) -> np.ndarray:
        """A (channel, phase)."""
        return np.ascontiguousarray(self.columns @ self.amounts)

    def multiply(self, pulled: np.ndarray, shares: np.ndarray) -> None:
        """The multiplicative update from Σ y/ŷ · share (channel, phase) and Σ share (phase,)."""
        gain = self.columns.T @ pulled
        self.amounts = self.amounts * gain / np.maximum(np.outer(self._sums, shares), 1e-30)


class Free:
    """Spectra A of phases that may be anything at or above zero; their content is found by fitting G W."""

    def __init__(self, columns: np.ndarray, weights: np.ndarray, spectra: np.ndarray) -> None:
        self.spectra = np.ascontiguousarray(spectra)
        self._weighted = columns * weights[:, None]
        self._normal = self._weighted.T @ columns

    @property
    def amounts(self) -> np.ndarray:
        """W (component, phase): non-negative weighted least squares of each spectrum."""
        found = nonnegative(self._normal, np.asarray(self.spectra.T @ self._weighted, np.float64))
        return found.numpy().T

    def multiply(self, pulled: np.ndarray, shares: np.ndarray) -> None:
        self.spectra = self.spectra * pulled / np.maximum(shares, 1e-30).astype(pulled.dtype)


Phases = Physical | Free
