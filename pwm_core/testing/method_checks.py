"""Checks of how a method behaves when it is run, on every problem that it should be able to solve."""

from __future__ import annotations

import copy
import hashlib

import numpy as np

from ..driver import Result, run
from ..method import Iterate
from ..noise import Poisson
from ..operator import Theta
from ..problem import Problem
from .global_state import changed_parts, isolated, read_state
from .report import require
from .subject import BRIEF, Case, Subject, on_every_case


@on_every_case
def check_result_is_sound(subject: Subject, case: Case) -> None:
    """The result has the object's shape, is finite, and is complex just where the object is."""
    x, problem = subject.result(case).x, case.problem
    require(x.shape == tuple(problem.shape), f"x has shape {x.shape}, the object has {tuple(problem.shape)}")
    bad = x.size - np.count_nonzero(np.isfinite(x))
    require(bad == 0, f"{bad} of {x.size} values of x are not finite")
    kind = "complex" if problem.dtype.startswith("complex") else "real"
    require((kind == "complex") == np.iscomplexobj(x), f"x is {x.dtype}, but the object is {kind}")


@on_every_case
def check_data_fit_improves(subject: Subject, case: Case) -> None:
    """The loss falls, and the result explains the data better than the starting object did."""
    result, problem = subject.result(case), case.problem
    losses = _losses(result)
    if len(losses) > 1 and subject.entry.card.role != "denoiser":  # these trade fit for smoothness
        require(not losses[-1] > losses[0], f"the loss went from {losses[0]:.4g} up to {losses[-1]:.4g}")
    if result.x.shape != tuple(problem.shape) or not np.isfinite(result.x).all():
        return  # check_result_is_sound says so
    before = misfit(problem, problem.start.numpy())
    after = misfit(problem, result.x, result.theta)
    # Where the start already lies within the noise, it is enough that the result does so too.
    slack = 5 * (np.size(problem.y) / 2) ** 0.5 if _fits(problem) else 0.0  # of a likelihood's scatter
    limit = before + slack
    if case.truth is not None:  # a start may follow the noise closer than the truth does
        limit = max(limit, misfit(problem, case.truth.x))
    require(after < limit, f"the misfit of the data went from {before:.6g} at the start to {after:.6g}")


def _fits(problem: Problem) -> bool:
    """Whether the starting object explains the data to within their noise."""
    noise = problem.operator.noise()
    if noise is None:
        return False
    mean = problem.operator(problem.start.numpy()).astype(np.float64)
    variance = np.maximum(noise.variance(np.maximum(mean, 0)), 1e-12)
    valid = True if problem.mask is None else np.broadcast_to(problem.mask, mean.shape)
    return bool(np.mean((problem.y - mean) ** 2 / variance, where=valid) < 1.5)


@on_every_case
def check_same_seed_same_result(subject: Subject, case: Case) -> None:
    """The seed alone fixes the result, whatever the global random generators hold."""
    first, second = subject.result(case), subject.run(case, scramble=2)
    same = np.array_equal(first.x, second.x, equal_nan=True)
    same = same and np.array_equal(_losses(first), _losses(second), equal_nan=True)
    same = same and first.theta.keys() == second.theta.keys()
    same = same and all(np.array_equal(v, second.theta[k], equal_nan=True) for k, v in first.theta.items())
    require(same, "two runs with the same seed differ; draw every random number from the rng given to solve")


@on_every_case
def check_problem_untouched(subject: Subject, case: Case) -> None:
    """Nothing of the problem is written to: data, mask, starting object, operator."""
    problem = copy.deepcopy(case.problem)
    before = _fingerprint(problem)
    subject.run(case, problem=problem)
    after = _fingerprint(problem)
    changed = [part for part in before if before[part] != after[part]]
    require(not changed, f"the method wrote to problem.{' and problem.'.join(changed)}; work on a copy")


@on_every_case
def check_stops_when_told(subject: Subject, case: Case) -> None:
    """After one step there is a result, and the generator closes without complaint."""
    steps = len(subject.run(case, watch=[lambda step, iterate: False]).history)
    require(steps == 1, f"told to stop after one step, it made {steps}")


@on_every_case
def check_accepts_read_only_data(subject: Subject, case: Case) -> None:
    """It works on arrays that cannot be written to, such as a memory-mapped file."""
    problem = copy.deepcopy(case.problem)
    for array in (problem.y, problem.mask, problem.initial):
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    subject.run(case, problem=problem, iterations=BRIEF)


@on_every_case
def check_works_in_both_precisions(subject: Subject, case: Case) -> None:
    """A problem in single precision gives a result in single precision, one in double precision in double."""
    for precision, right in (("float32", ("float32", "complex64")), ("float64", ("float64", "complex128"))):
        x = subject.run(case, dtype=precision, iterations=BRIEF).x
        require(
            x.dtype.name in right,
            f"x is {x.dtype} at --dtype {precision}; build it with problem.tensor or .like",
        )


@on_every_case
def check_leaves_global_state_alone(subject: Subject, case: Case) -> None:
    """Between steps and afterwards torch's modes and all global random generators are as they were."""
    problem, method = copy.deepcopy(case.problem), subject.method(case, BRIEF)
    with isolated(seed=1):
        before = read_state()
        between: list[str] = []

        def look(step: int, iterate: Iterate) -> None:
            between.extend(changed_parts(before, read_state()))

        run(method, problem, seed=3, device="cpu", watch=[look])
        afterwards = changed_parts(before, read_state())
    require(not afterwards, f"the method changes {', '.join(afterwards)}")
    leaked = ", ".join(dict.fromkeys(between))
    require(
        not leaked,
        f"between steps the method leaves {leaked} changed; put no yield inside the block that does",
    )


def misfit(problem: Problem, x: np.ndarray, theta: Theta | None = None) -> float:
    """How badly ``x`` explains the valid data: −log likelihood, or ‖y − H(x; θ)‖² if no noise is stated."""
    y, mean = (np.asarray(a, np.result_type(a, np.float64)) for a in (problem.y, problem.operator(x, theta)))
    if problem.mask is not None:
        y, mean = np.where(problem.mask, y, 0), np.where(problem.mask, mean, 0)
    noise = problem.operator.noise(theta)
    if noise is None:
        return float(np.sum(np.abs(y - mean) ** 2))
    if isinstance(noise, Poisson):
        mean = np.maximum(mean, 0)  # a little ringing below zero is no proof against an object
    return float(noise.nll(y, mean))


def _losses(result: Result) -> list[float]:
    return [row["loss"] for row in result.history if "loss" in row]


def _fingerprint(problem: Problem) -> dict[str, str]:
    arrays = {"y": problem.y, "mask": problem.mask, "initial": problem.initial}
    prints = {k: hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest() for k, a in arrays.items()}
    return {**prints, "operator": problem.operator.digest()}
