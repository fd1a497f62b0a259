"""R: the object between the frames, at the moments of an X-ray pulse."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pwm_core.errors import BadValue
from pwm_core.operator import Operator
from pwm_core.primitives.tensors import Number, cast, require, scalar
from pwm_core.settings import param

_MOMENTS = tuple(s * (0.25 + h * 0.25 / 3**0.5) for s in (-1, 1) for h in (-1, 1))


class SubFrames(Operator):
    """The object at four moments of each frame's pulse: (frame, y, x) -> (frame · 4, y, x).

    x belongs to the frame times, the middles of the pulses; between them every line integral changes
    linearly, and before the first and after the last frame it stands still. So it never leaves the
    values of its two frames, as any smoother curve would: an edge that moves by pixels passes a pixel
    in less than a frame. The moments are the two-point Gauss nodes of either half of the pulse, of
    which the plain mean integrates exp(−x) along the straight lines to better than 1e-5.

    A pulse lasts ``width`` + ``blur`` ms, at least nothing and at most a frame.
    """

    symbol = "R"
    moments = len(_MOMENTS)

    blur: float = param(
        0.0, low=-50.0, high=50.0, unit="ms", symbol="σ_t", doc="added to the length of the pulse"
    )
    width: float = 8.0  # ms
    frame_time: float = 66.7  # ms

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.width <= self.frame_time:
            raise BadValue(
                f"{self}: the pulse must last between 0 and the frame's {self.frame_time:g} ms, "
                f"got {self.width:g} ms"
            )

    def apply(self, x: torch.Tensor, blur: Number) -> torch.Tensor:
        require(self, x, frame=None, y=None, x=None)
        return self.between(torch.stack(held(x.unbind())), blur)

    def between(self, x: torch.Tensor, blur: Number) -> torch.Tensor:
        """The moments of all but the first and the last frame of ``x``."""
        pulse = (self.width + scalar(blur, x)).clamp(0, self.frame_time)
        before, now, after = x[:-2], x[1:-1], x[2:]
        parts = cast(pulse / self.frame_time, x)
        moments = [torch.lerp(now, before if u < 0 else after, abs(u) * parts) for u in _MOMENTS]
        return torch.stack(moments, 1).flatten(0, 1)


def held(frames: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The frames with the first one once more before them and the last one once more after them."""
    return [frames[0], *frames, frames[-1]]
