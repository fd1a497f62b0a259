"""The engine on compiled kernels: square windows of the native sizes, single precision, CPU."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from pwm_core.problem import Problem
from pwm_core.stored import BlockArray

from ..kernels import batch
from ..kernels.batch import gather_all
from ..kernels.pie import Sweeper
from ..kernels.tally import tally_all
from ..operator import Diffraction, diffraction_of
from . import distortion
from .frames import FLOOR, fitted, fitted_background, fitted_flux
from .interface import ALTERNATING, Projection, Reflection, Sums
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

_WORTH_THREADS = 64  # windows from which a second thread pays in a sequential sweep


class PlanarEngine:
    """See :class:`~pwm_ptychography.engine.interface.Engine`."""

    def __init__(
        self, problem: Problem, modes: int | None = None, components: int = 0, stabilised: bool = False
    ) -> None:
        self.operator = operator = diffraction_of(problem)
        start = problem.start
        corners, fractions = start_positions(operator)
        self._exact = (corners + fractions).numpy()
        kernel = near_field_kernel(operator, start)
        far = kernel is None
        moved = bool((fractions.abs() > 1e-3).any())
        mask = None if problem.mask is None else np.asarray(problem.mask)
        probe, weights = start_modes(operator, start, 1 if components else modes), None
        if components:
            probe, weights = start_components(probe, len(corners), components)
        self.sweeper = Sweeper(
            _Amplitudes(problem, operator, far, stabilised),
            corners.numpy(),
            start.numpy(),
            probe.numpy(),
            mask=np.fft.ifftshift(mask, axes=(-2, -1)) if far and mask is not None else mask,
            fractions=fractions.numpy() if moved else None,
            propagator=None if kernel is None else kernel.numpy(),
            weights=None if weights is None else weights.numpy(),
            on_disk=isinstance(problem.y, BlockArray),
        )
        self.frames = len(corners)
        self.shift = model_shift(stabilised)
        self._set(start_flux(operator), start_background(operator))
        self.power = _power(problem, operator)
        self.threads = torch.get_num_threads()
        self._last: np.ndarray | None = None
        self._momentum = np.zeros_like(self.sweeper.object.image)

    @property
    def object(self) -> torch.Tensor:
        return torch.from_numpy(self.sweeper.object.get())

    @property
    def probe(self) -> torch.Tensor:
        return torch.from_numpy(self.sweeper.result()[1])

    def random_order(self, rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(self.sweeper.random_order(rng))

    def set_object(self, obj: torch.Tensor) -> None:
        self.sweeper.set_object(obj.numpy())

    def set_probe(self, probe: torch.Tensor) -> None:
        self.sweeper.set_probe(probe.numpy())

    def settle_probe(self) -> None:
        if self.sweeper.varied:
            probe, weights = principal(self.probe, torch.from_numpy(self.sweeper.get_weights()))
            self.set_probe(probe)
            self.sweeper.set_weights(weights.numpy())
        elif self.sweeper.modes > 1:
            self.set_probe(orthogonalise(self.probe))

    def pie_sweep(
        self,
        order: torch.Tensor,
        *,
        alpha: float,
        beta: float,
        object_step: float = 1.0,
        probe_step: float = 1.0,
        reflection: Reflection | None = None,
    ) -> float:
        threads = self.threads if self.operator.scan.window[0] >= _WORTH_THREADS else 1
        misfit = self.sweeper.sweep(
            order.numpy(),
            object_step=object_step,
            alpha=alpha,
            probe_step=probe_step,
            beta=beta,
            background=self.offset,
            threads=threads,
            relax=1.0 if reflection is None else reflection.relax,
            state=None if reflection is None else reflection.waves,
            sigma=0.0 if reflection is None else reflection.sigma,
        )
        return float(misfit.sum())

    def exit_waves(self) -> np.ndarray:
        return batch.new_state(self.sweeper, self.threads)

    def gather(
        self,
        *,
        poisson: bool = False,
        weights: bool = False,
        track: bool = False,
        waves: np.ndarray | None = None,
        projection: Projection = ALTERNATING,
        frames: torch.Tensor | None = None,
    ) -> Sums:
        p = projection
        return _tensors(
            gather_all(
                self.sweeper,
                poisson=poisson,
                background=self.offset,
                weights=weights,
                track=track,
                threads=self.threads,
                state=waves,
                projection=(p.entry, p.keep, p.mix, p.replace),
                frames=None if frames is None else frames.numpy(),
            )
        )

    def overlap(self, waves: np.ndarray) -> Sums:
        return _tensors(batch.overlap_all(self.sweeper, waves, self.threads))

    def products(
        self,
        waves: np.ndarray,
        object_change: torch.Tensor,
        probe_change: torch.Tensor,
        frames: torch.Tensor,
    ) -> torch.Tensor:
        chosen = frames.numpy()
        changes = object_change.numpy(), probe_change.numpy()
        return torch.from_numpy(
            batch.products_of(self.sweeper, waves, *changes, chosen, self.threads)[chosen]
        )

    def accelerate(self, friction: float, feedback: float) -> None:
        parts, momentum = self.sweeper.object.image, self._momentum
        if self._last is not None:
            momentum *= np.float32(friction)
            momentum += parts
            momentum -= self._last
            parts += np.float32(feedback) * momentum
        self._last = parts.copy()

    def fit_frames(self, flux: bool, background: bool) -> None:
        marks = self.offset, (self.shift / self.flux).numpy(), (FLOOR / self.flux).numpy()
        sums = torch.from_numpy(tally_all(self.sweeper, *marks, self.threads))
        new, dark = self.flux, self.background
        if flux:
            new, mean = fitted_flux(self.flux, sums)
            self.sweeper.scale_probe(float(mean) ** 0.5)
        if background:
            dark = fitted_background(self.background, self.flux, sums)
        self._set(new, dark)

    def _set(self, flux: torch.Tensor, background: torch.Tensor) -> None:
        self.flux, self.background = flux, background
        self.sweeper.set_scale(flux.numpy())
        self.offset = ((background + self.shift) / flux).numpy()

    def misfits(self, frames: torch.Tensor) -> torch.Tensor:
        chosen = frames.numpy()
        sums = gather_all(self.sweeper, background=self.offset, threads=self.threads, frames=chosen)
        assert sums.misfit is not None
        return torch.from_numpy(sums.misfit[chosen])

    def position_equations(self) -> tuple[torch.Tensor, torch.Tensor]:
        sums = gather_all(self.sweeper, track=True, background=self.offset, threads=self.threads)
        assert sums.moves is not None
        moves = torch.from_numpy(sums.moves)
        return moves[:, :2], moves[:, [2, 4, 4, 3]].view(-1, 2, 2)

    def distortion_equations(self) -> tuple[torch.Tensor, torch.Tensor]:
        sums = gather_all(self.sweeper, track=True, background=self.offset, threads=self.threads)
        assert sums.moves is not None
        return distortion.equations(
            self.object,
            self.probe,
            torch.from_numpy(self.sweeper.corners),
            torch.from_numpy(self._exact),
            torch.from_numpy(sums.object),
            torch.from_numpy(sums.moves[:, :2]),
        )

    def distort(self, by: torch.Tensor) -> int:
        exact = torch.from_numpy(self._exact)
        centre = exact.mean(0) + distortion.light_centre(self.probe)
        before = self.sweeper.object.image.copy()
        self.set_object(distortion.distorted(self.object, by, centre))
        if self._last is not None:
            self._last += self.sweeper.object.image - before  # not a step that momentum should go on with
        wanted = exact + (exact - exact.mean(0)) @ by.T
        self.move(wanted - exact)
        return distortion.apart(wanted, torch.from_numpy(self._exact))

    def move(self, pixels: torch.Tensor) -> None:
        scan = self.operator.scan
        limit = [s - w for s, w in zip(scan.shape, scan.window, strict=True)]
        self._exact = np.clip(self._exact + pixels.numpy(), 0, limit)
        corners = np.round(self._exact).astype(np.int64)
        self.sweeper.set_fractions(self._exact - corners, corners)

    def positions(self) -> torch.Tensor:
        """Where the frames are on the sample (frame, 2), in metres."""
        scan = self.operator.scan
        return torch.from_numpy(self._exact * scan.pixel_size + np.array(scan.origin))

    def theta(self) -> dict[str, Any]:
        found: dict[str, Any] = {"probe.modes": self.probe}
        if self.sweeper.varied:
            found["probe.weights"] = torch.from_numpy(self.sweeper.get_weights())
        return found | fitted(self.operator, self.flux, self.background)


def _tensors(sums: batch.Sums) -> Sums:
    def tensor(array: np.ndarray | None) -> torch.Tensor | None:
        return None if array is None else torch.from_numpy(array)

    return Sums(
        torch.from_numpy(sums.object),
        torch.from_numpy(sums.probe),
        tensor(sums.object_weight),
        tensor(sums.probe_weight),
        math.nan if sums.misfit is None else float(sums.misfit.sum()),
        tensor(sums.moves),
    )


class _Amplitudes:
    """√quanta frame after frame, as the kernels want them, so that the data are never copied whole."""

    def __init__(self, problem: Problem, operator: Diffraction, far: bool, stabilised: bool) -> None:
        self.problem, self.operator, self.far, self.stabilised = problem, operator, far, stabilised
        self.shape = np.shape(problem.y)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame in self.problem.y:
            counts = torch.from_numpy(np.require(frame, np.float32, "W"))
            amplitude = amplitudes(counts, self.operator, self.stabilised).numpy()
            yield np.fft.ifftshift(amplitude) if self.far else amplitude


def _power(problem: Problem, operator: Diffraction) -> float:
    """All valid quanta."""
    total = 0.0
    mask = None if problem.mask is None else np.broadcast_to(problem.mask, np.shape(problem.y))
    for j, frame in enumerate(problem.y):
        counts = np.maximum(np.asarray(frame, dtype=np.float64), 0)
        total += float(counts.sum() if mask is None else counts[mask[j]].sum())
    return total / operator.detector.gain
