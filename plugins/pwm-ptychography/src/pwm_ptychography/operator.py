"""The forward model of ptychography, I_j = Σ_m |F{P_m(r − r_j) O(r)}|², as a graph of primitives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from pwm_core.errors import BadValue, Unsuitable
from pwm_core.operator import Compose, Operator, Theta
from pwm_core.primitives import Detect, Propagate
from pwm_core.problem import Problem
from pwm_core.settings import param

from .derivative import NearField, far_field
from .illumination import Probe, displaced, in_frames

_BLOCK = 64 << 20  # bytes of exit waves worked on at a time
_KEPT = 2 << 30  # bytes that a derivative may keep


class Scan(Operator):
    """R: move the sample through the beam; cuts the object (y, x) into patches (frame, y, x).

    Frame j sees the object around ``positions[j]``, plus ``jitter[j]``. The stage drifts steadily along
    ``drift_direction`` and has moved by ``drift`` when the last frame is taken. Positions need not be
    whole pixels: the patch is cut at the nearest pixel, and what remains displaces the probe.
    """

    symbol = "R"

    pixel_size: float  # m
    window: tuple[int, int]  # of a patch: y, x
    shape: tuple[int, int]  # of the object
    origin: tuple[float, float]  # m: the position whose patch starts at the object's first pixel
    drift_direction: tuple[float, float] = (math.sqrt(0.5), math.sqrt(0.5))
    positions: np.ndarray = param(unit="m", symbol="r", doc="beam positions on the sample (frame, 2): y, x")
    jitter: Any = param(
        None, unit="nm", symbol="δr", doc="random displacement of each frame (frame, 2): y, x"
    )
    drift: float = param(
        0.0, low=-1000.0, high=1000.0, unit="nm", symbol="Δr", doc="drift of the stage at the end of the scan"
    )

    def apply(self, x: torch.Tensor, positions: torch.Tensor, jitter: Any, drift: Any) -> torch.Tensor:
        corners, _ = self.corners(positions, jitter, drift)
        return self.patches(x, corners.to(x.device))

    def corners(
        self, positions: Any, jitter: Any = None, drift: Any = 0.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """First pixel (frame, 2) of each patch, and the fraction of a pixel (frame, 2) in [−½, ½] left over.

        BadValue if a patch does not lie wholly on the object.
        """
        r = torch.as_tensor(positions).double()
        time = torch.linspace(0, 1, len(r), dtype=torch.float64, device=r.device)[:, None]
        direction = torch.tensor(self.drift_direction, dtype=torch.float64, device=r.device)
        origin = torch.tensor(self.origin, dtype=torch.float64, device=r.device)
        moved = 1e-9 * drift * time * direction
        if jitter is not None:
            moved = moved + 1e-9 * torch.as_tensor(jitter, device=r.device).double()
        exact = (r - origin + moved) / self.pixel_size
        corners = torch.round(exact.detach()).long()
        last = torch.tensor([s - w for s, w in zip(self.shape, self.window, strict=True)], device=r.device)
        outside = ((corners < 0) | (corners > last)).any(1)
        if outside.any():
            raise BadValue(
                f"{int(outside.sum())} scan positions lie outside the object of {self.shape} pixels; "
                f"the first is frame {int(outside.nonzero()[0])}"
            )
        return corners, exact - corners

    def patches(self, x: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
        """The patches (frame, y, x) of ``x`` that start at these pixels."""
        if x.shape[-2:] != self.shape:
            raise BadValue(f"{self} needs an object of {self.shape} pixels, got {tuple(x.shape)}")
        rows = corners[:, 0, None] + torch.arange(self.window[0], device=x.device)
        columns = corners[:, 1, None] + torch.arange(self.window[1], device=x.device)
        return x[rows[:, :, None], columns[:, None, :]]


class Diffraction(Compose):
    """Scan, illuminate, propagate and detect, in blocks of frames so that memory stays bounded."""

    @property
    def scan(self) -> Scan:
        return self.node("scan")

    @property
    def probe(self) -> Probe:
        return self.node("probe")

    @property
    def propagate(self) -> Propagate:
        return self.node("propagate")

    @property
    def detector(self) -> Detect:
        return self.node("detector")

    def sections(self, x: Any, theta: Theta | None = None) -> Callable[[tuple[slice, ...]], np.ndarray]:
        self._check_names(theta or {})
        wave = torch.as_tensor(np.asarray(x))

        def section(box: tuple[slice, ...]) -> np.ndarray:
            with torch.no_grad():
                return self._forward(wave, theta or {}, box[0]).numpy()[(slice(None), *box[1:])]

        return section

    def _forward(self, x: torch.Tensor, theta: Theta, frames: slice = slice(None)) -> torch.Tensor:
        corners, fractions = self.scan.corners(
            *(_value(self.scan, name, theta, x.device) for name in ("positions", "jitter", "drift"))
        )
        dark = _value(self.detector, "background", theta, x.device)
        each = np.ndim(dark) == 3 and len(dark) == len(corners)  # one background a frame
        dark = dark[frames] if each else dark
        corners, fractions = corners.to(x.device)[frames], fractions.to(x.device)[frames]
        modes = self.modes(x, theta)
        weights, flux = (
            None if value is None else torch.as_tensor(value)[frames]
            for value in (_value(self.probe, name, theta, x.device) for name in ("weights", "flux"))
        )
        pixels = math.prod(self.scan.window)
        size = max(1, _BLOCK // (modes.shape[0] * pixels * x.element_size()))
        moved = fractions.requires_grad or bool((fractions.abs() > 1e-6).any())

        def block(
            x: torch.Tensor, modes: torch.Tensor, fractions: torch.Tensor, corners: torch.Tensor, part: slice
        ) -> torch.Tensor:
            own = [None if a is None else a[part] for a in (weights, flux)]
            shift = fractions.to(modes.real.dtype)
            probe = in_frames(modes, *own)
            probe = displaced(probe, shift) if moved else probe
            exit_waves = self.scan.patches(x, corners)[:, None] * probe
            if moved and self.propagate.method != "fraunhofer":  # the far field does not see where a wave is
                exit_waves = displaced(exit_waves, -shift)
            at_detector = self.propagate._forward(exit_waves, theta)
            own_dark = {f"{self.detector.name}.background": dark[part]} if each else {}
            return self.detector._forward(at_detector, {**theta, **own_dark})

        graded = any(t.requires_grad for t in (x, modes, fractions))
        keep = graded and torch.is_grad_enabled() and len(corners) > size
        parts = []
        for start in range(0, len(corners), size):
            part = slice(start, start + size)
            arguments = (x, modes, fractions[part], corners[part], part)
            parts.append(checkpoint(block, *arguments, use_reentrant=False) if keep else block(*arguments))
        return torch.cat(parts)

    def derivative(
        self, x: torch.Tensor, names: Sequence[str] = ()
    ) -> tuple[Callable[..., torch.Tensor], Callable[[torch.Tensor], list[torch.Tensor]]]:
        """To the object and retrieved modes, illumination and waves at the detector are kept: each product
        then takes the exit waves once to the detector or back."""
        kept = 3 * len(self.scan.positions) * math.prod((*self.modes(x).shape, x.element_size()))
        known = set(names) <= {f"{self.probe.name}.modes"} and self.probe.weights is None
        if not known or self.propagate.padded or kept > _KEPT:
            return super().derivative(x, names)
        at = far_field(self, x) if self.propagate.method == "fraunhofer" else NearField(self, x)
        if not names:
            return at.forward, lambda v: at.backward(v)[:1]
        return at.forward, at.backward

    def modes(self, like: torch.Tensor, theta: Theta | None = None) -> torch.Tensor:
        """The modes of the illumination at the sample (mode, y, x), in √counts."""
        names = ("modes", "error", "coherence")
        values = [_value(self.probe, n, theta or {}, like.device) for n in names]
        return self.probe.at_sample(like, *values)


def _value(node: Operator, field: str, theta: Theta, device: torch.device) -> Any:
    value = theta.get(f"{node.name}.{field}", getattr(node, field))
    return torch.as_tensor(value, device=device) if isinstance(value, np.ndarray) else value


def diffraction_of(problem: Problem) -> Diffraction:
    """The problem's operator, which must be that of a ptychographic scan; Unsuitable otherwise."""
    if not isinstance(problem.operator, Diffraction):
        raise Unsuitable(f"a ptychographic scan needs a Diffraction operator, got {problem.operator}")
    return problem.operator
