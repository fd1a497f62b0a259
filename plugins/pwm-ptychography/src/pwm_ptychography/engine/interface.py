"""What every engine offers to the methods, whatever it computes with."""

from __future__ import annotations

from typing import Any, Protocol

import torch


class Engine(Protocol):
    """Object, probe and data of one scan, with the few steps that ptychographic methods are made of.

    ``object``     (y, x) complex;  ``probe`` (mode, y, x) complex, in √counts
    ``frames``     number of frames;  ``power`` the sum of all valid counts
    """

    frames: int
    power: float

    @property
    def object(self) -> torch.Tensor: ...

    @property
    def probe(self) -> torch.Tensor: ...

    def set_probe(self, probe: torch.Tensor) -> None:
        """Put other modes (as many) in the place of the present ones."""

    def settle_probe(self) -> None:
        """Make the modes of the probe orthogonal, the strongest first, without changing what they mean."""

    def pie_sweep(
        self, order: torch.Tensor, *, alpha: float, beta: float, object_step: float, probe_step: float
    ) -> Any:
        """One sweep of the regularised PIE over the frames in ``order``; returns Σ(|Ψ| − √I)² on the way.

        O += s·P* χ / ((1−α)|P|² + α max|P|²) and P += t·O* χ / ((1−β)|O|² + β max|O|²), both from the
        old pair, with χ = ψ' − ψ (Maiden, Johnson & Li 2017, doi:10.1364/OPTICA.4.000736). α = β = 1
        is ePIE (Maiden & Rodenburg 2009, doi:10.1016/j.ultramic.2009.05.012). A ``probe_step`` of 0
        keeps the probe.
        """
        ...

    def accelerate(self, friction: float, feedback: float) -> None:
        """Momentum of the object: v ← friction·v + (O − O'), O ← O + feedback·v.

        O' is the object after the last call; the first call only takes note of it. This is the
        momentum of mPIE (Maiden, Johnson & Li 2017).
        """

    def position_equations(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Right side (frame, 2) and matrix (frame, 2, 2) of each frame's displacement, in pixels.

        The displacement is the one whose effect on the exit wave comes closest to the change that the
        measured modulus asks for (Odstrčil et al. 2018, doi:10.1364/OE.26.003108).
        """
        ...

    def move(self, pixels: torch.Tensor) -> None:
        """Displace the frames by (frame, 2) pixels; no patch leaves the object."""

    def positions(self) -> torch.Tensor:
        """Where the frames are on the sample (frame, 2), in metres."""
        ...

    def theta(self) -> dict[str, Any]:
        """What has been retrieved of the operator's parameters, by dotted name."""
        ...
