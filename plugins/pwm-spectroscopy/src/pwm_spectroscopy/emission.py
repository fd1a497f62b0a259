"""R: re-emission, from areal densities in the beam to photons of each line on their way to the detector."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pwm_core.errors import BadValue
from pwm_core.operator import Operator
from pwm_core.primitives.tensors import Number, cast, constant, freeze, require, scalar
from pwm_core.settings import param


class Emission(Operator):
    """Photons (line, y, x) into all directions for one quantum of the beam, by absorption in a mean host.

    Self-absorption is that of the host, the same everywhere, which keeps the emission linear and the
    same for all pixels: A = (1 − e^(−χ))/χ with χ the optical depth of the whole sample for the way in
    and the way out. ``yields`` (line, component) are photons a quantum of the beam makes in one unit of
    a component, ``depths`` (line,) the host's mass attenuation (cm²/g) at each line.
    """

    symbol = "R"

    components: tuple[str, ...]
    units: tuple[str, ...]  # of the components
    scale: np.ndarray  # (component,): the amount that counts as one when maps are compared
    line_names: tuple[str, ...]  # "" in a continuum
    energies: np.ndarray  # keV
    yields: np.ndarray
    depths: np.ndarray
    slopes: np.ndarray  # d ln yield / d ln energy of the beam
    follow: np.ndarray  # d energy / d energy of the beam
    continuum: np.ndarray  # 1 for lines that stand for a continuum, 0 for peaks
    absorbed: np.ndarray  # 1 for lines from the sample, 0 for free counts
    energy: float  # keV, of the beam
    host: str
    mass_thickness: float  # g/cm², along the surface normal
    path_in: float  # length of the beam's way through the sample, in its thickness
    path_out: float  # the same of the X-rays to the detector
    depth_in: float = 0.0  # cm²/g: the host's attenuation of the beam
    slope_in: float = 0.0  # d ln depth_in / d ln energy

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "yields", ndim=2)
        freeze(self, "scale", ndim=1)
        lines, components = self.yields.shape
        for name in ("energies", "depths", "slopes", "follow", "continuum", "absorbed"):
            freeze(self, name, ndim=1)
            if len(getattr(self, name)) != lines:
                raise BadValue(f"{self}: {name} has {len(getattr(self, name))} values for {lines} lines")
        if not components == len(self.components) == len(self.units) == len(self.scale):
            raise BadValue(f"{self} has yields of {components} components, not of {len(self.components)}")

    def apply(self, x: torch.Tensor, **theta: Any) -> torch.Tensor:
        require(self, x, component=len(self.components), y=None, x=None)
        weights = cast(self.weights(x, 0.0, **theta), x)
        return (weights @ x.flatten(-2)).unflatten(-1, x.shape[-2:])

    def line_energies(self, like: torch.Tensor, drift: Number) -> torch.Tensor:
        """keV, with scatter following a beam that has drifted by this much (keV)."""
        return self._of("energies", like) + self._of("follow", like) * scalar(drift, like)

    def weights(self, like: torch.Tensor, drift: Number, **theta: Any) -> torch.Tensor:
        """Photons of each line for one quantum and one unit of each component: (line, component)."""
        raise TypeError(f"{type(self).__name__} does not define weights(like, drift)")

    def _of(self, name: str, like: torch.Tensor) -> torch.Tensor:
        return constant(self, name, torch.empty(0, dtype=torch.float64, device=like.device))

    def _emitted(self, like: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        """Part of each line's photons that leave the sample, and the beam's oblique path through it."""
        absorbed = self._of("absorbed", like)
        chi = absorbed * depth * self.mass_thickness
        thin = chi < 1e-6
        safe = torch.where(thin, 1.0, chi)
        return torch.where(thin, 1 - chi / 2, -torch.expm1(-safe) / safe) * self.path_in**absorbed


class Fluorescence(Emission):
    """X-ray fluorescence and scatter: the beam's energy acts through cross-sections and absorption."""

    matrix_absorption: float = param(
        1.0, low=0.0, high=100.0, symbol="m_a", doc="factor on the optical depth of the host"
    )

    def weights(
        self, like: torch.Tensor, drift: Number, *args: Any, matrix_absorption: Number = 1.0, **theta: Any
    ) -> torch.Tensor:
        ratio = 1 + scalar(drift, like) / self.energy
        way_in = self.path_in * self.depth_in * ratio**self.slope_in
        depth = scalar(matrix_absorption, like) * (way_in + self.path_out * self._of("depths", like))
        gain = self._emitted(like, depth) * ratio ** self._of("slopes", like)
        return gain[:, None] * self._of("yields", like)


class Ionisation(Emission):
    """Characteristic X-rays and bremsstrahlung of electrons, which lose too little energy to matter."""

    absorption_error: float = param(
        0.0, low=-10.0, high=100.0, symbol="a_c", doc="tenths by which the optical depth exceeds the host's"
    )
    bremsstrahlung: float = param(
        0.0, low=-1.0, high=100.0, symbol="b_b", doc="relative excess of the bremsstrahlung"
    )

    def weights(
        self,
        like: torch.Tensor,
        drift: Number,
        *args: Any,
        absorption_error: Number = 0.0,
        bremsstrahlung: Number = 0.0,
        **theta: Any,
    ) -> torch.Tensor:
        depth = (1 + 0.1 * scalar(absorption_error, like)) * self.path_out * self._of("depths", like)
        gain = self._emitted(like, depth)
        gain = gain * (1 + scalar(bremsstrahlung, like) * self._of("continuum", like))
        return gain[:, None] * self._of("yields", like)
