"""The derivative of far-field diffraction at one object and illumination, for many products with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pwm_core.primitives.fourier import centred_fft2

from .illumination import in_frames, shift_ramp

if TYPE_CHECKING:
    from .operator import Diffraction


class FarField:
    """dI_j = 2 s Σ_m Re(ψ_jm* F{P_jm dO_j + dP_jm O_j}) about an object (y, x) and the modes of the probe.

    ψ are the waves at the detector, s the detector's counts a quantum. The transform F is its own
    transpose, so that F^H v = (F v*)*.
    """

    @torch.no_grad()
    def __init__(self, operator: Diffraction, x: torch.Tensor) -> None:
        self.operator, self.x = operator, x.detach()
        scan, probe, detector = operator.scan, operator.probe, operator.detector
        corners, fractions = scan.corners(scan.positions, scan.jitter, scan.drift)
        self.corners = corners.to(x.device)
        modes = operator.modes(self.x)
        moved = bool((fractions.abs() > 1e-6).any())
        self.ramp = shift_ramp(modes, fractions.to(modes.real)).to(modes) if moved else None
        self.flux = None if probe.flux is None else torch.as_tensor(probe.flux)
        self.probe = self._in_frames(modes)
        self.patches = scan.patches(self.x, self.corners)[:, None]
        flat = torch.zeros(scan.window, dtype=modes.real.dtype, device=x.device)
        slope = detector._forward(flat.to(x.dtype)[None] + 1, {}) - detector._forward(
            flat.to(x.dtype)[None], {}
        )
        self.waves = 2 * slope * centred_fft2(self.patches * self.probe).conj()

    @torch.no_grad()
    def forward(self, dx: torch.Tensor, *modes: torch.Tensor) -> torch.Tensor:
        """The change of the frames with those of the object and, if given, of the modes."""
        exit_waves = self.operator.scan.patches(dx, self.corners)[:, None] * self.probe
        for change in modes:
            exit_waves = exit_waves + self.patches * self._in_frames(change.to(dx))
        return (self.waves * centred_fft2(exit_waves)).real.sum(1)

    @torch.no_grad()
    def backward(self, v: torch.Tensor) -> list[torch.Tensor]:
        """What is :meth:`forward`'s adjoint for frames ``v``: to the object, to the modes."""
        back = centred_fft2(self.waves * v[:, None])
        onto = torch.zeros_like(self.x)
        for patch, (row, column) in zip((self.probe * back).sum(1), self.corners.tolist(), strict=True):
            onto[row : row + patch.shape[0], column : column + patch.shape[1]] += patch
        probe = (self.patches * back).conj()
        if self.flux is not None:
            probe = probe * self.flux.to(probe.real).sqrt()[:, None, None, None]
        if self.ramp is None:
            return [onto.conj(), probe.sum(0)]
        return [onto.conj(), torch.fft.ifft2((torch.fft.fft2(probe) * self.ramp.conj()).sum(0))]

    def _in_frames(self, modes: torch.Tensor) -> torch.Tensor:
        inside = in_frames(modes, None, self.flux)
        return inside if self.ramp is None else torch.fft.ifft2(torch.fft.fft2(inside) * self.ramp)
