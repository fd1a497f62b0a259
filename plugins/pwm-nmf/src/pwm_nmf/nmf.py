"""Non-negative matrix factorisation of a spectrum image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pwm_mls.least_squares import LinearFit

from pwm_core import Iterate, Problem, Reconstructor, param
from pwm_core.errors import BadValue

from .counts import Counts
from .euclidean import Euclidean, FreeEuclidean, PhysicalEuclidean
from .kullback_leibler import KullbackLeibler
from .phases import Free, Phases, Physical
from .start import count_phases, filled, likeliest, nndsvda, unit_noise_maps

_WARM = 20  # steps on the least-squares maps alone, which take next to no time


class Factorisation(Reconstructor):
    """The spectrum image as Y ≈ A H: a few phases with spectra A, and their shares H in every pixel.

    With ``spectra=physics`` A = G W, G being the operator's spectra of the components: phases differ in
    what they consist of, not in physics (Teurtrie et al. 2023, doi:10.1016/j.ultramic.2023.113719).
    ``free`` spectra are whatever fits, and W is fitted to them afterwards. The object is W H. With fewer
    phases than components noise is left out; with as many it is the non-negative fit of each pixel, of
    largest likelihood with the Kullback–Leibler loss. What the instrument blurs stays blurred.
    The start is a factorisation of least-squares maps, itself from non-negative double SVD, and the same at
    each run.
    """

    iterations: int = param(200, low=1, doc="steps at most")
    loss: Literal["kullback-leibler", "euclidean"] = param(
        "kullback-leibler", doc="misfit: the likelihood of counts, or least squares in units of the noise"
    )
    spectra: Literal["physics", "free"] = param(
        "physics", doc="of the phases: sums of the components' spectra, or free"
    )
    phases: int | None = param(
        None, low=1, high=1000, doc="how many; none: as many as stand out of the noise"
    )
    simplex: bool = param(False, doc="the shares of each pixel add up to one: a sample of even thickness")
    tolerance: float = param(2e-6, low=0.0, high=1.0, doc="stop when a step gains less, of the misfit")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        engine, pixels = self._engine(problem)
        before = np.inf
        for _ in range(self.iterations):
            loss = engine.step()
            yield Iterate(
                _maps(problem, engine, pixels), loss=loss, info={"phases": float(engine.shares.shape[1])}
            )
            if before - loss < self.tolerance * abs(loss):
                return
            before = loss

    def _engine(self, problem: Problem) -> tuple[KullbackLeibler | Euclidean, np.ndarray]:
        fit = LinearFit.of(problem)
        counts = Counts.of(fit.cube) if self._visits else None
        z, factor, level = unit_noise_maps(fit)
        number = self._number(z)
        deviation = np.sqrt(np.diag(fit.mean_covariance()))[:, None]
        maps = np.linalg.solve(factor.T, z * level)
        amounts, shares = nndsvda(np.maximum(maps / deviation, 0), number)
        amounts = amounts * deviation
        if self.simplex:
            amounts, shares = _closed(amounts, shares)
        g, weights = fit.columns[fit.cube.channels], fit.weights[fit.cube.channels]
        reduced = PhysicalEuclidean(
            Physical(g, amounts), shares, level, self.simplex, z, factor, _apart(fit, z, level)
        )
        if counts is None:
            return reduced, fit.cube.pixels
        for _ in range(_WARM):
            reduced.step()
        amounts, shares = reduced.phases.amounts, reduced.shares.T
        if self.loss == "kullback-leibler" and not self.simplex:
            amounts, shares = likeliest(maps, deviation[:, 0], g.sum(0), (amounts, shares))
        phases, shares = self._phases(g, weights, filled(amounts)), filled(shares)
        if self.loss == "kullback-leibler":
            return KullbackLeibler(counts, phases, shares, self.simplex), fit.cube.pixels
        assert isinstance(phases, Free)
        return FreeEuclidean(phases, shares, level, self.simplex, counts, weights), fit.cube.pixels

    @property
    def _visits(self) -> bool:
        """Whether the data themselves are needed, beyond the least-squares maps."""
        return self.loss == "kullback-leibler" or self.spectra == "free"

    def _number(self, z: np.ndarray) -> int:
        if self.phases is None:
            return count_phases(z)
        if self.phases > len(z):
            raise BadValue(
                f"nmf: phases must be at most the number of components, {len(z)}, got {self.phases}"
            )
        return self.phases

    def _phases(self, g: np.ndarray, weights: np.ndarray, amounts: np.ndarray) -> Phases:
        if self.spectra == "physics":
            return Physical(g, amounts)
        spectra = g @ amounts
        return Free(g, weights, spectra + 1e-3 * spectra.mean(0))  # no channel is shut out by a zero


def _closed(amounts: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares that add up to one, with phases of the mean thickness."""
    total = (amounts @ shares).mean(1)
    shares = shares * amounts.sum(0)[:, None]
    amounts = amounts / amounts.sum(0)
    shares = shares / np.maximum(shares.sum(0), 1e-300)
    return amounts * total.sum(), shares


def _apart(fit: LinearFit, z: np.ndarray, level: np.ndarray) -> float:
    """½ of the squared data, in units of the noise, that the components leave over whatever they do."""
    squares = fit.cube.product(fit.weights[None], lambda slab, rows: slab**2)
    size = squares.double().numpy()[0, fit.cube.pixels] @ level**-2.0
    return 0.5 * max(float(size) - float(np.sum(z**2)), 0.0)


def _maps(problem: Problem, engine: KullbackLeibler | Euclidean, pixels: np.ndarray) -> np.ndarray:
    """W H as maps, zero where the mask is."""
    x = np.zeros((problem.shape[0], len(pixels)), problem.dtype)
    x[:, pixels] = engine.phases.amounts @ engine.shares.T
    return x.reshape(problem.shape)
