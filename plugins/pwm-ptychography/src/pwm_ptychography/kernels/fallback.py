"""The sequential sweep for sizes without native kernels: a Python loop over positions with scipy.fft.

Measured on one Zen 4 core, one n x n transform in microseconds, scipy / torch / numpy: n=63 31/26/43, 101
158/144/398, 200 168/129/387, 250 348/371/2597, 257 1074/1051/3959; scipy needs no further dependency.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from .plan import Frames
from .positions import patch_corners, per_position, same_modes, shifts, visits

TINY = np.float32(1e-30)


class LoopSweeper:
    """What `pie.Sweeper` is, with the same methods, for any pattern shape (also odd and non-square).

    Memory: the amplitudes in float32 (once the data, if those are float32), 8 bytes a pixel of the object,
    and about a dozen fields of the size of the probe.
    """

    def __init__(
        self,
        amplitudes: Frames,
        corners: Any,
        obj: np.ndarray,
        probe: np.ndarray,
        *,
        mask: np.ndarray | None = None,
        fractions: np.ndarray | None = None,
        propagator: np.ndarray | None = None,
    ) -> None:
        self.object, self.probe = np.array(obj, np.complex64), np.array(probe, np.complex64)
        self.modes, self.window = len(probe), self.probe.shape[-2:]
        self.data = np.empty((len(amplitudes), *self.window), np.float32)
        for j in range(len(amplitudes)):
            self.data[j] = amplitudes[j]
        self.mask = None if mask is None else np.broadcast_to(mask, self.data.shape)
        self.kernel = None if propagator is None else np.asarray(propagator, np.complex64)
        self.scale = np.ones(len(self.data), np.float32)
        self.misfit = np.zeros(len(self.data))
        self.corners = patch_corners(corners, len(self.data), self.object.shape, self.window)
        self.set_fractions(fractions)

    def sweep(
        self,
        order: Any,
        object_step: float = 1.0,
        alpha: float = 1.0,
        probe_step: float = 1.0,
        beta: float = 1.0,
        relax: float = 1.0,
        threads: int = 1,
        block: int = 16,
        background: Any = 0.0,
    ) -> np.ndarray:
        """As `pie.Sweeper.sweep`, always in one thread and exactly in order."""
        steps = [np.float32(v) for v in (object_step, alpha, probe_step, beta, relax)]
        background = per_position(background, len(self.data), "background")
        for j in visits(order, len(self.data)):
            self._visit(j, steps, background[j])
        return self.misfit

    def _visit(self, j, steps, background):
        object_step, alpha, probe_step, beta, relax = steps
        (row, column), (height, width) = self.corners[j], self.window
        patch = self.object[row : row + height, column : column + width]
        ramp = self._ramp(j)
        probe = _filtered(self.probe, ramp)
        exit_wave = patch * probe
        transfer = self._transfer(ramp)
        wave = _forward(exit_wave, transfer)
        wave *= 1 + relax * self._change(j, np.sqrt((wave.real**2 + wave.imag**2).sum(0) + background))
        chi = _inverse(wave, transfer) - exit_wave
        if probe_step:
            step = probe_step / _weight(patch.real**2 + patch.imag**2, beta)
            increment = _filtered(step * patch.conj() * chi, None if ramp is None else ramp.conj())
        illumination = (probe.real**2 + probe.imag**2).sum(0)
        patch += object_step * (probe.conj() * chi).sum(0) / _weight(illumination, alpha)
        if probe_step:
            self.probe += increment

    def _change(self, j, model):
        """Measured amplitude / model - 1, 0 where masked; notes the misfit."""
        distance = self.data[j] - model
        if self.mask is not None:
            distance = np.where(self.mask[j], distance, np.float32(0))
        self.misfit[j] = np.dot(distance.ravel(), distance.ravel())
        return distance / (model + TINY)

    def _ramp(self, j):
        """What moves a spectrum by the fraction of a pixel of position j, or None."""
        if self.fractions is None:
            return None
        rows, columns = (
            np.exp(-2j * np.pi * f * np.fft.fftfreq(n)).astype(np.complex64)
            for f, n in zip(self.fractions[j], self.window, strict=True)
        )
        return rows[:, None] * columns

    def _transfer(self, ramp):
        """The propagator, in the near field, from the pixels of a patch to those of the detector."""
        return self.kernel if self.kernel is None or ramp is None else self.kernel * ramp.conj()

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Object (height, width) and probe (modes, height, width), complex64 copies."""
        return self.get_object(), self.get_probe()

    def get_object(self) -> np.ndarray:
        return self.object.copy()

    def set_object(self, obj: np.ndarray) -> None:
        self.object[:] = obj

    def object_parts(self) -> np.ndarray:
        """Float32 view (height, 2, width), as that of `pie.Sweeper`."""
        height, width = self.object.shape
        return self.object.view(np.float32).reshape(height, width, 2).transpose(0, 2, 1)

    def get_probe(self) -> np.ndarray:
        return self.probe.copy()

    def set_probe(self, probe: np.ndarray) -> None:
        self.probe[:] = same_modes(probe, self.probe.shape)

    def set_fractions(self, fractions: np.ndarray | None, corners: Any = None) -> None:
        """Move the positions: new fractions of a pixel (positions, 2), or None, and new corners if given."""
        if corners is not None:
            self.corners = patch_corners(corners, len(self.data), self.object.shape, self.window)
        self.fractions = None if fractions is None else shifts(fractions, len(self.data))

    def set_scale(self, scale: Any) -> None:
        """As `pie.Sweeper.set_scale`."""
        scale = per_position(scale, len(self.data), "scale")
        self.data *= np.sqrt(self.scale / scale)[:, None, None]
        self.scale = scale


def _weight(intensity, slope):
    return (1 - slope) * intensity + slope * intensity.max() + TINY


def _filtered(field, transfer):
    if transfer is None:
        return field
    return scipy.fft.ifft2(scipy.fft.fft2(field) * transfer, overwrite_x=True)


def _forward(wave, transfer):
    return scipy.fft.fft2(wave, norm="ortho") if transfer is None else _filtered(wave, transfer)


def _inverse(wave, transfer):
    if transfer is None:
        return scipy.fft.ifft2(wave, norm="ortho", overwrite_x=True)
    return _filtered(wave, transfer.conj())
