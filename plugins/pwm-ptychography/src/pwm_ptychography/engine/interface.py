"""What every engine offers to the methods, whatever it computes with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ..operator import Diffraction


@dataclass(frozen=True)
class Reflection:
    """What relaxed Douglas–Rachford keeps: ``waves`` from `exit_waves`; σ; the weight 1 − w of the data."""

    waves: Any
    sigma: float
    relax: float = 1.0


@dataclass(frozen=True)
class Projection:
    """How exit waves ψ are renewed, for the present estimate PO of object and probe.

    The constraint is applied to φ = entry·PO + (1 − entry)·ψ; then ψ ← keep·ψ + mix·PO + replace·Π(φ).
    """

    entry: float = 1.0
    keep: float = 0.0
    mix: float = 0.0
    replace: float = 1.0


ALTERNATING = Projection()  # ψ ← Π(PO), whose sums make the next object and probe


@dataclass
class Sums:
    """Sums over frames and modes, for a wave χ in each frame.

    ``object`` Σ P*χ (y, x), ``probe`` Σ O*χ (mode, y, x), ``object_weight`` Σ |P|² and ``probe_weight``
    Σ |O|² (None unless asked for), ``misfit`` (NaN where nothing is compared with the data).
    ``moves`` (frame, 5), if asked for, is what each frame's displacement (row, column) has to do with χ:
    two right-hand sides, and the row-row, column-column and row-column coefficients.
    """

    object: torch.Tensor
    probe: torch.Tensor
    object_weight: torch.Tensor | None = None
    probe_weight: torch.Tensor | None = None
    misfit: float = math.nan
    moves: torch.Tensor | None = None


class Engine(Protocol):
    """Object, probe and data of one scan, with the few steps that ptychographic methods are made of.

    ``object``     (y, x) complex;  ``probe`` (mode, y, x) complex, in √counts
    ``operator``   the assumed forward model
    ``frames``     number of frames;  ``power`` the sum of all valid counts
    """

    operator: Diffraction
    frames: int
    power: float

    @property
    def object(self) -> torch.Tensor: ...

    @property
    def probe(self) -> torch.Tensor: ...

    def random_order(self, rng: np.random.Generator) -> torch.Tensor:
        """All frames in random order, on the engine's device; nearby frames together if data are on disk."""
        ...

    def set_object(self, obj: torch.Tensor) -> None:
        """Put another object in the place of the present one."""

    def set_probe(self, probe: torch.Tensor) -> None:
        """Put other modes (as many) in the place of the present ones."""

    def settle_probe(self) -> None:
        """Make the modes of the probe orthogonal, the strongest first, without changing what they mean."""

    def pie_sweep(
        self,
        order: torch.Tensor,
        *,
        alpha: float,
        beta: float,
        object_step: float,
        probe_step: float,
        reflection: Reflection | None = None,
    ) -> Any:
        """One sweep of the regularised PIE over the frames in ``order``; returns Σ(|Ψ| − √I)² on the way.

        O += s·P* χ / ((1−α)|P|² + α max|P|²) and P += t·O* χ / ((1−β)|O|² + β max|O|²), both from the
        old pair, with χ = ψ' − ψ (Maiden, Johnson & Li 2017, doi:10.1364/OPTICA.4.000736). α = β = 1
        is ePIE (Maiden & Rodenburg 2009, doi:10.1016/j.ultramic.2009.05.012). A ``probe_step`` of 0
        keeps the probe.

        With a ``reflection`` ψ' is not the projection of ψ but the relaxed Douglas–Rachford wave
        z ← (1−w) Π((1+σ)ψ − σz) + (w − σ + wσ) ψ + (1−w)σ z of each frame
        (Pham, Rana, Miao & Osher 2019, doi:10.1364/OE.27.031246).
        """
        ...

    def exit_waves(self) -> Any:
        """The exit waves of all frames, P·O, in the engine's own form; `gather` renews them in place."""
        ...

    def gather(
        self,
        *,
        poisson: bool = False,
        weights: bool = False,
        track: bool = False,
        waves: Any = None,
        projection: Projection = ALTERNATING,
        frames: torch.Tensor | None = None,
    ) -> Sums:
        """Compare all frames (or ``frames``) with the data at the present object and probe.

        χ is the change of the exit wave towards the data: −2 Σ P*χ and −2 Σ O*χ are the gradients (∂/∂Re +
        i ∂/∂Im) of the misfit Σ(√(|Ψ|² + b) − √I)² or, with ``poisson``, of half the deviance,
        Σ |Ψ|² + b − I − I log((|Ψ|² + b)/I). With ``waves`` χ is the renewed wave itself.
        """
        ...

    def overlap(self, waves: Any) -> Sums:
        """The sums (with weights) for these exit waves in the place of χ."""
        ...

    def products(
        self, waves: Any, object_change: torch.Tensor, probe_change: torch.Tensor, frames: torch.Tensor
    ) -> torch.Tensor:
        """How ``waves`` χ_j are met by a_j = ΔO·P and b_j = ΔP·O: (frame, 5).

        Re⟨a, χ⟩, Re⟨b, χ⟩, |a|², |b|² and Re⟨a, b⟩, for the frames asked for, in their order.
        """
        ...

    def accelerate(self, friction: float, feedback: float) -> None:
        """Momentum of the object: v ← friction·v + (O − O'), O ← O + feedback·v.

        O' is the object after the last call; the first call only takes note of it. This is the
        momentum of mPIE (Maiden, Johnson & Li 2017).
        """

    def fit_frames(self, flux: bool, background: bool) -> None:
        """One step of what is asked for of each frame, at the present object and probe; `theta` reports it.

        ``flux`` is the relative incident intensity, ``background`` one number of quanta in all elements.
        """

    def misfits(self, frames: torch.Tensor) -> torch.Tensor:
        """Σ (√(|Ψ|² + b) − √I)² of each of these frames (frame), in double precision."""
        ...

    def position_equations(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Right side (frame, 2) and matrix (frame, 2, 2) of each frame's displacement, in pixels.

        The displacement is the one whose effect on the exit wave comes closest to the change that the
        measured modulus asks for (Odstrčil et al. 2018, doi:10.1364/OE.26.003108).
        """
        ...

    def distortion_equations(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Right side (4) and matrix (4, 4) of the distortion D of the whole scan, as yy, yx, xy and xx.

        D moves a frame at r from the middle of the scan by D·r, and object with it, so that a frame sees
        its own patch distorted about its own middle; D is the one whose effect on the exit waves comes
        closest to the change that the measured moduli ask for.
        """
        ...

    def distort(self, by: torch.Tensor) -> int:
        """Distort object and positions together by D (2, 2), about the middle of the scan.

        Returns the number of frames that should have left the object, and stay at its edge.
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
