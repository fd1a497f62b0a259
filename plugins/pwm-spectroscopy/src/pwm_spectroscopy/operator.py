"""The forward model of a spectrum image, y = G (h ∗ x), as a graph of beam, emission and detector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pwm_core.errors import Unsuitable
from pwm_core.operator import Compose, Operator, Theta
from pwm_core.primitives import Convolve
from pwm_core.primitives.tensors import cast, require
from pwm_core.problem import Problem
from pwm_core.stored import BlockArray

from .beam import Beam
from .detector import EnergyDetector
from .emission import Emission
from .reduction import reduced
from .silicon import FWHM

_SMOOTH = 0.2  # of the resolution: what averaging the mean spectrum may cost in sharpness


class SpectrumImage(Compose):
    """Component maps (component, y, x) to a spectrum image (energy, y, x) in counts.

    The three nodes are merged: the beam blurs the component maps, then one matrix G (channel, component)
    turns them into spectra. G is differentiable in every parameter and kept where they are nominal.
    """

    @property
    def beam(self) -> Beam:
        return self.node("beam")

    @property
    def emission(self) -> Emission:
        return self.node("emission")

    @property
    def detector(self) -> EnergyDetector:
        return self.node("detector")

    @property
    def components(self) -> tuple[str, ...]:
        """The names along the first axis of the object: elements, then background."""
        return self.emission.components

    @property
    def elements(self) -> tuple[str, ...]:
        """The components that are elements; they come first."""
        return tuple(c for c, u in zip(self.components, self.emission.units, strict=True) if u == "ug/cm^2")

    @property
    def energies(self) -> np.ndarray:
        """keV in the middle of each channel, at the nominal calibration."""
        d = self.detector
        return d.zero + d.gain * np.arange(d.channels)

    def columns(self, theta: Theta | None = None) -> np.ndarray:
        """G (channel, component): the spectrum of one unit of each component everywhere."""
        with torch.no_grad():
            return self._matrix(torch.empty(0, dtype=torch.float64), theta or {}).numpy()

    def reduce(self, y: Any, mask: np.ndarray | None = None) -> tuple[np.ndarray, Operator] | None:
        """Maps z (component, y, x) with unit white noise that carry what ``y`` tells, and their operator.

        z ~ operator(x) + N(0, 1), see :mod:`~pwm_spectroscopy.reduction`; fifteen times smaller than the
        cube or more. None if the mask is not the same in all valid pixels, or with pile-up.
        """
        if not self.linear:
            return None
        beam, detector = self.beam, self.detector
        sigma = float(beam.width(beam.values())) / beam.pixel / FWHM
        blur = Convolve(name="beam", sigma=sigma)
        smooth = _SMOOTH * 1e-3 * detector.resolution / detector.gain
        y = y if isinstance(y, BlockArray) else np.asarray(y)
        precision = torch.float64 if y.dtype == np.float64 else torch.float32
        return reduced(self.columns(), blur, y, mask, smooth, precision)

    def sections(self, x: Any, theta: Theta | None = None) -> Callable[[tuple[slice, ...]], np.ndarray]:
        self._check_names(theta or {})
        theta, maps = theta or {}, torch.as_tensor(np.asarray(x))
        require(self, maps, component=len(self.components), y=None, x=None)
        own = _values(self.detector, theta)
        with torch.no_grad():
            matrix = cast(self._matrix(maps, theta), maps)
            blurred = self.beam.blur(maps, self.beam.width(_values(self.beam, theta)))

        def section(box: tuple[slice, ...]) -> np.ndarray:
            part = blurred[:, box[1], box[2]]
            with torch.no_grad():
                if self.linear:
                    return (matrix[box[0]] @ part.flatten(-2)).unflatten(-1, part.shape[1:]).numpy()
                counts = (matrix @ part.flatten(-2)).unflatten(-1, part.shape[1:])
                return self.detector.piled(counts, own["zero"], own["gain"])[box[0]].numpy()

        return section

    def _forward(self, x: torch.Tensor, theta: Theta) -> torch.Tensor:
        require(self, x, component=len(self.components), y=None, x=None)
        matrix = cast(self._matrix(x, theta), x)
        blurred = self.beam.blur(x, self.beam.width(_values(self.beam, theta)))
        counts = (matrix @ blurred.flatten(-2)).unflatten(-1, x.shape[-2:])
        own = _values(self.detector, theta)
        return self.detector.piled(counts, own["zero"], own["gain"])

    def _adjoint(self, y: torch.Tensor, like: torch.Tensor, theta: Theta) -> torch.Tensor:
        """By hand: autograd would evaluate the operator first, which takes three times as long."""
        require(self, y, energy=self.detector.channels, y=None, x=None)
        matrix = cast(self._matrix(like, theta), like)
        back = (matrix.mT @ y.to(like).flatten(-2)).unflatten(-1, y.shape[-2:])
        return self.beam.blur(back, self.beam.width(_values(self.beam, theta)))  # its kernel is even

    def _matrix(self, like: torch.Tensor, theta: Theta) -> torch.Tensor:
        """G in double precision; the nominal one is computed only once on each device."""
        if any(_differs(theta[k], p.nominal) for k, p in self.parameters.items() if k in theta):
            return self._assembled(like, theta)
        kept = self.__dict__.setdefault("_nominal", {})
        if like.device not in kept:
            with torch.inference_mode(False), torch.no_grad():
                kept[like.device] = self._assembled(like, {})
        return kept[like.device]

    def _assembled(self, like: torch.Tensor, theta: Theta) -> torch.Tensor:
        beam, emission, detector = (_values(n, theta) for n in (self.beam, self.emission, self.detector))
        drift = beam.get("energy_drift", 0.0)
        energies = self.emission.line_energies(like, drift)
        photons = beam["dose"] * self.emission.weights(like, drift, **emission)
        return self.detector.response(like, energies, **detector) @ photons


def spectrum_image_of(problem: Problem) -> SpectrumImage:
    """The problem's operator, which must be that of a spectrum image; Unsuitable otherwise."""
    if not isinstance(problem.operator, SpectrumImage):
        raise Unsuitable(f"a spectrum image needs a SpectrumImage operator, got {problem.operator}")
    return problem.operator


def _values(node: Operator, theta: Theta) -> dict[str, Any]:
    """The node's own parameters, nominal where ``theta`` does not name them."""
    return {name: theta.get(f"{node.name}.{name}", value) for name, value in node.values().items()}


def _differs(value: Any, nominal: Any) -> bool:
    """Tensors may carry gradients or tangents, whatever their value."""
    return isinstance(value, torch.Tensor) or value != nominal
