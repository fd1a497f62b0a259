"""The derivative of diffraction at one object and illumination, for many products with it.

dI_j = 2 s Σ_m Re(ψ_jm* U_j{P_jm dO_j + dP_jm O_j}): ψ are the waves at the detector, s its counts a quantum.
U_j takes exit waves there: the Fourier transform F in the far field, F⁻¹ H_j F with the transfer function H_j
in the near field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from pwm_core.primitives.fourier import centred_fft2
from pwm_core.primitives.tensors import scalar

from .illumination import shift_ramp

if TYPE_CHECKING:
    from .operator import Diffraction

_BLOCK = 2**20  # bytes of waves that are worked on at a time: they stay in a core's cache


def far_field(operator: Diffraction, x: torch.Tensor) -> FarField | CompiledFarField:
    """The faster of the two that serves this object."""
    height, width = operator.scan.window
    if height == width and x.device.type == "cpu" and x.dtype == torch.complex64:
        from .kernels.plan import plan

        if plan(height) is not None:
            return CompiledFarField(operator, x)
    return FarField(operator, x)


class CompiledFarField:
    """By compiled kernels, for square windows of their sizes in single precision on a CPU."""

    def __init__(self, operator: Diffraction, x: torch.Tensor) -> None:
        from .kernels.tangent import Tangent

        scan, flux = operator.scan, operator.probe.flux
        corners, fractions = scan.corners(scan.positions, scan.jitter, scan.drift)
        moved = bool((fractions.abs() > 1e-6).any())
        self.modes = operator.modes(x).numpy()
        self.tangent = Tangent(
            x.detach().numpy(),
            self.modes,
            corners.numpy(),
            fractions.numpy() if moved else None,
            gain=_slope(operator, x)[0].numpy(),
            flux=None if flux is None else np.asarray(flux),
            threads=torch.get_num_threads(),
        )

    def forward(self, dx: torch.Tensor, *modes: torch.Tensor) -> torch.Tensor:
        """The change of the frames with those of the object and, if given, of the modes."""
        change = sum((c.numpy() for c in modes), np.zeros_like(self.modes))
        return torch.from_numpy(self.tangent.forward(dx.numpy(), change))

    def backward(self, v: torch.Tensor) -> list[torch.Tensor]:
        """What is :meth:`forward`'s adjoint for frames ``v``: to the object, to the modes."""
        return [torch.from_numpy(part) for part in self.tangent.backward(v.numpy())]


def _slope(operator: Diffraction, x: torch.Tensor) -> torch.Tensor:
    """Counts a quantum, (1, y, x)."""
    dark = torch.zeros((1, 1, *operator.scan.window), dtype=x.dtype, device=x.device)
    detector = operator.detector.replace(background=0.0)
    lit, unlit = (detector._forward(waves, {}) for waves in (dark + 1, dark))
    return lit - unlit


class _Kept:
    """In torch, for every window, precision and device: what takes exit waves to the detector is missing."""

    @torch.no_grad()
    def __init__(self, operator: Diffraction, x: torch.Tensor) -> None:
        self.scan, self.x = operator.scan, x.detach()
        probe = operator.probe
        corners, fractions = self.scan.corners(self.scan.positions, self.scan.jitter, self.scan.drift)
        self.corners = corners.tolist()
        modes = operator.modes(self.x)
        moved = bool((fractions.abs() > 1e-6).any())
        self.ramp = shift_ramp(modes, fractions.to(modes.real)).to(modes) if moved else None
        self.root = None
        if probe.flux is not None:
            flux = torch.as_tensor(probe.flux, device=x.device).to(modes.real)
            self.root = flux.sqrt()[:, None, None, None]
        self.size = max(1, _BLOCK // (modes.numel() * modes.element_size()))
        spectrum = self._spectrum(modes)
        slope = _slope(operator, x)
        shape = (len(corners), *modes.shape)
        self.probe, self.waves = (torch.empty(shape, dtype=x.dtype, device=x.device) for _ in range(2))
        for part in self._blocks():
            self.probe[part] = self._in_frames(spectrum, part)
            waves = self._to_detector(self._patches(self.x, part) * self.probe[part], part)
            self.waves[part] = 2 * slope * waves.conj()

    @torch.no_grad()
    def forward(self, dx: torch.Tensor, *modes: torch.Tensor) -> torch.Tensor:
        """The change of the frames with those of the object and, if given, of the modes."""
        spectra = [self._spectrum(change.to(dx)) for change in modes]
        frames = torch.empty_like(self.probe[:, 0].real)
        for part in self._blocks():
            exit_waves = self._patches(dx, part) * self.probe[part]
            for spectrum in spectra:
                exit_waves += self._patches(self.x, part) * self._in_frames(spectrum, part)
            frames[part] = (self.waves[part] * self._to_detector(exit_waves, part)).sum(1).real
        return frames

    @torch.no_grad()
    def backward(self, v: torch.Tensor) -> list[torch.Tensor]:
        """What is :meth:`forward`'s adjoint for frames ``v``: to the object, to the modes."""
        onto, modes = torch.zeros_like(self.x), torch.zeros_like(self.probe[0])
        height, width = self.scan.window
        for part in self._blocks():
            back = self._transposed(self.waves[part] * v[part, None], part)
            patches = (self.probe[part] * back).sum(1)
            for patch, (row, column) in zip(patches, self.corners[part], strict=True):
                onto[row : row + height, column : column + width] += patch
            modes += self._gathered((self._patches(self.x, part) * back).conj(), part)
        return [onto.conj(), modes if self.ramp is None else torch.fft.ifft2(modes)]

    def _to_detector(self, exit_waves: torch.Tensor, part: slice) -> torch.Tensor:
        """U of the exit waves (frame, mode, y, x) of a block."""
        raise TypeError(f"{type(self).__name__} does not define _to_detector(exit_waves, part)")

    def _transposed(self, waves: torch.Tensor, part: slice) -> torch.Tensor:
        """The transpose of :meth:`_to_detector`, of which U^H v = (U^T v*)* is made."""
        raise TypeError(f"{type(self).__name__} does not define _transposed(waves, part)")

    def _blocks(self) -> Iterator[slice]:
        return (slice(k, k + self.size) for k in range(0, len(self.corners), self.size))

    def _patches(self, x: torch.Tensor, part: slice) -> torch.Tensor:
        height, width = self.scan.window  # slices, unlike indices, take hardly any time
        patches = [x[row : row + height, column : column + width] for row, column in self.corners[part]]
        return torch.stack(patches)[:, None]

    def _spectrum(self, modes: torch.Tensor) -> torch.Tensor:
        """What :meth:`_in_frames` takes: modes that no frame moves stay as they are."""
        return modes if self.ramp is None else torch.fft.fft2(modes)

    def _in_frames(self, spectrum: torch.Tensor, part: slice) -> torch.Tensor:
        """The modes as they are in the frames of a block, (frame or 1, mode, y, x)."""
        inside = spectrum[None] if self.ramp is None else torch.fft.ifft2(spectrum * self.ramp[part])
        return inside if self.root is None else inside * self.root[part]

    def _gathered(self, probe: torch.Tensor, part: slice) -> torch.Tensor:
        """The adjoint of :meth:`_in_frames`: summed over the frames of a block."""
        probe = probe if self.root is None else probe * self.root[part]
        return probe.sum(0) if self.ramp is None else (torch.fft.fft2(probe) * self.ramp[part].conj()).sum(0)


class FarField(_Kept):
    """In torch, for every window, precision and device. F is its own transpose."""

    def _to_detector(self, exit_waves: torch.Tensor, part: slice) -> torch.Tensor:
        return centred_fft2(exit_waves)

    def _transposed(self, waves: torch.Tensor, part: slice) -> torch.Tensor:
        return centred_fft2(waves)


class NearField(_Kept):
    """In torch, for every window, precision and device, with the periodic transfer functions.

    Where the beam lies between pixels of the patch the exit wave is moved back by as much. Transposed
    F⁻¹ H F is F H F⁻¹.
    """

    def __init__(self, operator: Diffraction, x: torch.Tensor) -> None:
        distance = scalar(operator.propagate.distance, x)
        self.transfer = operator.propagate.transfer(operator.scan.window, distance).to(x.dtype)
        super().__init__(operator, x)

    def _to_detector(self, exit_waves: torch.Tensor, part: slice) -> torch.Tensor:
        return torch.fft.ifft2(torch.fft.fft2(exit_waves).mul_(self._filter(part)))

    def _transposed(self, waves: torch.Tensor, part: slice) -> torch.Tensor:
        return torch.fft.fft2(torch.fft.ifft2(waves).mul_(self._filter(part)))

    def _filter(self, part: slice) -> torch.Tensor:
        return self.transfer if self.ramp is None else self.ramp[part].conj() * self.transfer
