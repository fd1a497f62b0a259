"""The three scenarios: what a method is told of the true state of the instrument."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import BadValue
from .modality import Modality
from .problem import Problem, Truth

SCENARIOS = ("ideal", "mismatch", "calibrated")


def pose(
    modality: Modality,
    scene: str | int,
    scenario: str = "ideal",
    *,
    seed: int = 0,
    theta: Mapping[str, float] | None = None,
) -> tuple[Problem, Truth]:
    """The problem and, apart from it, the truth of one scene in one scenario.

    The data are the same in all three: made with a true state θ* that is drawn inside the public
    ranges from scene and seed, unless ``theta`` states (some of) it. In scenario ideal the method's
    operator is H(θ*); in mismatch and calibrated it is H(nominal), with the ranges to search.
    """
    if scenario not in SCENARIOS:
        raise BadValue(f"scenario must be one of {', '.join(SCENARIOS)}, got {scenario!r}")
    true = {**modality.draw_theta(scene, seed), **(theta or {})}
    problem, truth = modality.simulate(scene, seed=seed, theta=true)
    if scenario == "ideal":
        return problem, truth
    return problem.replace(operator=problem.operator.at(modality.nominal()), ranges=modality.ranges()), truth
