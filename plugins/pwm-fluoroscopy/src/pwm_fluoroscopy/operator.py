"""The forward model of fluoroscopy, Π(proj) → Σ_t → D(g, η₁), as a graph of primitives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from pwm_core.errors import BadValue, Unsuitable
from pwm_core.operator import Compose, Operator, Theta
from pwm_core.primitives import Accumulate, BeerLambert, Modulate, VideoDetect
from pwm_core.primitives.tensors import Number, require, scalar
from pwm_core.problem import Problem
from pwm_core.settings import param

from .motion import SubFrames, held
from .spread import Blur, ScatterGlare

_BLOCK = 4 << 20  # bytes of sub-frames worked on at a time: what a processor's cache holds
_KEPT = 256 << 20  # bytes of sub-frames kept for the gradient; of more they are computed again
_DRIFT = "detector.gain_drift"
_SIDE = 4  # pixels of the cells by which a drift is looked for
_DIGITS = 4  # to which scatter is taken off there


class FlatPanel(VideoDetect):
    """A :class:`VideoDetect` whose ``lag`` is added to the time constant ``base_lag`` of the panel (ms).

    A few ms of lag alone would do nothing at 30 frames/s, exp(−33/3) = 2e-5; about a panel's 20 ms they do.
    """

    lag: float = param(
        0.0, low=-200.0, high=1000.0, unit="ms", symbol="τ", doc="added to the panel's time constant"
    )
    base_lag: float = 20.0  # ms

    def apply(self, x: torch.Tensor, gain: Number, background: Number, **theta: Any) -> torch.Tensor:
        theta["lag"] = self.base_lag + scalar(theta["lag"], x)
        return super().apply(x, gain, background, **theta)


class Fluoroscope(Compose):
    """The whole instrument; exposures are worked on in blocks of frames, so that memory stays bounded."""

    @property
    def pulse(self) -> SubFrames:
        return self.node("pulse")

    @property
    def beam(self) -> BeerLambert:
        return self.node("beam")

    @property
    def detector(self) -> FlatPanel:
        return self.node("detector")

    def estimate(self, y: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
        """The gain drift at which most of the field stands still, or moves as one, and its standard error.

        Scatter and glare, which carry what changes in one place to all others, are taken off first.
        """
        from .drift import gain_drift_from_cells

        found = gain_drift_from_cells(*self._cells(np.asarray(y), mask))
        return {} if found is None else dict(zip((_DRIFT, f"std:{_DRIFT}"), found, strict=True))

    def _cells(self, y: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means over cells of 4 × 4 pixels (frame, y, x), their variances, and which are valid (y, x).

        Without scatter and glare; in counts.
        """
        n, height, width = y.shape
        shape = (height // _SIDE, _SIDE, width // _SIDE, _SIDE)
        cut = (slice(shape[0] * _SIDE), slice(shape[2] * _SIDE))
        whole = np.asarray(np.broadcast_to(True if mask is None else mask, y.shape).all(0), bool)
        valid = np.asarray(whole[cut].reshape(shape).all((1, 3)))
        counts = np.where(valid, y[:, *cut].reshape(n, *shape).mean((2, 4), dtype=np.float64), 0)
        noise, scatter = self.noise(), self.node("scatter")
        assert noise is not None, "a fluoroscope counts quanta"
        variance = np.asarray(noise.variance(counts.clip(min=0))) / (_SIDE**2 * (1 - scatter.glare) ** 2)
        spread, most = scatter.replace(pixel_size=_SIDE * scatter.pixel_size), 1 + scatter.ratio
        given, seen = torch.from_numpy(counts), torch.from_numpy(valid)
        direct = given / most
        for _ in range(math.ceil(_DIGITS * math.log(10) * most / (1 - scatter.glare))):  # Richardson's steps
            direct = direct + seen * (given - spread(direct)) / most
        return direct.numpy(), variance, valid

    def _forward(self, x: torch.Tensor, theta: Theta) -> torch.Tensor:
        require(self, x, frame=None, y=None, x=None)
        pulse, beam, exposure, *spread, detector = self.nodes()
        assert isinstance(pulse, SubFrames)
        blur = theta.get("pulse.blur", pulse.blur)
        frame = pulse.moments * math.prod(x.shape[-2:]) * x.element_size()
        recompute = torch.is_grad_enabled() and len(x) * frame > _KEPT

        def expose(x: torch.Tensor) -> torch.Tensor:
            return exposure._forward(beam._forward(pulse.between(x, blur), theta), theta)

        # one by one: the backward pass of a slice would fill an array as long as the whole video
        around, size, images = held(x.unbind()), max(1, _BLOCK // frame), []
        for start in range(0, len(x), size):
            part = torch.stack(around[start : start + size + 2])
            q = checkpoint(expose, part, use_reentrant=False) if recompute else expose(part)
            for node in spread:
                q = node._forward(q, theta)
            images.append(q)
        return detector._forward(torch.cat(images), theta)


def fluoroscope(
    *,
    pixel: float,
    frame_time: float,
    quanta: float,
    pulse: float = 8.0,
    lag: float = 20.0,
    blur: float = 0.15,
    glare: float = 0.03,
    glare_reach: float = 10.0,
    scatter: float = 0.3,
    scatter_width: float = 20.0,
    gain: float = 1.0,
    readout: float = 0.0,
    field: np.ndarray | None = None,
) -> Fluoroscope:
    """The operator of a fluoroscope; it prints as ``Π(proj) → Σ_t → D(g, η₁)``.

    It takes line integrals of attenuation (frame, y, x) as they are projected on the detector, to mean
    counts (frame, y, x). ``pixel`` at the detector and all widths are in mm, times in ms; ``quanta`` a
    pixel and frame are detected where x = 0, scatter left out; ``gain`` is in counts/quantum, ``readout`` in
    counts rms; ``field`` (y, x) says which pixels the collimator leaves open (default: all).
    BadValue for values out of their bounds.
    """
    if not pixel > 0:
        raise BadValue(f"the pixel of a fluoroscope must be a positive length in mm, got {pixel!r}")
    motion = SubFrames(name="pulse", label="pulse", width=pulse, frame_time=frame_time)
    projection = (BeerLambert(name="beam", label="beam", flux=quanta) @ motion).labelled("Π(proj)")
    exposure = Accumulate(label="t", window=SubFrames.moments, mean=True)
    spread = ScatterGlare(
        name="scatter",
        label="scatter, glare",
        pixel_size=pixel,
        glare=glare,
        reach=glare_reach,
        ratio=scatter,
        sigma=scatter_width,
    )
    panel = FlatPanel(
        name="detector", mode="linear", frame_time=frame_time, base_lag=lag, gain=gain, readout=readout
    )
    readout_chain: Operator = (
        panel @ Blur(name="screen", label="screen", pixel_size=pixel, sigma=blur) @ spread
    )
    if field is not None and not field.all():
        blades = Modulate(name="collimator", label="collimator", mask=np.asarray(field, dtype=np.float32))
        readout_chain = readout_chain @ blades
    assert isinstance(readout_chain, Compose)
    return Fluoroscope(outer=readout_chain.labelled("D(g, η₁)"), inner=exposure @ projection)


def fluoroscope_of(problem: Problem) -> Fluoroscope:
    """The problem's operator, which must be that of a fluoroscope; Unsuitable otherwise."""
    if not isinstance(problem.operator, Fluoroscope):
        raise Unsuitable(f"fluoroscopy needs a Fluoroscope operator, got {problem.operator}")
    return problem.operator
