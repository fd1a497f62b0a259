"""The lines of a spectrum image's operator as plain arrays, and their response as a sparse matrix.

The operator computes the same in torch for maps; a fit of the instrument to one spectrum evaluates it
hundreds of times, and needs each line only within a few widths of its peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.special import ndtr

from .operator import SpectrumImage
from .silicon import FWHM, MN_KA, SILICON_K, SPREAD

REACH = 6.5  # rms widths: what a Gaussian leaves beyond is below 1e-10
_STEP, _DEPTH = 1.2, 4.0  # of the comb that stands for a tail: in rms widths, and in lengths of the tail
_FAINT = 1e-2  # lines below this part of their component's strongest show no tail


@dataclass(frozen=True)
class Rows:
    """Lines of an operator: all arrays (line,), ``counts`` (line, component) before the detector's shape.

    ``origin`` is the row of the operator that a line belongs to and ``share`` its part of that row.
    """

    energies: np.ndarray  # keV
    doppler: np.ndarray  # keV, FWHM
    escapes: np.ndarray
    counts: np.ndarray
    peak: np.ndarray  # True for lines, False for the combs that stand for continua
    beta: np.ndarray  # True for Kβ lines
    origin: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, operator: SpectrumImage, drift: float = 0.0) -> Self:
        """The operator's lines with the energy of the excitation changed by ``drift`` keV."""
        emission, detector, beam = operator.emission, operator.detector, operator.beam
        like = torch.empty(0, dtype=torch.float64)
        with torch.no_grad():
            photons = beam.values()["dose"] * emission.weights(like, drift, **emission.values()).numpy()
            energies = emission.line_energies(like, drift).numpy()
        seen = np.array(detector.efficiency) * detector.base_solid_angle / (4 * math.pi)
        n = len(energies)
        peak = np.array(emission.continuum) == 0
        beta = np.array(["Kβ" in name for name in emission.line_names])
        return cls(
            energies, np.array(detector.doppler), np.array(detector.escapes), photons * seen[:, None],
            peak, beta, np.arange(n), np.ones(n),
        )  # fmt: skip

    def wider(self, spread: float, doppler: float) -> Self:
        """With a variance that grows by ``spread`` keV more per keV, and ``doppler`` times the own width."""
        square = (doppler * self.doppler) ** 2 + spread * self.energies.clip(0)
        return replace(self, doppler=np.sqrt(square))

    def tailed(self, share: float, beta_share: float, length: float, sigma: np.ndarray) -> Self:
        """With the part ``share`` of every stronger line in an exponential tail of ``length`` keV below it.

        Kβ lines have ``beta_share`` more there. The tail is a comb of lines closer together than their
        own rms width ``sigma`` (line,).
        """
        own = np.minimum(share + beta_share * self.beta, 0.9)
        top = np.maximum(self.counts.max(0, where=self.peak[:, None], initial=0), 1e-300)
        own = own * (self.peak & ((self.counts / top).max(1) > _FAINT))
        lines = np.flatnonzero(own)
        if not len(lines):
            return self
        step = _STEP * sigma[lines, None]
        below = step * (np.arange(np.ceil(_DEPTH * length / step.min())) + 0.5)
        part = np.exp(-below / length)
        part = own[lines, None] * part / part.sum(1, keepdims=True)
        number, tooth = np.nonzero(self.energies[lines, None] - below > 0.05)
        source, shares = lines[number], part[number, tooth]
        kept = 1 - own
        return type(self)(
            np.r_[self.energies, self.energies[source] - below[number, tooth]],
            np.r_[self.doppler, self.doppler[source]],
            np.r_[self.escapes, np.zeros(len(source))],
            np.r_[self.counts * kept[:, None], self.counts[source] * shares[:, None]],
            np.r_[self.peak, np.ones(len(source), bool)],
            np.r_[self.beta, self.beta[source]],
            np.r_[self.origin, self.origin[source]],
            np.r_[self.share * kept, shares],
        )

    def sigma(self, resolution: float) -> np.ndarray:
        """Rms width (keV) of each line in a detector of this resolution (eV at Mn Kα)."""
        return _widths(self.energies, self.doppler, resolution)

    def columns(self, zero: float, gain: float, resolution: float, channels: int) -> np.ndarray:
        """The spectrum of one unit of each component, (channel, component)."""
        sigma = self.sigma(resolution)
        main = _peaks(self.energies, sigma, zero, gain, channels)
        some = np.flatnonzero(self.escapes)
        lower = self.energies[some] - SILICON_K
        escaped = _peaks(lower, _widths(lower, self.doppler[some], resolution), zero, gain, channels)
        kept = (1 - self.escapes)[:, None] * self.counts
        return np.asarray(main @ kept + escaped @ (self.escapes[some, None] * self.counts[some]))


def _widths(energies: np.ndarray, doppler: np.ndarray, resolution: float) -> np.ndarray:
    noise2 = (1e-3 * resolution) ** 2 - SPREAD * MN_KA
    return np.asarray(np.sqrt(np.maximum(noise2 + SPREAD * energies.clip(0), 1e-6) + doppler**2) / FWHM)


def _peaks(energies: np.ndarray, sigma: np.ndarray, zero: float, gain: float, channels: int) -> csr_array:
    """Gaussians of unit area, integrated over the channels: (channel, line)."""
    parts = []
    for group in np.array_split(np.argsort(sigma), 4):  # of similar width, each with its own reach
        if not len(group):
            continue
        half = int(np.ceil(REACH * sigma[group].max() / gain)) + 1
        edges = np.rint((energies[group] - zero) / gain).astype(np.int32)[:, None] + np.arange(
            -half, half + 2
        )
        below = ndtr((zero + gain * (edges - 0.5) - energies[group, None]) / sigma[group, None])
        values, rows = np.diff(below, axis=1), edges[:, :-1]
        inside = (rows >= 0) & (rows < channels) & (values > 1e-12)
        parts.append((values[inside], rows[inside], np.repeat(group, inside.sum(1))))
    if not parts:
        return csr_array((channels, len(energies)))
    values, rows, lines = (np.concatenate(p) for p in zip(*parts, strict=True))
    return csr_array((values, (rows, lines)), shape=(channels, len(energies)))
