"""Quantification by fundamental parameters: densities with each pixel's own absorption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pwm_spectroscopy.operator import spectrum_image_of

from pwm_core import Iterate, Problem, Reconstructor, param
from pwm_core.errors import Unsuitable

from .absorption import Absorption
from .least_squares import LinearFit

_PART = 1 << 13  # pixels at a time


class FundamentalParameters(Reconstructor):
    """Areal densities from areas of lines, with the absorption in the composition that is found.

    The spectra are fitted once, as by ``mls``. Then densities → optical depths χ of each pixel in
    all lines, in and out → what the fit makes of one unit of each component under that absorption →
    densities, until they change by less than ``tolerance``. That is the fundamental-parameter loop
    (Sherman 1955; as in Solé et al. 2007, doi:10.1016/j.sab.2006.12.002) for a homogeneous layer;
    secondary fluorescence is left out. Fluorescence takes absorption of the beam and of the lines,
    electron excitation that of the lines. Absorbing are the elements and, in XRF, the host where it is a
    component; else what the operator's host has more than the elements lies everywhere alike.

    ``mass_thickness`` closes the sum where dose or solid angle are not known: the densities are scaled so
    that their mean sum over the map is that. ``info`` has ``std:<element>``, the standard deviation in a
    mean pixel, ``fraction:<element>``, the mass fraction in the whole map, and ``change``.
    :func:`quantify` gives maps of all of them.
    """

    iterations: int = param(10, low=1, doc="rounds of density and absorption at most")
    tolerance: float = param(1e-3, low=0.0, high=1.0, doc="stop when densities change by less, relative")
    mass_thickness: float | None = param(
        None, low=1e-6, unit="ug/cm^2", doc="mean of the whole sample, if dose or solid angle are unknown"
    )

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        loop = _Loop(problem, self.mass_thickness)
        for _ in range(self.iterations):
            change = loop.step()
            yield Iterate(problem.tensor(loop.maps), info={**loop.summary(), "change": change})
            if change < self.tolerance:
                return


@dataclass(frozen=True)
class Quantification:
    """Maps (component, y, x): ``densities`` and their standard deviations ``std`` in the object's units,
    mass ``fractions`` of the elements and matrix (0 in other components) and theirs, ``fraction_std``."""

    components: tuple[str, ...]
    densities: np.ndarray
    std: np.ndarray
    fractions: np.ndarray
    fraction_std: np.ndarray


def quantify(problem: Problem, method: FundamentalParameters | None = None) -> Quantification:
    """Densities and mass fractions with uncertainties, those of the counts to first order.

    The error of a fraction takes the covariance of the densities into account. Where nothing is found,
    fractions are zero and their errors infinite.
    """
    own = method or FundamentalParameters()
    loop = _Loop(problem, own.mass_thickness)
    for _ in range(own.iterations):
        if loop.step() < own.tolerance:
            break
    covariance = loop.covariance()
    mass, shape = loop.absorption.mass, problem.shape
    weights = loop.amounts * mass[:, None]
    total = weights.sum(0)
    some = total > 0
    fractions = np.divide(weights, total, out=np.zeros_like(weights), where=some)
    unit = np.eye(len(mass))[:, :, None] - fractions[:, None, :]
    slope = np.divide(mass[None, :, None] * unit, total, out=np.zeros(unit.shape), where=some)
    slope[mass == 0] = 0
    variance = np.einsum("kin,nij,kjn->kn", slope, covariance, slope)
    error = np.where(some | (mass == 0)[:, None], np.sqrt(np.maximum(variance, 0)), np.inf)
    deviation = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2).T, 0))
    components = spectrum_image_of(problem).components
    return Quantification(
        components, *(a.reshape(shape) for a in (loop.amounts, deviation, fractions, error))
    )


class _Loop:
    """The state of the iteration: ``amounts`` (component, pixel), double precision."""

    def __init__(self, problem: Problem, mass_thickness: float | None) -> None:
        self.problem = problem
        operator = spectrum_image_of(problem)
        self.fit = LinearFit.of(problem)
        if self.fit.cube.valid is not None:
            raise Unsuitable("fp-quantify needs a mask of whole channels and pixels, the same in all")
        self.absorption = Absorption.of(operator, self.fit.extract)
        self.components, self.elements = operator.components, operator.elements
        self.areas = self.fit.amounts().double().numpy()
        self.total = None if mass_thickness is None else 1e-6 * mass_thickness
        self.scale = 1.0
        self.amounts = self._closed(self.areas)

    @property
    def maps(self) -> np.ndarray:
        return self.amounts.reshape(self.problem.shape)

    def step(self) -> float:
        """New densities; returns their rms change relative to the largest map of each component."""
        new = np.empty_like(self.amounts)
        for part, mixing in self._mixings():
            new[:, part] = np.linalg.solve(mixing, self.areas[:, part].T[..., None])[..., 0].T
        new = self._closed(new)
        size = np.maximum(np.sqrt((new**2).mean(1)), 1e-300)
        change = float((np.sqrt(((new - self.amounts) ** 2).mean(1)) / size).max())
        self.amounts = new
        return change

    def _closed(self, amounts: np.ndarray) -> np.ndarray:
        """Scaled to the known mass thickness; free counts, which have none, are not."""
        if self.total is None:
            return amounts
        mass = self.absorption.mass
        found = float(mass @ amounts[:, self.fit.cube.pixels].mean(1))
        if found <= 0:
            raise Unsuitable("fp-quantify finds no mass to scale to the mass thickness")
        self.scale = self.total / found
        return np.where(mass[:, None] > 0, amounts * self.scale, amounts)

    def covariance(self) -> np.ndarray:
        """Of the densities in each pixel, (pixel, component, component), absorption taken as known."""
        areas = self.fit.covariance().permute(2, 0, 1)
        parts = [self._propagated(mixing, areas[part].double().numpy()) for part, mixing in self._mixings()]
        return np.concatenate(parts)

    def _mean(self) -> np.ndarray:
        return np.asarray(self.amounts[:, self.fit.cube.pixels].mean(1))

    def _mixings(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Some pixels at a time, and what the fit makes of one unit under their absorption."""
        rest = self.absorption.rest(self._mean())
        for start in range(0, self.amounts.shape[1], _PART):
            part = slice(start, start + _PART)
            yield part, self.absorption.mixing(self.amounts[:, part], rest)

    def summary(self) -> dict[str, float]:
        """Standard deviations in a mean pixel, and mass fractions of the sum over the map."""
        mean = self._mean()
        mixing = self.absorption.mixing(mean[:, None], self.absorption.rest(mean))
        covariance = self._propagated(mixing, self.fit.mean_covariance()[None])[0]
        weights = self.absorption.mass * mean
        info = {}
        for name, variance, weight in zip(self.components, np.diag(covariance), weights, strict=True):
            info[f"std:{name}"] = float(np.sqrt(max(variance, 0.0)))
            if name in self.elements and weights.sum() > 0:
                info[f"fraction:{name}"] = float(weight / weights.sum())
        return info

    def _propagated(self, mixing: np.ndarray, areas: np.ndarray) -> np.ndarray:
        inverse = np.linalg.inv(mixing)
        factor = np.where(self.absorption.mass > 0, self.scale, 1.0)
        inverse = factor[:, None] * inverse
        return np.asarray(inverse @ areas @ inverse.transpose(0, 2, 1))
