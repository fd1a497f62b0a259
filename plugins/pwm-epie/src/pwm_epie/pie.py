"""ePIE and rPIE: frame after frame, correct object and probe by the change of the exit wave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from pwm_ptychography.engine import make_engine

from pwm_core import Iterate, Problem, Reconstructor, param
from pwm_core.errors import BadValue

from .affine import Affine
from .positions import Refinement, refined
from .search import ROUNDS, Search


class _PIE(Reconstructor):
    """What the two share; they differ in how a step is weighted, and in their defaults."""

    iterations: int = param(100, low=1, doc="sweeps over all frames")
    modes: int | None = param(
        None, low=1, doc="incoherent probe modes (none: as many as the assumed probe has)"
    )
    components: int = param(
        0, low=0, high=5, doc="coherent components in which the probe may vary from frame to frame (OPR)"
    )
    flux: bool = param(False, doc="fit the incident intensity of each frame")
    background: bool = param(
        False, doc="fit a uniform background of each frame, as the most likely one for counts of quanta"
    )
    update_probe: bool = param(True, doc="retrieve the probe; otherwise it is taken as known")
    object_step: float = param(0.9, low=0.0, high=1.5, doc="step of the object")
    probe_step: float = param(0.3, low=0.0, high=1.5, doc="step of the probe after the warm-up")
    warmup: int = param(
        20, low=0, doc="first sweeps, with the object's step for the probe too, while it finds its form"
    )
    momentum: float = param(0.0, low=0.0, high=0.99, doc="friction of the object's momentum (mPIE); 0: none")
    feedback: float = param(0.5, low=0.0, high=1.0, doc="part of the momentum that is added after a sweep")
    anneal: int | None = param(
        None,
        low=1,
        doc="sweeps after the warm-up in which steps fall to a half, as 1/(1 + k/anneal); none: never",
    )
    positions: bool = param(False, doc="refine the scan positions; takes the data for counts of quanta")
    affine: bool = param(
        False, doc="fit scale, rotation and shear of the whole scan; takes the data for counts of quanta"
    )
    reach: float = param(
        0.0,
        low=0.0,
        high=100.0,
        unit="pixel",
        doc="with positions: how far off single frames may be; if not 0, frames that fit badly are looked "
        "for all around in the first half of the sweeps, for which the probe is kept",
    )
    positions_start: int = param(10, low=1, doc="sweep from which positions are refined")

    @torch.no_grad()
    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        if self.reach and not self.positions:
            raise BadValue(
                f"{type(self).__name__}: reach is how far positions are looked for; set positions too"
            )
        counted = self.positions or self.affine
        engine = make_engine(problem, self.modes, components=self.components, stabilised=counted)
        affine = Affine(engine) if self.affine else None
        refinement = Refinement(engine, affine) if self.positions else None
        held = self.iterations // 2 if self.reach else 0
        search = Search(engine, self.reach) if self.reach else None
        for sweep in range(self.iterations):
            fall = 1.0 if self.anneal is None else 1 / (1 + max(0, sweep - held - self.warmup) / self.anneal)
            probe_step = self.object_step if sweep < held + self.warmup else self.probe_step
            alpha, beta = self._weights()
            misfit = engine.pie_sweep(
                engine.random_order(rng),
                alpha=alpha,
                beta=beta,
                object_step=fall * self.object_step,
                probe_step=fall * probe_step if self.update_probe and sweep >= held else 0.0,
            )
            if self.momentum and sweep >= held + self.warmup:
                engine.accelerate(self.momentum, fall * self.feedback)
            if self.update_probe:
                engine.settle_probe()
            if self.flux or self.background:
                engine.fit_frames(self.flux, self.background)
            if affine is not None and sweep + 1 >= held + self.positions_start:
                affine.step()
            if refinement is not None and sweep + 1 >= self.positions_start:
                refinement.step()
            if search is not None and refinement is not None and _is_due(sweep + 1, held):
                refinement.jumped(search.step())
            theta = engine.theta() | (refined(engine) if self.positions or self.affine else {})
            info = affine.parts() if affine else {}
            yield Iterate(engine.object, loss=misfit / engine.power, theta=theta, info=info)

    def held(self) -> Self | None:
        more = self.positions or self.affine or self.flux or self.background or self.components
        if more:
            return None
        return self.replace(update_probe=False) if self.update_probe else self

    def _weights(self) -> tuple[float, float]:
        """α and β of the sweep."""
        raise TypeError(f"{type(self).__name__} does not define its weights")


class EPIE(_PIE):
    """Extended PIE (Maiden & Rodenburg 2009, doi:10.1016/j.ultramic.2009.05.012).

    Frames in random order; O += α P*χ/max|P|² and P += β O*χ/max|O|² with the change χ of the exit
    wave that the measured modulus asks for. The loss is Σ(|Ψ| − √I)²/ΣI met during the sweep.
    """

    def _weights(self) -> tuple[float, float]:
        return 1.0, 1.0


class RPIE(_PIE):
    """Regularised PIE (Maiden, Johnson & Li 2017, doi:10.1364/OPTICA.4.000736).

    Like ePIE, with the weights P*/((1−α)|P|² + α max|P|²) and O*/((1−β)|O|² + β max|O|²): small α
    takes long steps where the illumination is weak, and amplifies noise there. By default with the
    momentum of the same paper (mPIE), once a sweep, and with steps that fall slowly, so that the
    noise averages out; momentum=0, anneal=none and warmup=0 give the plain rPIE.
    """

    alpha: float = param(0.85, low=0.01, high=1.0, doc="regularisation of the object's step; 1 is ePIE")
    beta: float = param(1.0, low=0.01, high=1.0, doc="regularisation of the probe's step; 1 is ePIE")
    momentum: float = param(0.9, low=0.0, high=0.99, doc="friction of the object's momentum (mPIE); 0: none")
    anneal: int | None = param(
        50,
        low=1,
        doc="sweeps after the warm-up in which steps fall to a half, as 1/(1 + k/anneal); none: never",
    )

    def _weights(self) -> tuple[float, float]:
        return self.alpha, self.beta


def _is_due(sweep: int, held: int) -> bool:
    """Whether frames are looked for after this sweep: a few times, evenly in the first ``held``."""
    return sweep in [held * k // (ROUNDS + 1) for k in range(1, ROUNDS + 1)]
