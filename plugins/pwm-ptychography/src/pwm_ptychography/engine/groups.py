"""The PIE sweep on a GPU: groups of frames at once, no host synchronisation inside a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..illumination import displaced

if TYPE_CHECKING:
    from .torch_engine import TorchEngine

GROUPS = 10  # groups in a sweep; fewer are faster, more are closer to frame after frame


class GroupSweep:
    """Sweeps in which the frames of a group are updated together.

    The weights are those of the sequential sweep with |P|² replaced, where frames of a group overlap,
    by the sum over them, so that no pixel is corrected twice for the same error; likewise |O|² for
    the probe. A group of one frame is the sequential sweep.

    On CUDA the whole sweep is recorded once as a graph and replayed: at these sizes launching the
    kernels one by one takes longer than running them.
    """

    def __init__(
        self,
        engine: TorchEngine,
        frames: int,
        alpha: float,
        beta: float,
        groups: int = GROUPS,
        waves: torch.Tensor | None = None,
    ) -> None:
        device, real = engine.object.device, engine.amplitude.dtype
        self.engine, self.alpha, self.beta = engine, alpha, beta
        self.groups = max(1, min(groups, frames))
        self.order = torch.zeros(frames, dtype=torch.long, device=device)
        self.steps = torch.zeros(2, dtype=real, device=device)  # of the object and the probe
        self.misfit = torch.zeros((), dtype=real, device=device)
        self.waves = waves  # of all frames, where they are relaxed by Douglas–Rachford
        self.relaxation = torch.zeros(2, dtype=real, device=device)  # σ and the weight 1 − w of the data
        self.graph: torch.cuda.CUDAGraph | None = None

    def reflect(self, sigma: float, relax: float) -> None:
        """Set how the exit waves that are kept are renewed."""
        self.relaxation.copy_(torch.tensor([sigma, relax], dtype=self.relaxation.dtype))

    def __call__(self, order: torch.Tensor, object_step: float, probe_step: float) -> torch.Tensor:
        """One sweep over the frames in ``order``; returns the misfit met on the way."""
        self.order.copy_(order)
        self.steps.copy_(torch.tensor([object_step, probe_step], dtype=self.steps.dtype))
        if self.order.device.type != "cuda":
            self._sweep()
        elif self.graph is None:
            self._sweep()  # in the open, which also makes the FFT plans; recorded for the next time
            self._record()
        else:
            self.graph.replay()
        return self.misfit.clone()

    def _record(self) -> None:
        """Record a sweep as a graph; recording does not run it."""
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._sweep()

    def _sweep(self) -> None:
        self.misfit.zero_()
        for frames in self.order.tensor_split(self.groups):
            self._group(frames)

    def _group(self, frames: torch.Tensor) -> None:
        engine = self.engine
        rows, columns = engine.index(frames)
        flat = (rows * engine.object.shape[1] + columns).flatten()
        patch = engine.object.view(-1)[flat].view(len(frames), *engine.window)
        probe = engine.probes(frames)
        wave = probe * patch[:, None]
        sigma, relax = self.relaxation
        met = wave if self.waves is None else (1 + sigma) * wave - sigma * self.waves[frames]
        constrained, misfit = engine.constrain(engine.to_detector(met, frames), frames)
        new = engine.from_detector(constrained, frames)
        if self.waves is not None:
            new = relax * (new + sigma * self.waves[frames]) + (1 - relax - relax * sigma) * wave
            self.waves[frames] = new
        change = new - wave
        self.misfit += misfit
        self._update_object(flat, probe, change)
        self._update_probe(frames, patch, change)

    def _update_object(self, flat: torch.Tensor, probe: torch.Tensor, change: torch.Tensor) -> None:
        obj = self.engine.object
        intensity = (probe.real**2 + probe.imag**2).sum(1)
        spread = intensity.expand(len(change), *intensity.shape[1:]).flatten()
        light = (
            torch.zeros_like(obj.real, memory_format=torch.contiguous_format)
            .view(-1)
            .index_add_(0, flat, spread)
        )
        wanted = torch.zeros_like(obj).view(-1)
        pull = torch.view_as_real((probe.conj() * change).sum(1).flatten())
        torch.view_as_real(wanted).index_add_(0, flat, pull)
        weight = (1 - self.alpha) * light + self.alpha * torch.maximum(light, intensity.amax())
        obj.view(-1).add_(self.steps[0] * wanted / weight.clamp(min=1e-30))

    def _update_probe(self, frames: torch.Tensor, patch: torch.Tensor, change: torch.Tensor) -> None:
        density = patch.real**2 + patch.imag**2
        step = patch.conj()[:, None] * change
        if self.engine.moved:
            step = displaced(step, -self.engine.fractions[frames])
        summed = density.sum(0)
        weight = (1 - self.beta) * summed + self.beta * torch.maximum(summed, density.amax())
        self.engine.probe.add_(self.steps[1] * step.sum(0) / weight.clamp(min=1e-30))
