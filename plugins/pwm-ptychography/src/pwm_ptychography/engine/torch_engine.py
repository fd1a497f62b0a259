"""The engine in torch: any window, single or double precision, CPU or CUDA."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pwm_core.errors import Unsuitable
from pwm_core.problem import Problem

from ..illumination import displaced, in_frames, shift_ramp
from ..operator import diffraction_of
from . import batches, distortion
from .frames import fitted, fitted_background, fitted_flux, tally
from .groups import GroupSweep
from .interface import ALTERNATING, Projection, Reflection, Sums
from .loop import pie_loop
from .modes import orthogonalise, principal
from .setup import (
    amplitudes,
    model_shift,
    near_field_kernel,
    start_background,
    start_components,
    start_flux,
    start_modes,
    start_positions,
)

_BLOCK = 256  # frames worked on at a time where all are needed


class TorchEngine:
    """See :class:`~pwm_ptychography.engine.interface.Engine`; the elementary steps are public here.

    ``corners``    (frame, 2) first pixel of each patch;  ``fractions`` (frame, 2) the rest, |f| ≤ ½
    ``amplitude``  (frame, y, x) √counts, in the far field with zero frequency at [0, 0]
    ``valid``      its mask, or None
    ``weights``    (frame, component) where the probe may vary coherently from frame to frame, or None
    ``flux``       (frame) relative incident intensity, which the amplitudes are divided by the root of
    ``background`` (frame) in quanta
    ``offset``     (frame) what is added to the intensity of the waves, in quanta over the flux

    ``components`` more than 0 make the probe of frame j the coherent sum Σ_k u_jk E_k of 1 + components
    waves (orthogonal probe relaxation, Odstrčil et al. 2016, doi:10.1364/OE.24.008360).
    """

    def __init__(
        self, problem: Problem, modes: int | None = None, components: int = 0, stabilised: bool = False
    ) -> None:
        self.operator = operator = diffraction_of(problem)
        self.object = problem.start
        self.window = operator.scan.window
        self.kernel = near_field_kernel(operator, self.object)
        self.corners, self.fractions = start_positions(operator)
        self.frames = len(self.corners)
        self.probe = start_modes(operator, self.object, 1 if components else modes)
        self.weights: torch.Tensor | None = None
        if components:
            self.probe, self.weights = start_components(self.probe, self.frames, components)
        self.corners = self.corners.to(self.object.device)
        self.fractions = self.fractions.to(self.object.device, self.object.real.dtype)
        self.moved = bool((self.fractions.abs() > 1e-3).any())
        self.amplitude = self._arranged(amplitudes(problem.data, operator, stabilised))
        self.valid = None
        if problem.mask is not None:
            mask = torch.as_tensor(problem.mask, device=problem.device).expand(problem.y.shape)
            self.valid = self._arranged(mask)
        self.power = sum(
            float((a**2 if v is None else a**2 * v).sum(dtype=torch.float64))
            for a, v in self._blocks(self.amplitude, self.valid)
        )
        self.shift = model_shift(stabilised)
        self.flux = torch.ones(self.frames, dtype=torch.float64, device=self.object.device)
        self.offset = torch.empty_like(self.flux, dtype=self.amplitude.dtype)
        self._set(*(known.to(self.flux) for known in (start_flux(operator), start_background(operator))))
        self._last: torch.Tensor | None = None
        self._momentum = torch.zeros_like(self.object)
        self._sweeps: dict[tuple, GroupSweep] = {}

    # -- elementary steps -----------------------------------------------------------------------

    def patches(self, frames: torch.Tensor) -> torch.Tensor:
        """The object at these frames (frame, y, x)."""
        return self.object[self.index(frames)]

    def index(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What picks these frames' patches out of the object."""
        device = self.object.device
        rows = torch.arange(self.window[0], device=device)
        columns = torch.arange(self.window[1], device=device)
        corners = self.corners[frames]
        return (corners[:, 0, None] + rows)[:, :, None], (corners[:, 1, None] + columns)[:, None, :]

    def probes(self, frames: torch.Tensor) -> torch.Tensor:
        """The probe at these frames (frame or 1, mode, y, x), moved by the fraction of a pixel."""
        own = in_frames(self.probe, None if self.weights is None else self.weights[frames], None)
        return displaced(own, self.fractions[frames]) if self.moved else own

    def to_detector(self, waves: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Exit waves to waves at the detector, zero frequency at [0, 0] in the far field."""
        if self.kernel is None:
            return torch.fft.fft2(waves, norm="ortho")
        return torch.fft.ifft2(torch.fft.fft2(waves) * self.transfer(frames))

    def from_detector(self, waves: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """The inverse (and adjoint) of :meth:`to_detector`."""
        if self.kernel is None:
            return torch.fft.ifft2(waves, norm="ortho")
        return torch.fft.ifft2(torch.fft.fft2(waves) * self.transfer(frames).conj())

    def transfer(self, frames: torch.Tensor) -> torch.Tensor:
        """Near-field propagation, back from the patch's pixels to the detector's own."""
        assert self.kernel is not None
        return self.kernel * shift_ramp(self.kernel, -self.fractions[frames]) if self.moved else self.kernel

    def constrain(
        self, waves: torch.Tensor, frames: torch.Tensor, poisson: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Replace the modulus by the measured one, modes by their common factor; masked elements stay.

        Also returns Σ (|Ψ| − √I)² over the valid elements, as a 0-d tensor. With ``poisson`` the factor
        is I/|Ψ|², and what is returned is Σ |Ψ|² − I − I log(|Ψ|²/I).
        """
        measured = self.amplitude[frames]
        modulus = ((waves.real**2 + waves.imag**2).sum(1) + self.offset[frames, None, None]).sqrt()
        factor = measured / modulus.clamp(min=torch.finfo(modulus.dtype).tiny ** 0.5)
        misfit = (modulus - measured) ** 2
        if poisson:
            factor = factor**2
            misfit = modulus**2 * (1 - factor + torch.xlogy(factor, factor))
        if self.valid is not None:
            valid = self.valid[frames]
            factor, misfit = torch.where(valid, factor, 1.0), misfit * valid
        return waves * factor[:, None], misfit.sum()

    def modulus(self, frames: torch.Tensor) -> torch.Tensor:
        """√(|Ψ|² + b) at the detector (frame, y, x) for the present object and probe."""
        waves = self.to_detector(self.probes(frames) * self.patches(frames)[:, None], frames)
        return ((waves.real**2 + waves.imag**2).sum(1) + self.offset[frames, None, None]).sqrt()

    # -- what methods call ----------------------------------------------------------------------

    def random_order(self, rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(rng.permutation(self.frames)).to(self.object.device)

    def set_object(self, obj: torch.Tensor) -> None:
        self.object.copy_(obj)  # in place, as recorded sweeps hold on to the memory

    def set_probe(self, probe: torch.Tensor) -> None:
        self.probe.copy_(probe)

    def pie_sweep(
        self,
        order: torch.Tensor,
        *,
        alpha: float,
        beta: float,
        object_step: float = 1.0,
        probe_step: float = 1.0,
        reflection: Reflection | None = None,
    ) -> torch.Tensor:
        if self.object.device.type == "cpu":
            return pie_loop(self, order, alpha, beta, object_step, probe_step, reflection)
        if self.weights is not None:
            raise Unsuitable(
                "a probe that varies from frame to frame is fitted on the CPU only; use --device cpu"
            )
        waves = None if reflection is None else reflection.waves
        key = (len(order), alpha, beta, self.moved, None if waves is None else waves.data_ptr())
        if key not in self._sweeps:
            self._sweeps[key] = GroupSweep(self, len(order), alpha, beta, waves=waves)
        sweep = self._sweeps[key]
        if reflection is not None:
            sweep.reflect(reflection.sigma, reflection.relax)
        return sweep(order, object_step, probe_step)

    def exit_waves(self) -> torch.Tensor:
        return batches.exit_waves(self)

    def gather(
        self,
        *,
        poisson: bool = False,
        weights: bool = False,
        track: bool = False,
        waves: torch.Tensor | None = None,
        projection: Projection = ALTERNATING,
        frames: torch.Tensor | None = None,
    ) -> Sums:
        return batches.gather(self, poisson, weights, track, waves, projection, frames)

    def overlap(self, waves: torch.Tensor) -> Sums:
        return batches.overlap(self, waves)

    def products(
        self,
        waves: torch.Tensor,
        object_change: torch.Tensor,
        probe_change: torch.Tensor,
        frames: torch.Tensor,
    ) -> torch.Tensor:
        return batches.products(self, waves, object_change, probe_change, frames)

    def accelerate(self, friction: float, feedback: float) -> None:
        if self._last is not None:
            self._momentum.mul_(friction).add_(self.object).sub_(self._last)
            self.object.add_(self._momentum, alpha=feedback)
        self._last = self.object.clone()

    def misfits(self, frames: torch.Tensor) -> torch.Tensor:
        return batches.misfits(self, frames)

    def position_equations(self) -> tuple[torch.Tensor, torch.Tensor]:
        moves = self.gather(track=True).moves
        assert moves is not None
        return moves[:, :2], moves[:, [2, 4, 4, 3]].view(-1, 2, 2)

    def distortion_equations(self) -> tuple[torch.Tensor, torch.Tensor]:
        return batches.distortion_equations(self)

    def distort(self, by: torch.Tensor) -> int:
        exact = self._exact()
        centre = exact.mean(0) + distortion.light_centre(self.probe)
        moved = distortion.distorted(self.object, by.cpu(), centre.cpu())
        if self._last is not None:
            self._last += moved - self.object  # not a step that momentum should go on with
        self.set_object(moved)
        wanted = exact + (exact - exact.mean(0)) @ by.T.to(exact.device)
        self.move(wanted - exact)
        return distortion.apart(wanted, self._exact())

    def move(self, pixels: torch.Tensor) -> None:
        exact = self._exact() + pixels.to(self.corners.device).double()
        limit = [s - w for s, w in zip(self.operator.scan.shape, self.window, strict=True)]
        exact = torch.minimum(exact.clamp(min=0), torch.tensor(limit, device=exact.device).double())
        corners = exact.round().long()
        self.corners.copy_(corners)
        self.fractions.copy_(exact - corners)
        self.moved = True

    def _exact(self) -> torch.Tensor:
        """First pixels of the patches with their fractions (frame, 2)."""
        return self.corners.double() + self.fractions.double()

    def settle_probe(self) -> None:
        if self.weights is None:
            if len(self.probe) > 1:
                self.set_probe(orthogonalise(self.probe))
            return
        probe, weights = principal(self.probe, self.weights)
        self.weights.copy_(weights)
        self.probe.copy_(probe)

    def fit_frames(self, flux: bool, background: bool) -> None:
        sums, new, dark = self._tally(), self.flux, self.background
        if flux:
            new, mean = fitted_flux(self.flux, sums)
            self.probe *= mean.sqrt()
        if background:
            dark = fitted_background(self.background, self.flux, sums)
        self._set(new, dark)

    def theta(self) -> dict[str, Any]:
        found: dict[str, Any] = {"probe.modes": self.probe}
        if self.weights is not None:
            found["probe.weights"] = self.weights
        return found | fitted(self.operator, self.flux, self.background)

    def positions(self) -> torch.Tensor:
        """Where the frames are on the sample (frame, 2), in metres."""
        scan = self.operator.scan
        pixels = self._exact()
        return pixels * scan.pixel_size + torch.tensor(scan.origin, dtype=torch.float64, device=pixels.device)

    def _tally(self) -> torch.Tensor:
        """The sums of `frames.tally` for all frames."""
        found = []
        for frames in torch.arange(self.frames, device=self.object.device).split(_BLOCK):
            waves = self.to_detector(self.probes(frames) * self.patches(frames)[:, None], frames)
            valid = None if self.valid is None else self.valid[frames]
            light, flux = (waves.real**2 + waves.imag**2).sum(1), self.flux[frames]
            found.append(
                tally(light, self.amplitude[frames], valid, flux, self.background[frames], self.shift)
            )
        return torch.cat(found)

    def _set(self, flux: torch.Tensor, background: torch.Tensor) -> None:
        if bool((flux != self.flux).any()):
            self.amplitude *= (self.flux / flux).sqrt().to(self.amplitude)[:, None, None]
        self.flux, self.background = flux, background
        self.offset.copy_((background + self.shift) / flux)

    # -- storage --------------------------------------------------------------------------------

    def _arranged(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames as the transforms leave them: in the far field with zero frequency at [0, 0]."""
        return torch.fft.ifftshift(frames, dim=(-2, -1)) if self.kernel is None else frames

    def _blocks(self, *arrays: torch.Tensor | None) -> Any:
        for start in range(0, self.frames, _BLOCK):
            yield [None if a is None else a[start : start + _BLOCK] for a in arrays]
