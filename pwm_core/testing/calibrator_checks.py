"""Checks of a calibrator, which drives a reconstructor on an instrument that is not as it was assumed."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from ..driver import to_numpy
from ..method import Iterate
from ..problem import Problem
from .global_state import isolated
from .method_checks import misfit
from .report import require
from .subject import Case, Subject, on_every_case


@on_every_case
def check_theta_stays_in_range(subject: Subject, case: Case) -> None:
    """Every iterate carries finite parameters that the operator has, those with a range inside it."""
    problem = case.problem
    for step, iterate in enumerate(_iterates(subject, case), start=1):
        require(iterate.theta, f"step {step} yields no theta")
        for name, value in (iterate.theta or {}).items():
            known = problem.operator.parameters
            require(name in known, f"theta has {name!r}, which is no parameter of the operator")
            number = to_numpy(value)
            require(np.isfinite(number).all(), f"{name} is {value} at step {step}")
            if name not in problem.ranges:  # what the reconstructor retrieves by itself, such as a probe
                continue
            low, high = problem.ranges[name]
            inside = (low <= number).all() and (number <= high).all()
            require(inside, f"{name} = {value} at step {step} is outside its range, {low:g} to {high:g}")


@on_every_case
def check_likelihood_improves(subject: Subject, case: Case) -> None:
    """The data are likelier at the estimated parameters than at the assumed ones, each with its object."""
    assert case.reconstructor is not None
    last = _iterates(subject, case)[-1]
    theta = {k: to_numpy(v) if np.ndim(v) else float(v) for k, v in (last.theta or {}).items()}
    before = misfit(case.problem, _solved(case, case.problem.operator.theta))
    after = misfit(case.problem, _solved(case, theta), theta)
    # A step that the data ask for pays; one that they cannot tell from none may cost what chance does.
    moved = _moved(last, case.problem)
    chance = (np.size(case.problem.y) / 2) ** 0.5 if moved is not False else 0.0
    require(
        after < before + chance,
        f"the misfit of the data went from {before:.6g} at the nominal parameters to {after:.6g}",
    )


@on_every_case
def check_states_what_data_determine(subject: Subject, case: Case) -> None:
    """The last iterate's info has the standard error of every parameter, as ``std:`` and its name."""
    last = _iterates(subject, case)[-1]
    for name in case.problem.ranges:
        error = last.info.get(f"std:{name}")
        require(error is not None, f"the last iterate's info has no 'std:{name}'")
        require(error is not None and not math.isnan(error) and error >= 0, f"std:{name} is {error}")


def _moved(last: Iterate, problem: Problem) -> bool | None:
    """Whether a parameter that the data determine has left its nominal value; None if they determine none."""
    errors = {name: last.info.get(f"std:{name}", 0.0) for name in problem.ranges}
    stated = {name: e for name, e in errors.items() if math.isfinite(e)}
    if not stated:
        return None
    theta, nominal = last.theta or {}, problem.operator.theta
    return any(abs(float(theta.get(name, nominal[name])) - nominal[name]) > e for name, e in stated.items())


def _iterates(subject: Subject, case: Case) -> list[Iterate]:
    problem, method = copy.deepcopy(case.problem), subject.method(case)
    with isolated(seed=1):
        found = list(method.solve(problem, np.random.default_rng(3)))
    require(found, "solve ended without a single step")
    return found


def _solved(case: Case, theta: dict[str, Any]) -> np.ndarray:
    """The object that the case's reconstructor finds with an operator at these parameters."""
    assert case.reconstructor is not None
    problem = copy.deepcopy(case.problem)
    problem = problem.replace(operator=problem.operator.at(theta))
    x = None
    with isolated(seed=1):
        for iterate in case.reconstructor.solve(problem, np.random.default_rng(3)):
            x = iterate.x
    return to_numpy(x)
