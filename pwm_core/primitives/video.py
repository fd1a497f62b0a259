"""D for video: a sensor with lag from frame to frame and a gain that drifts."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import BadValue
from ..settings import param
from .detect import Detect
from .tensors import Number, cast, require, scalar


class VideoDetect(Detect):
    """A :class:`Detect` for frames (..., frame, y, x) that remembers and drifts.

    Lag: charge is released with time constant ``lag``, sₙ = (1 − a) qₙ + a sₙ₋₁ with
    a = exp(−frame_time/lag), and the scene stood still before the first frame, s₀ = q₀. A static scene
    keeps its value. One exponential for the first frames of the decay that flat panels show
    (Siewerdsen & Jaffray 1999, doi:10.1118/1.598657); their slow ghosts are left out.

    Drift: frame n is multiplied by 1 + n · gain_drift/100. It acts on the exposure, ahead of the
    counting, so the noise stays gain · Poisson(mean/gain); that lag correlates the noise of
    successive frames is left out.
    """

    lag: float = param(0.0, low=0.0, unit="ms", symbol="τ", doc="time constant of the memory between frames")
    gain_drift: float = param(0.0, unit="%", symbol="Δg", doc="change of the gain from frame to frame")
    frame_time: float = 33.3  # ms

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.frame_time > 0:
            raise BadValue(f"{self}: frame_time must be a positive time in ms, got {self.frame_time}")
        if self.modes:
            raise BadValue(
                f"{self}: frames and incoherent modes claim the same axis; sum the modes in a Detect before"
            )

    def apply(self, x: torch.Tensor, gain: Number, background: Number, **theta: Any) -> torch.Tensor:
        require(self, x, frame=None, y=None, x=None)
        counts = super().apply(x, gain=gain, background=background)
        memory = self._memory(x.shape[-3], scalar(theta["lag"], x), scalar(theta["gain_drift"], x))
        return (cast(memory, counts) @ counts.flatten(-2)).unflatten(-1, x.shape[-2:])

    def _memory(self, n: int, lag: torch.Tensor, drift: torch.Tensor) -> torch.Tensor:
        """What each earlier frame (column) contributes to a frame (row): lower triangular, (n, n)."""
        frame = torch.arange(n, device=lag.device)
        kept = torch.exp(-self.frame_time / lag.clamp(min=1e-3 * self.frame_time))  # below that it is 0
        age = frame[:, None] - frame
        matrix = torch.where(age >= 0, (1 - kept) * kept ** age.clamp(min=0), 0.0)
        before = torch.where(frame == 0, kept ** (frame[:, None] + 1), 0.0)  # the scene before frame 0
        return (1 + drift / 100 * frame[:, None]) * (matrix + before)
