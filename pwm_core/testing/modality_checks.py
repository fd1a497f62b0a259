"""Checks of a modality: its scenes, its table of model errors, how it views and aligns objects."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..modality import TIERS, Modality
from ..operator import Operator
from ..problem import Problem, Truth
from ..scoring import score
from .global_state import isolated
from .report import require
from .subject import Subject

Scene = str | int


@dataclass
class ModalitySubject(Subject):
    """An installed modality under test, at its small size."""

    _scenes: dict[Scene, tuple[Problem, Truth]] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def modality(self) -> Modality:
        return self.cls.small()

    @property
    def scenes(self) -> list[Scene]:
        """All standard scenes and a generated one."""
        return [*self.modality.scenes, 0]

    def simulated(self, scene: Scene | None = None) -> tuple[Problem, Truth]:
        """A scene (default: the first one) at seed 0, simulated once."""
        scene = self.modality.scenes[0] if scene is None else scene
        if scene not in self._scenes:
            self._scenes[scene] = self.simulate(scene, seed=0)
        return self._scenes[scene]

    def simulate(self, scene: Scene, seed: int, scramble: int = 1) -> tuple[Problem, Truth]:
        with isolated(scramble):
            return self.modality.simulate(scene, seed=seed)

    @property
    def operator(self) -> Operator:
        return self.simulated()[0].operator

    @functools.cached_property
    def x(self) -> np.ndarray:
        """The true object of the first scene, in double precision."""
        x = self.simulated()[1].x
        return x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)

    @property
    def point(self) -> dict[str, float]:
        return {s.path: s.perturbed for s in self.modality.specs}


def check_scenes_simulate(subject: ModalitySubject) -> None:
    """Every standard scene, and a generated one, gives finite data and object in the axes that are stated."""
    modality = subject.modality
    require(modality.name == subject.entry.card.name, f"the class calls itself {modality.name!r}")
    for scene in subject.scenes:
        problem, truth = subject.simulated(scene)
        y, x = problem.y, truth.x
        require(
            problem.modality == modality.name, f"scene {scene!r}: problem.modality is {problem.modality!r}"
        )
        require(
            y.ndim == len(modality.data_axes), f"scene {scene!r}: y has {y.ndim} axes, not as data_axes says"
        )
        require(
            x.ndim == len(modality.object_axes),
            f"scene {scene!r}: x has {x.ndim} axes, not as object_axes says",
        )
        require(
            x.shape == tuple(problem.shape), f"scene {scene!r}: x is {x.shape}, problem.shape {problem.shape}"
        )
        require(
            x.dtype.name == problem.dtype, f"scene {scene!r}: x is {x.dtype}, problem.dtype {problem.dtype}"
        )
        require(np.isfinite(y).all() and np.isfinite(x).all(), f"scene {scene!r}: y or x is not finite")


def check_seed_fixes_scene(subject: ModalitySubject) -> None:
    """The same scene and seed give the same measurement, whatever the global random generators hold."""
    for scene in subject.scenes:
        problem, truth = subject.simulated(scene)
        again, same = subject.simulate(scene, seed=0, scramble=2)
        equal = np.array_equal(problem.y, again.y) and np.array_equal(truth.x, same.x)
        equal = equal and problem.operator.digest() == again.operator.digest()
        require(equal, f"scene {scene!r} differs between two simulations with seed 0")


def check_other_seed_other_noise(subject: ModalitySubject) -> None:
    """Another seed gives another measurement of the same object."""
    problem, truth = subject.simulated()
    other, same = subject.simulate(subject.modality.scenes[0], seed=1)
    require(not np.array_equal(problem.y, other.y), "seeds 0 and 1 give the same data")
    require(
        np.array_equal(truth.x, same.x), "the object depends on the seed; it must depend on the scene alone"
    )


def check_operator_explains_data(subject: ModalitySubject) -> None:
    """The operator of the problem gives, at the true object, the mean about which the data scatter."""
    problem, truth = subject.simulated()
    mean = np.asarray(problem.operator(truth.x))
    require(mean.shape == problem.y.shape, f"the operator gives data {mean.shape}, y has {problem.y.shape}")
    y, mean = problem.y.astype(np.float64), mean.astype(np.float64)
    valid = np.ones(y.shape, bool) if problem.mask is None else np.broadcast_to(problem.mask, y.shape)
    scatter = float(np.sum((y - mean)[valid] ** 2))
    noise = problem.operator.noise()
    if noise is None:
        require(np.allclose(y, mean, rtol=1e-4, atol=1e-4 * np.abs(y).max()), "y is not the operator's mean")
        return
    ratio = scatter / float(np.sum(np.broadcast_to(noise.variance(mean), y.shape)[valid]))
    require(
        0.5 < ratio < 2,
        f"the data scatter about the operator's mean {ratio:.3g} times as much as its noise says",
    )


def check_traits_are_true(subject: ModalitySubject) -> None:
    """The card offers linear, complex, image and nonnegative just where the problem is so."""
    problem, truth = subject.simulated()
    offered = subject.entry.card.traits
    facts = {
        "linear": problem.operator.linear,
        "complex": problem.dtype.startswith("complex"),
        "image": tuple(problem.axes[-2:]) == ("y", "x"),
    }
    for trait, holds in facts.items():
        word = "offers" if trait in offered else "does not offer"
        require(
            (trait in offered) == holds,
            f"the card {word} {trait!r}, the problem is {'' if holds else 'not '}so",
        )
    if "nonnegative" in offered:
        require(
            not np.iscomplexobj(truth.x) and truth.x.min() >= 0,
            "the card offers 'nonnegative', the object is not",
        )


def check_parameters_act(subject: ModalitySubject) -> None:
    """Every parameter of the table is in the operator, in its unit, and moves the data in all its ranges."""
    operator, (_, truth) = subject.operator, subject.simulated()
    for s in subject.modality.specs:
        require(
            s.path in operator.parameters, f"{s.name} points at {s.path!r}, which the operator does not have"
        )
        unit = operator.parameters[s.path].unit
        require(unit == s.unit, f"{s.name} is in {s.unit!r} in the table, in {unit!r} in the operator")
        if s.nominal != s.perturbed:  # a table may list a parameter without a perturbation
            before, after = (_data(operator, truth.x, {s.path: v}) for v in (s.nominal, s.perturbed))
            same = np.array_equal(before, after)
            require(not same, f"{s.name} does not move the data from nominal to perturbed")
        for tier in TIERS:
            low, high = (_data(operator, truth.x, {s.path: end}) for end in s.range(tier))
            moved = np.linalg.norm(high - low) / np.linalg.norm(high)
            require(moved > 1e-7, f"{s.name} does not move the data across its {tier} range")


def check_views_can_be_scored(subject: ModalitySubject) -> None:
    """Objects are viewed as real images (image, y, x), and the truth scores full marks against itself."""
    problem, truth = subject.simulated()
    views = subject.modality.view(truth.x, problem)
    require(views, "view() returns no view")
    for v in views:
        require(v.images.ndim == 3, f"the view {v.name!r} has axes {v.images.shape}, expected (image, y, x)")
        real = not np.iscomplexobj(v.images) and np.isfinite(v.images).all()
        require(real, f"the view {v.name!r} of the truth is complex or not finite")
    require(len({v.name for v in views}) == len(views), "two views have the same name")
    marks = score(truth.x, problem, truth, subject.modality)
    require(
        marks.standard > 0.995,
        f"the truth itself scores {marks.standard:.3f}: {marks.psnr:.1f} dB, {marks.ssim:.3f}",
    )


def check_truth_is_aligned(subject: ModalitySubject) -> None:
    """Aligning the truth with itself changes it by less than 1e-3."""
    problem, truth = subject.simulated()
    kept = truth.x.copy()
    change = np.linalg.norm(subject.modality.align(truth.x.copy(), truth, problem) - kept) / np.linalg.norm(
        kept
    )
    require(change < 1e-3, f"align() changes the truth by {change:.2g} of its norm")
    require(np.array_equal(kept, truth.x), "align() wrote to the truth")


def check_truth_is_out_of_reach(subject: ModalitySubject) -> None:
    """No path leads from the problem to the true object."""
    problem, truth = subject.simulated()
    for path, thing in _reachable(problem, "problem", set()):
        require(not isinstance(thing, Truth), f"{path} is the truth")
        if isinstance(thing, torch.Tensor):
            thing = thing.detach().cpu().numpy()
        if isinstance(thing, np.ndarray) and thing.dtype.kind in "fciu":
            copied = thing.shape == truth.x.shape and np.allclose(thing, truth.x, rtol=1e-4)
            require(not copied and not np.shares_memory(thing, truth.x), f"{path} is the true object")


def _data(operator: Operator, x: np.ndarray, theta: dict[str, float]) -> np.ndarray:
    """What a parameter may act on: the mean of the data and the size of their noise."""
    operator = operator.at(theta)  # which checks the bounds
    mean = np.asarray(operator(x), dtype=np.float64)
    noise = operator.noise()
    return mean if noise is None else np.stack([mean, np.broadcast_to(noise.variance(mean), mean.shape)])


def _reachable(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Everything that attributes, containers, closures and the bases of arrays lead to."""
    if id(thing) in seen or isinstance(thing, (type, type(np), str, bytes, int, float, complex)):
        return
    seen.add(id(thing))
    yield path, thing
    for name, value in _parts(thing):
        yield from _reachable(value, f"{path}{name}", seen)


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, dict):
        yield from ((f"[{k!r}]", v) for k, v in thing.items())
    elif isinstance(thing, (list, tuple, set, frozenset)):
        yield from ((f"[{i}]", v) for i, v in enumerate(thing))
    elif isinstance(thing, np.ndarray):
        yield ".base", thing.base
    elif not isinstance(thing, torch.Tensor):
        yield from ((f".{k}", v) for k, v in getattr(thing, "__dict__", {}).items())
        for cell in getattr(thing, "__closure__", None) or ():
            yield ".<closure>", cell.cell_contents
        for name in ("__self__", "__defaults__", "func", "args", "keywords"):
            yield f".{name}", getattr(thing, name, None)
