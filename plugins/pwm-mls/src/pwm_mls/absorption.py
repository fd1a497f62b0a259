"""X-rays on their way through a sample of any composition: what reaches the detector, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from pwm_spectroscopy.lines import HOST, parse
from pwm_spectroscopy.operator import SpectrumImage
from pwm_spectroscopy.xraydata import attenuation

GRAMS = {"ug/cm^2": 1e-6, "mg/cm^2": 1e-3}  # in a component's unit, g/cm²


_ALIKE = 0.02  # relative: lines whose attenuation differs by less are absorbed as one


@dataclass(frozen=True)
class Absorption:
    """What a fit makes of each component under the absorption of any sample.

    Lines that the sample weakens alike are taken together. ``constant`` (component, component) is what
    the fit makes of one unit of each component in its unabsorbed part, ``answers`` (component · component,
    group) in each group of lines before absorption. ``depths`` (group, component) is the optical depth of
    one unit of each component (zero for free counts), ``host`` (group,) that of 1 g/cm² of the operator's
    host, ``mass`` (component,) g/cm² in one unit, ``thickness`` the host's mean mass thickness, g/cm².
    """

    constant: np.ndarray
    answers: np.ndarray
    depths: np.ndarray
    host: np.ndarray
    mass: np.ndarray
    thickness: float
    scattered: bool

    @classmethod
    def of(cls, operator: SpectrumImage, extract: np.ndarray) -> Absorption:
        """From the operator's nominal parameters and the ``extract`` (component, channel) of the fit.

        An error of the optical depth, ``matrix_absorption`` or ``absorption_error``, holds for any sample.
        """
        emission, detector, beam = operator.emission, operator.detector, operator.beam
        own = emission.values()
        like, drift = torch.empty(0, dtype=torch.float64), beam.values().get("energy_drift", 0.0)
        energies = emission.line_energies(like, drift)
        with torch.no_grad():
            bare = emission.replace(mass_thickness=0.0).weights(like, drift, **own).numpy()
            seen = detector.response(like, energies, **detector.values()).numpy()
        sent, heard = beam.values()["dose"] * bare, extract @ seen  # (line, component), (component, line)
        names, units = emission.components, emission.units
        mass = np.array([GRAMS.get(u, 0.0) for u in units])
        absorbed = np.flatnonzero(np.array(emission.absorbed))
        depth = _depths(operator, energies.numpy()[absorbed], drift)
        rows = np.stack(
            [
                m * depth(_material(n, emission.host)) if m else 0.0 * absorbed
                for n, m in zip(names, mass, strict=True)
            ],
            axis=1,
        )
        order = absorbed[(by := np.argsort(energies.numpy()[absorbed]))]
        starts = _groups(rows[by])
        strength = np.abs(heard[:, order] * sent[order].T).sum(0) + 1e-300
        share = np.add.reduceat(strength, starts)
        products = (heard.T[order, :, None] * sent[order, None, :]).reshape(len(order), -1)
        free = np.setdiff1d(np.arange(len(sent)), absorbed)
        return cls(
            constant=heard[:, free] @ sent[free],
            answers=np.add.reduceat(products, starts).T.astype(np.float32),
            depths=np.add.reduceat(strength[:, None] * rows[by], starts) / share[:, None],
            host=np.add.reduceat(strength * depth(emission.host)[by], starts) / share,
            mass=mass,
            thickness=emission.mass_thickness,
            scattered=HOST in names,
        )

    def rest(self, mean: np.ndarray) -> float:
        """g/cm² of host that absorb everywhere beside these mean amounts (component,).

        Where no component stands for the host: what its mass thickness has more than the components.
        """
        return 0.0 if self.scattered else max(self.thickness - float(self.mass @ np.maximum(mean, 0.0)), 0.0)

    def mixing(self, amounts: np.ndarray, rest: float) -> np.ndarray:
        """T (pixel, component, component): what the fit makes of one unit of each component.

        Under the absorption of ``amounts`` (component, pixel), taken at or above zero, and ``rest`` g/cm²
        of host: T = Σ over lines of the fit's answer, times the transmission A = (1 − e^(−χ))/χ.
        """
        k = len(amounts)
        chi = self.depths @ np.maximum(amounts, 0.0) + rest * self.host[:, None]
        mixed = escaped(chi.astype(np.float32)).T @ self.answers.T
        return np.asarray(self.constant + mixed.reshape(-1, k, k))


def escaped(chi: np.ndarray) -> np.ndarray:
    """(1 − e^(−χ))/χ: the part of the photons made evenly over the depth that are not absorbed."""
    thin = chi < 1e-3
    safe = np.where(thin, 1, chi)
    return np.where(thin, 1 - chi / 2 + chi * chi / 6, -np.expm1(-safe) / safe)


def _material(name: str, host: str) -> str:
    return host if name == HOST else parse(name).element


def _depths(operator: SpectrumImage, energies: np.ndarray, drift: float) -> Callable[[str], np.ndarray]:
    """The optical depth (line,) of 1 g/cm² of a material; electrons are not absorbed on their way in."""
    emission = operator.emission
    own = emission.values()
    error = own.get("matrix_absorption", 1.0) * (1 + 0.1 * own.get("absorption_error", 0.0))

    def depth(material: str) -> np.ndarray:
        into = attenuation(material, emission.energy + drift) if emission.depth_in else 0.0
        out = np.array([attenuation(material, max(float(e), 0.1)) for e in energies])
        return np.asarray(error * (emission.path_in * into + emission.path_out * out))

    return depth


def _groups(rows: np.ndarray) -> np.ndarray:
    """Where groups of consecutive rows (line, component) begin that differ little from their first one."""
    starts: list[int] = []
    for i, row in enumerate(rows):
        if not starts or (np.abs(row - rows[starts[-1]]) > _ALIKE * rows[starts[-1]]).any():
            starts.append(i)
    return np.array(starts)
