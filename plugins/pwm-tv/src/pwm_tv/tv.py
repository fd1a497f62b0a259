"""Total-variation reconstruction through the operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch

from pwm_core import Iterate, Problem, Reconstructor, param
from pwm_core.errors import Unsuitable
from pwm_core.noise import Gaussian

from .axes import Axes
from .fit import Fit, Loss, Point, condensed
from .information import noise_of
from .scaling import starting_object
from .splitting import ForwardBackward, Plan
from .thinning import FIRST, KEPT, least, thinned

_TRIAL = 60  # steps at most of one that looks for the strength
_ROUGH = 2.0  # times the tolerance, in those


class TotalVariation(Reconstructor):
    """argmin over x ≥ 0 of misfit(x) + strength · TV(x/σ), σ being the noise that the data leave in x.

    Accelerated forward–backward splitting (FISTA; Beck & Teboulle 2009, doi:10.1109/TIP.2009.2028250)
    with the gradient of the data's likelihood through the operator and the proximal point of the
    total variation (isotropic; Rudin, Osher & Fatemi 1992) from its dual, which is carried on
    from step to step. Steps that would raise the objective start the momentum anew.

    The strength counts in units of the noise: σ, one number for each component of the object, is the
    standard deviation with which the data determine a pixel whose surroundings are known. Which one suits
    depends on the object nonetheless, so by default it is chosen by thinning, see :mod:`~pwm_tv.thinning`:
    that with which 4/5 of the counts best predict the others. It takes two to five times as
    long as one solution.
    Spectral data are first reduced to maps of unit noise by the operator, if it can do that; their least
    squares are those of the data weighted by their noise. With ``loss`` poisson all channels are fitted.
    """

    iterations: int = param(150, low=1, doc="steps at most")
    strength: float | None = param(
        None,
        low=0.0,
        high=1e3,
        doc="of the regularisation, in units of the noise; none: that which best predicts counts held out",
    )
    loss: Loss = param(
        "likelihood",
        doc="misfit of the data: that of the noise that the operator states (least squares if it states "
        "none), of counting noise, or of plain least squares",
    )
    nonnegative: bool = param(True, doc="keep the object at or above zero")
    time_weight: float = param(1.0, low=0.0, high=1e3, doc="of changes in time against those in space")
    vectorial: bool = param(False, doc="edges of all components together rather than of each on its own")
    inner: int = param(10, low=1, doc="steps on the dual in each step")
    tolerance: float = param(1e-3, low=0.0, high=1.0, doc="stop when three steps change the object by less")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        axes = Axes.of(problem.axes)
        if problem.dtype.startswith("complex"):
            raise Unsuitable(f"tv takes real objects; that of {problem.modality} is {problem.dtype}")
        if not axes.image:
            raise Unsuitable(
                "tv needs image axes among z, y, x; "
                f"the object of {problem.modality} has {', '.join(problem.axes)}"
            )
        problem = condensed(problem, self.loss)
        fit = Fit(problem, self.loss)
        start = fit.at(starting_object(problem, fit))
        plan = self._plan(problem, axes, noise_of(start, axes, rng))
        if self.strength is None:
            strength, near = self._chosen(problem, start, plan, rng)
            splitting = ForwardBackward(near.here, plan, strength, near.dual)
        else:
            strength = self.strength
            splitting = ForwardBackward(start, plan, strength)
        for _ in range(self.iterations):
            done = splitting.step()
            yield Iterate(
                splitting.here.x, loss=splitting.objective, info={**splitting.info, "strength": strength}
            )
            if done:
                return

    def _plan(self, problem: Problem, axes: Axes, noise: torch.Tensor) -> Plan:
        steps = self._steps(problem, axes)
        return Plan(noise, axes, steps, self.nonnegative, self.vectorial, self.inner, self.tolerance)

    def _chosen(
        self, problem: Problem, start: Point, plan: Plan, rng: np.random.Generator
    ) -> tuple[float, ForwardBackward]:
        """The strength at which a part of the counts best predicts the others, and what to go on from."""
        fit, rough = start.fit, dataclasses.replace(plan, tolerance=_ROUGH * plan.tolerance)
        if fit.noiseless:
            raise Unsuitable(
                f"{problem.operator} states no noise to choose the strength of tv by; set it, such as to 0.8"
            )
        state = ForwardBackward(start, rough, FIRST)
        if not isinstance(fit.stated, Gaussian):  # noise depends on the mean, which a first solution gives
            self._advance(state)
        variance = fit.variance(state.here.mean)
        kept, others = thinned(fit, state.here.mean, rng)
        part = Fit(problem.replace(y=kept.cpu().numpy()), self.loss)
        trials: list[tuple[float, ForwardBackward]] = []

        def error(strength: float) -> float:
            last = trials[-1][1] if trials else state
            trial = ForwardBackward(part.at(last.here.x), rough, strength, dataclasses.replace(last.dual))
            self._advance(trial)
            found = (1 - KEPT) * fit.distance(others, trial.here.mean, variance)
            trials.append((found, trial))
            return found

        strength = KEPT**0.5 * least(error)  # what is kept is noisier than all by 1/√KEPT
        near = min(trials, key=lambda t: t[0])[1]
        near.here = fit.at(near.here.x)
        return strength, near

    def _advance(self, splitting: ForwardBackward) -> None:
        for _ in range(min(self.iterations, _TRIAL)):
            if splitting.step():
                return

    def _steps(self, problem: Problem, axes: Axes) -> tuple[float, ...]:
        """Weights of the differences along image and time axes; thick slices count the less."""
        pixel = dict(enumerate(problem.pixel_size)) if len(problem.pixel_size) == len(problem.axes) else {}
        finest = min((pixel[a] for a in axes.image if a in pixel), default=1.0)
        space = {a: finest / pixel.get(a, finest) for a in axes.image}
        return tuple(space.get(a, self.time_weight) for a in axes.across)
