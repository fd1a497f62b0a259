"""Sums over many frames at once with torch, in blocks so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from ..illumination import displaced, frequencies
from .distortion import central_differences, light_centre
from .interface import Projection, Sums

if TYPE_CHECKING:
    from .torch_engine import TorchEngine

_BLOCK = 256  # frames worked on at a time


def exit_waves(engine: TorchEngine) -> torch.Tensor:
    """(frame, mode, y, x)."""
    return torch.cat([engine.probes(b) * engine.patches(b)[:, None] for b in _blocks(engine)])


def gather(
    engine: TorchEngine,
    poisson: bool,
    weights: bool,
    track: bool,
    waves: torch.Tensor | None,
    projection: Projection,
    frames: torch.Tensor | None,
) -> Sums:
    """See :meth:`~pwm_ptychography.engine.interface.Engine.gather`."""
    sums, p = _Sums(engine, weights, track), projection
    for block in _blocks(engine, frames):
        patch, probe = engine.patches(block), engine.probes(block)
        wave = probe * patch[:, None]
        met = wave if waves is None else p.entry * wave + (1 - p.entry) * waves[block]
        constrained, misfit = engine.constrain(engine.to_detector(met, block), block, poisson)
        back = engine.from_detector(constrained, block)
        if waves is None:
            change = back - wave
        else:
            change = p.keep * waves[block] + p.mix * wave + p.replace * back
            waves[block] = change
        sums.misfit += misfit.double()
        sums.add(block, patch, probe, change)
    return sums.result()


def overlap(engine: TorchEngine, waves: torch.Tensor) -> Sums:
    """See :meth:`~pwm_ptychography.engine.interface.Engine.overlap`."""
    sums = _Sums(engine, weights=True, track=False)
    for block in _blocks(engine):
        sums.add(block, engine.patches(block), engine.probes(block), waves[block])
    return sums.result(compared=False)


def products(
    engine: TorchEngine,
    waves: torch.Tensor,
    object_change: torch.Tensor,
    probe_change: torch.Tensor,
    frames: torch.Tensor,
) -> torch.Tensor:
    """See :meth:`~pwm_ptychography.engine.interface.Engine.products`."""
    found = []
    for block in _blocks(engine, frames):
        direction = probe_change[None]
        direction = displaced(direction, engine.fractions[block]) if engine.moved else direction
        a = engine.probes(block) * object_change[engine.index(block)][:, None]
        b = direction * engine.patches(block)[:, None]
        wave = waves[block]
        pairs = ((a, wave), (b, wave), (a, a), (b, b), (a, b))
        found.append(torch.stack([_inner(*pair) for pair in pairs], 1))
    return torch.cat(found)


def misfits(engine: TorchEngine, frames: torch.Tensor) -> torch.Tensor:
    """See :meth:`~pwm_ptychography.engine.interface.Engine.misfits`."""
    found = []
    for block in _blocks(engine, frames):
        squares = (engine.modulus(block) - engine.amplitude[block]) ** 2
        if engine.valid is not None:
            squares = squares * engine.valid[block]
        found.append(squares.sum((1, 2), dtype=torch.float64))
    return torch.cat(found)


def distortion_equations(engine: TorchEngine) -> tuple[torch.Tensor, torch.Tensor]:
    """See :meth:`~pwm_ptychography.engine.interface.Engine.distortion_equations`."""
    middle = light_centre(engine.probe)
    slopes = central_differences(engine.object)
    right = torch.zeros(4, dtype=torch.float64, device=engine.object.device)
    matrix = torch.zeros(4, 4, dtype=torch.float64, device=engine.object.device)
    for block in _blocks(engine):
        patch, probe, index = engine.patches(block), engine.probes(block), engine.index(block)
        wave = probe * patch[:, None]
        constrained, _ = engine.constrain(engine.to_detector(wave, block), block)
        change = engine.from_detector(constrained, block) - wave
        own = middle + engine.fractions[block]
        along = [torch.arange(n, device=own.device) - own[:, k, None] for k, n in enumerate(engine.window)]
        distances = along[0][:, None, :, None], along[1][:, None, None, :]
        # the patch is drawn out, so that what was further inside is now seen
        effects = [-(probe * s[index][:, None]) * r for s in slopes for r in distances]
        for k, effect in enumerate(effects):
            right[k] += _inner(effect, change).sum().double()
            for m in range(4):
                matrix[k, m] += _inner(effect, effects[m]).sum().double()
    return right, matrix


class _Sums:
    """Adds blocks of frames up."""

    def __init__(self, engine: TorchEngine, weights: bool, track: bool) -> None:
        self.engine = engine
        self.object, self.probe = torch.zeros_like(engine.object), torch.zeros_like(engine.probe)
        real = engine.amplitude.dtype
        self.light = torch.zeros(engine.object.shape, dtype=real, device=engine.object.device)
        self.density = torch.zeros(engine.window, dtype=real, device=engine.object.device)
        self.weights = weights
        self.moves = torch.zeros(engine.frames, 5, dtype=real, device=engine.object.device) if track else None
        self.misfit = torch.zeros((), dtype=torch.float64, device=engine.object.device)

    def add(
        self, frames: torch.Tensor, patch: torch.Tensor, probe: torch.Tensor, change: torch.Tensor
    ) -> None:
        rows, columns = self.engine.index(frames)
        flat = (rows * self.object.shape[1] + columns).flatten()
        pull = (probe.conj() * change).sum(1).flatten()
        torch.view_as_real(self.object.view(-1)).index_add_(0, flat, torch.view_as_real(pull))
        step = patch.conj()[:, None] * change
        if self.engine.moved:
            step = displaced(step, -self.engine.fractions[frames])
        self.probe += step.sum(0)
        if self.weights:
            intensity = (probe.real**2 + probe.imag**2).sum(1).expand(len(frames), *self.density.shape)
            self.light.view(-1).index_add_(0, flat, intensity.flatten())
            self.density += (patch.real**2 + patch.imag**2).sum(0)
        if self.moves is not None:
            down, right = (probe * slope[:, None] for slope in _gradient(patch))
            pairs = ((down, change), (right, change), (down, down), (right, right), (down, right))
            self.moves[frames] = torch.stack([_inner(*pair) for pair in pairs], 1)

    def result(self, compared: bool = True) -> Sums:
        return Sums(
            self.object,
            self.probe,
            self.light if self.weights else None,
            self.density if self.weights else None,
            float(self.misfit) if compared else math.nan,
            self.moves,
        )


def _blocks(engine: TorchEngine, frames: torch.Tensor | None = None) -> Iterator[torch.Tensor]:
    device = engine.object.device
    chosen = torch.arange(engine.frames, device=device) if frames is None else frames.to(device)
    yield from chosen.split(_BLOCK)


def _inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Re⟨a, b⟩ of each frame."""
    return (a.real * b.real + a.imag * b.imag).sum((1, 2, 3))


def _gradient(patch: torch.Tensor) -> list[torch.Tensor]:
    """Derivatives (frame, y, x) along y and x, in Fourier space."""
    spectrum = torch.fft.fft2(patch)
    return [torch.fft.ifft2(2j * torch.pi * f * spectrum) for f in frequencies(patch)]
