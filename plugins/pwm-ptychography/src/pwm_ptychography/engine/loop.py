"""The PIE sweep frame after frame with NumPy and SciPy, on the memory of the torch engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
import torch

from .interface import Reflection

if TYPE_CHECKING:
    from .torch_engine import TorchEngine


_RELAX = 0.1  # part by which the coherent weights of a frame follow what it asks for


def pie_loop(
    engine: TorchEngine,
    order: torch.Tensor,
    alpha: float,
    beta: float,
    object_step: float,
    probe_step: float,
    reflection: Reflection | None = None,
) -> torch.Tensor:
    """One sequential sweep; the array overhead of NumPy is a third of torch's at these sizes."""
    obj, amplitude = engine.object.numpy(), engine.amplitude.numpy()
    valid = None if engine.valid is None else engine.valid.numpy()
    offset = engine.offset.numpy()
    corners, (height, width) = engine.corners.numpy(), engine.window
    tiny = np.finfo(amplitude.dtype).tiny ** 0.5
    total = 0.0
    for j in order.tolist():
        row, column = corners[j]
        patch = obj[row : row + height, column : column + width]
        ramp = _ramp(engine, j) if engine.moved else None
        probe = _probe(engine, j)
        if ramp is not None:
            probe = scipy.fft.ifft2(scipy.fft.fft2(probe) * ramp)
        exit_wave = probe * patch
        transfer = _transfer(engine, j)
        wave = _forward(exit_wave if reflection is None else _reflected(exit_wave, j, reflection), transfer)
        modulus = np.sqrt((wave.real**2 + wave.imag**2).sum(0) + offset[j])
        misfit = amplitude[j] - modulus
        factor = amplitude[j] / np.maximum(modulus, tiny)
        if valid is not None:
            misfit, factor = misfit * valid[j], np.where(valid[j], factor, 1)
        total += float(np.vdot(misfit, misfit))
        wave = _backward(wave * factor, transfer)
        change = (wave if reflection is None else _renewed(wave, exit_wave, j, reflection)) - exit_wave
        intensity = (probe.real**2 + probe.imag**2).sum(0)
        density = patch.real**2 + patch.imag**2
        weight = probe_step / np.maximum((1 - beta) * density + beta * density.max(), tiny)
        step = weight * patch.conj() * change
        weight = object_step / np.maximum((1 - alpha) * intensity + alpha * intensity.max(), tiny)
        patch += weight * (probe.conj() * change).sum(0)
        if probe_step:  # last, since `probe` may be the engine's own memory
            _update_probe(
                engine, j, step if ramp is None else scipy.fft.ifft2(scipy.fft.fft2(step) * ramp.conj())
            )
    return torch.tensor(total, dtype=engine.amplitude.dtype)


def _reflected(exit_wave: np.ndarray, frame: int, reflection: Reflection) -> np.ndarray:
    """(1+σ)ψ − σz."""
    return (1 + reflection.sigma) * exit_wave - reflection.sigma * reflection.waves[frame].numpy()


def _renewed(wave: np.ndarray, exit_wave: np.ndarray, frame: int, reflection: Reflection) -> np.ndarray:
    """The relaxed Douglas–Rachford wave of a frame, which is also kept."""
    kept, sigma, relax = reflection.waves[frame].numpy(), reflection.sigma, reflection.relax
    kept[:] = relax * (wave + sigma * kept) + (1 - relax - relax * sigma) * exit_wave
    return kept


def _probe(engine: TorchEngine, frame: int) -> np.ndarray:
    """The modes (mode, y, x) in one frame."""
    modes = engine.probe.numpy()
    return modes if engine.weights is None else np.tensordot(engine.weights[frame].numpy(), modes, 1)[None]


def _update_probe(engine: TorchEngine, frame: int, step: np.ndarray) -> None:
    """Add the step to the modes, or share it out between components and the frame's weights."""
    modes = engine.probe.numpy()
    if engine.weights is None:
        modes += step
        return
    own = engine.weights[frame].numpy()
    power = (np.abs(modes) ** 2).sum((1, 2))
    wanted = np.tensordot(modes.conj(), step[0], 2) / np.maximum(power, 1e-30)
    modes += (own.conj() / np.vdot(own, own).real)[:, None, None] * step
    own += _RELAX * wanted


def _transfer(engine: TorchEngine, frame: int) -> np.ndarray | None:
    """Near-field propagation of one frame, or None."""
    if engine.kernel is None:
        return None
    return engine.transfer(torch.tensor([frame])).numpy().reshape(engine.window)


def _ramp(engine: TorchEngine, frame: int) -> np.ndarray:
    """What moves the probe's spectrum by the frame's fraction of a pixel."""
    fraction = engine.fractions[frame].numpy()
    y, x = (
        np.exp(-2j * np.pi * f * np.fft.fftfreq(n)).astype(engine.object.numpy().dtype)
        for f, n in zip(fraction, engine.window, strict=True)
    )
    return y[:, None] * x


def _forward(wave: np.ndarray, transfer: np.ndarray | None) -> np.ndarray:
    if transfer is None:
        return scipy.fft.fft2(wave, norm="ortho")
    return scipy.fft.ifft2(scipy.fft.fft2(wave) * transfer)


def _backward(wave: np.ndarray, transfer: np.ndarray | None) -> np.ndarray:
    if transfer is None:
        return scipy.fft.ifft2(wave, norm="ortho")
    return scipy.fft.ifft2(scipy.fft.fft2(wave) * transfer.conj())
