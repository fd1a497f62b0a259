"""How good a network is on scenes that it is not trained on, beside classical methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pwm_core import metrics
from pwm_core.methods import build, find_method
from pwm_core.modality import Modality
from pwm_core.problem import Problem, Truth
from pwm_core.registry import installed

from ..features import Features, features, works_on_data
from ..method import estimate, inverted
from ..network import Network
from ..predict import corrections
from .examples import FIRST_VALIDATION, Source, estimate_for

SCENES = 8


@dataclass(frozen=True)
class Case:
    """One scene for validation, its features made once."""

    modality: Modality
    problem: Problem
    truth: Truth
    features: Features

    def psnr(self, x: Tensor | np.ndarray) -> float:
        """Of the view that is scored, in dB."""
        aligned = self.modality.align(np.asarray(x), self.truth, self.problem)
        views = (self.modality.view(a, self.problem)[0].images for a in (aligned, self.truth.x))
        return metrics.psnr(*views)


@dataclass(frozen=True)
class Validation:
    """Scenes whose numbers training never uses, under the same variety of instruments."""

    cases: list[Case]

    @classmethod
    def of(cls, source: Source, scenes: int = SCENES) -> Validation:
        cases = []
        for number in range(FIRST_VALIDATION, FIRST_VALIDATION + scenes):
            modality, problem, truth, _ = source.pose(number)
            less = problem.reduced()
            rng = np.random.default_rng(0)
            seen = features(less, estimate(estimate_for(problem), less, rng))
            cases.append(Case(modality, problem, truth, seen))
        return cls(cases)

    def of_network(self, network: Network, frames: int) -> float:
        """Mean PSNR (dB) of the network's results; of the estimates alone with a new network."""
        return self._mean(lambda case: _solved(case, corrections(network, case.features, frames)))

    def of_estimate(self) -> float:
        return self._mean(lambda case: _solved(case, torch.zeros_like(case.features.estimate)))

    def of_method(self, name: str) -> float:
        """Mean PSNR (dB) of a classical method with its defaults."""

        def solve(case: Case) -> Tensor | np.ndarray:
            *_, last = build(find_method(installed(), name), {}).solve(case.problem, np.random.default_rng(0))
            return last.x

        return self._mean(solve)

    def _mean(self, solve) -> float:  # type: ignore[no-untyped-def]
        return float(np.mean([case.psnr(solve(case)) for case in self.cases]))


def _solved(case: Case, correction: Tensor) -> Tensor:
    problem = case.problem.reduced()
    images = case.features.object(correction).reshape(problem.shape)
    return inverted(problem, images) if works_on_data(problem) else images
