"""State and elementary steps of a ptychographic reconstruction, in batched torch."""

from __future__ import annotations

from typing import Any

import torch

from pwm_core.errors import Unsuitable
from pwm_core.problem import Problem

from ..illumination import displaced, shift_ramp
from ..operator import Diffraction, diffraction_of
from .modes import orthogonalise

_NEGLIGIBLE = 1e-3  # part of the power below which a mode of the assumed illumination is left out


class Engine:
    """Object, probe and data of one problem, with the few steps that all methods are made of.

    ``object``     (y, x) complex
    ``probe``      (mode, y, x) complex, √counts
    ``corners``    (frame, 2) first pixel of each patch;  ``fractions`` (frame, 2) the rest, |f| ≤ ½
    ``amplitude``  (frame, y, x) √counts, zero frequency at [0, 0];  ``valid`` its mask or None
    """

    def __init__(self, problem: Problem, modes: int | None = None) -> None:
        operator = diffraction_of(problem)
        self.operator = operator
        self.object = problem.start
        self.probe = _start_modes(operator, self.object, modes)
        corners, fractions = operator.scan.corners(
            operator.scan.positions, operator.scan.jitter, operator.scan.drift
        )
        self.corners = corners.to(problem.device)
        real = self.object.real.dtype
        self.fractions = fractions.to(problem.device, real)
        self.moved = bool((self.fractions.abs() > 1e-3).any())
        self.window = operator.scan.window
        counts = problem.data / operator.detector.gain - operator.detector.background
        self.kernel = _near_field_kernel(operator, self.object)
        self.amplitude = self._arranged(counts.clamp(min=0).sqrt())
        self.valid = None
        if problem.mask is not None:
            mask = torch.as_tensor(problem.mask, device=problem.device).expand(problem.y.shape)
            self.valid = self._arranged(mask)
        self.power = float(
            (self.amplitude**2 if self.valid is None else self.amplitude**2 * self.valid).sum()
        )
        self._rows = torch.arange(self.window[0], device=problem.device)
        self._columns = torch.arange(self.window[1], device=problem.device)

    @property
    def frames(self) -> int:
        return len(self.corners)

    def patches(self, frames: torch.Tensor) -> torch.Tensor:
        """The object at these frames (frame, y, x)."""
        return self.object[self._index(frames)]

    def probes(self, frames: torch.Tensor) -> torch.Tensor:
        """The probe at these frames (frame or 1, mode, y, x), moved by the fraction of a pixel."""
        return displaced(self.probe, self.fractions[frames]) if self.moved else self.probe[None]

    def to_detector(self, waves: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Exit waves to waves at the detector, zero frequency at [0, 0] in the far field."""
        if self.kernel is None:
            return torch.fft.fft2(waves, norm="ortho")
        return torch.fft.ifft2(torch.fft.fft2(waves) * self._transfer(frames))

    def from_detector(self, waves: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """The inverse (and adjoint) of :meth:`to_detector`."""
        if self.kernel is None:
            return torch.fft.ifft2(waves, norm="ortho")
        return torch.fft.ifft2(torch.fft.fft2(waves) * self._transfer(frames).conj())

    def constrain(self, waves: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Replace the modulus by the measured one, modes by their common factor; masked elements stay.

        Also returns Σ (|Ψ| − √I)² over the valid elements, as a 0-d tensor.
        """
        measured = self.amplitude[frames]
        modulus = (waves.real**2 + waves.imag**2).sum(1).sqrt()
        factor = measured / modulus.clamp(min=torch.finfo(modulus.dtype).tiny ** 0.5)
        misfit = (modulus - measured) ** 2
        if self.valid is not None:
            valid = self.valid[frames]
            factor, misfit = torch.where(valid, factor, 1.0), misfit * valid
        return waves * factor[:, None], misfit.sum()

    def pie_sweep(
        self,
        order: torch.Tensor,
        *,
        alpha: float,
        beta: float,
        object_step: float = 1.0,
        probe_step: float = 1.0,
    ) -> torch.Tensor:
        """One sweep of the regularised PIE over the frames in ``order``, one frame after another.

        O += s·P* χ / ((1−α)|P|² + α max|P|²) and P += t·O* χ / ((1−β)|O|² + β max|O|²), both from the
        old pair, with χ = ψ' − ψ (Maiden, Johnson & Li 2017, doi:10.1364/OPTICA.4.000736). α = β = 1
        is ePIE (Maiden & Rodenburg 2009, doi:10.1016/j.ultramic.2009.05.012). A ``probe_step`` of 0
        keeps the probe. Returns the misfit Σ(|Ψ| − √I)² met along the way.
        """
        total = torch.zeros((), dtype=self.amplitude.dtype, device=self.amplitude.device)
        for frame in order.split(1):
            index = self._index(frame)
            patch, probe = self.object[index], self.probes(frame)
            wave = probe * patch[:, None]
            constrained, misfit = self.constrain(self.to_detector(wave, frame), frame)
            change = self.from_detector(constrained, frame) - wave
            total += misfit
            intensity = (probe.real**2 + probe.imag**2).sum(1)
            weight = object_step / ((1 - alpha) * intensity + alpha * intensity.max())
            self.object[index] = patch + weight * (probe.conj() * change).sum(1)
            if probe_step:
                density = patch.real**2 + patch.imag**2
                weight = probe_step / ((1 - beta) * density + beta * density.max())
                step = (weight * patch.conj())[:, None] * change
                self.probe += displaced(step[0], -self.fractions[frame])[0] if self.moved else step[0]
        return total

    def theta(self) -> dict[str, Any]:
        """What the engine has retrieved of the operator's parameters."""
        return {"probe.modes": self.probe}

    def _transfer(self, frames: torch.Tensor) -> torch.Tensor:
        """Near-field propagation, back from the patch's pixels to the detector's own."""
        assert self.kernel is not None
        return self.kernel * shift_ramp(self.kernel, -self.fractions[frames]) if self.moved else self.kernel

    def _arranged(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames as the transforms leave them: in the far field with zero frequency at [0, 0]."""
        return torch.fft.ifftshift(frames, dim=(-2, -1)) if self.kernel is None else frames

    def _index(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        corners = self.corners[frames]
        return (corners[:, 0, None] + self._rows)[:, :, None], (corners[:, 1, None] + self._columns)[
            :, None, :
        ]


def _near_field_kernel(operator: Diffraction, like: torch.Tensor) -> torch.Tensor | None:
    """Transfer function of near-field propagation in FFT order; None in the far field."""
    propagate = operator.propagate
    if propagate.method == "fraunhofer":
        return None
    distance = torch.tensor(propagate.distance, dtype=torch.float64, device=like.device)
    return propagate.transfer(operator.scan.window, distance).to(like.dtype)


def _start_modes(operator: Diffraction, like: torch.Tensor, count: int | None) -> torch.Tensor:
    """The assumed illumination as orthogonal modes; more are seeded as its first derivatives."""
    modes = orthogonalise(operator.modes(like), _NEGLIGIBLE)
    if count is None or count == len(modes):
        return modes.clone()
    if count < len(modes):
        power = (modes.abs() ** 2).sum()
        kept = modes[:count]
        return kept * (power / (kept.abs() ** 2).sum()).sqrt()
    return torch.cat([modes, _higher_modes(modes[0], count - len(modes))])


def _higher_modes(first: torch.Tensor, count: int) -> torch.Tensor:
    """Distinct weak modes to start from: the first one times Hermite-like polynomials in y and x."""
    y = torch.linspace(-1, 1, first.shape[0], device=first.device)[:, None]
    x = torch.linspace(-1, 1, first.shape[1], device=first.device)
    shapes = [(x + 0 * y), (y + 0 * x), x * y, 2 * x**2 - 1 + 0 * y, 2 * y**2 - 1 + 0 * x]
    if count > len(shapes):
        raise Unsuitable(f"at most {len(shapes)} modes can be added to the assumed illumination, got {count}")
    added = torch.stack([first * s for s in shapes[:count]])
    power = (first.abs() ** 2).sum()
    sizes = (added.abs() ** 2).sum((-2, -1), keepdim=True)
    return added * (0.05 * power / sizes).sqrt()
