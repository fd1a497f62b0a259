"""What is checked: an installed entry, with the problems that it is tried on."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..calibrated import Calibrated
from ..driver import Result, run
from ..errors import Unsuitable
from ..method import Reconstructor
from ..plug_and_play import PlugAndPlay
from ..problem import Problem, Truth
from ..registry import Entry, installed
from ..scenario import pose
from ..settings import params
from .global_state import isolated
from .problems import own_modalities, own_solver
from .report import Check, CheckFailed

FEW = 8  # iterations that a method is given
BRIEF = 2  # where it matters only that it runs


class Case(NamedTuple):
    """A small problem to try a method on."""

    modality: str
    problem: Problem
    reconstructor: Reconstructor | None = None  # what a calibrator drives
    truth: Truth | None = None  # no method sees it

    def __str__(self) -> str:
        return f"{self.modality}, scene {self.problem.name!r}" if self.problem.name else self.modality


@dataclass
class Subject:
    """An installed entry under test; what is expensive is made once."""

    entry: Entry
    _runs: dict[str, Result] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def cls(self) -> Any:
        return self.entry.load()

    @functools.cached_property
    def cases(self) -> list[Case]:
        """A small problem of every installed modality that suits; the kit's own ones if none does."""
        found = installed()
        suiting = [m for m in found.of("modality") if self._suits(m)]
        cases = [self._case(m, next(found.suitable(m, "reconstructor"), None)) for m in suiting]
        if not any(cases):
            cases = [
                self._case(m, own_solver()) for m in own_modalities(self.entry.card.role) if self._suits(m)
            ]
        if not any(cases):
            needs = ", ".join(sorted(self.entry.card.traits))
            raise Unsuitable(f"no installed modality offers {needs}; install one that does, to try it on")
        return [c for c in cases if c is not None]

    def _case(self, modality_entry: Entry, solver: Entry | None) -> Case | None:
        """The modality's first scene; for a calibrator with a perturbed instrument, if a method solves it."""
        modality = modality_entry.load().small()
        name, scene = modality_entry.card.name, modality.scenes[0]
        if self.entry.card.role != "calibrator":
            problem, truth = modality.simulate(scene, seed=0)
            return Case(name, problem, truth=truth)
        if solver is None or not modality.specs:
            return None
        perturbed = {s.path: s.perturbed for s in modality.specs}
        problem, _ = pose(modality, scene, "mismatch", theta=perturbed)
        return Case(name, problem, few_iterations(solver.load()()))

    def _suits(self, modality: Entry) -> bool:
        lifted = {"image", "real"} if self.entry.card.role == "denoiser" else set()
        card = self.entry.card
        return card._replace(traits=card.traits | lifted).suits(modality.card)

    def method(self, case: Case, iterations: int = FEW) -> Reconstructor:
        """What the driver runs: the method with few iterations, or the reconstructor made of it."""
        if self.entry.card.role == "denoiser":
            return PlugAndPlay(denoiser=self.cls(), iterations=min(iterations, 4), cg_steps=5)
        if self.entry.card.role == "calibrator":
            assert case.reconstructor is not None
            return Calibrated(
                calibrator=few_iterations(self.cls(), iterations), reconstructor=case.reconstructor
            )
        return few_iterations(self.cls(), iterations)

    def run(
        self,
        case: Case,
        *,
        problem: Problem | None = None,
        iterations: int = FEW,
        scramble: int = 1,
        **options: Any,
    ) -> Result:
        """Run the method on a copy of the problem, with the global generators at ``scramble``."""
        problem = copy.deepcopy(case.problem) if problem is None else problem
        with isolated(scramble):
            return run(self.method(case, iterations), problem, seed=3, device="cpu", **options)

    def result(self, case: Case) -> Result:
        """The plain run of this case, made once."""
        key = str(case)
        if key not in self._runs:
            self._runs[key] = self.run(case)
        return self._runs[key]


def on_every_case(rule: Callable[[Subject, Case], None]) -> Check:
    """Make a check of a rule about one problem: it must hold on all, and says on which one it does not."""

    @functools.wraps(rule)
    def check(subject: Subject) -> None:
        for case in subject.cases:
            try:
                rule(subject, case)
            except CheckFailed as error:
                raise CheckFailed(f"on {case}: {error}") from None
            except Exception as error:
                error.add_note(f"on {case}")
                raise

    return check


def few_iterations(settings: Any, most: int = FEW) -> Any:
    """The same settings with at most so many iterations, if they have a number of iterations."""
    for f in params(type(settings)):
        if f.name == "iterations" and isinstance(settings.iterations, int):
            return settings.replace(
                iterations=max(min(settings.iterations, most), int(max(f.metadata["low"], 1)))
            )
    return settings
