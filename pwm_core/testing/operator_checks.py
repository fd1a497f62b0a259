"""Checks of an operator at one object: borders, purity, linearity and derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from ..errors import UnknownName
from ..operator import Operator
from .report import require


class HasOperator(Protocol):
    """What these checks look at: an operator, an object, and the θ at which derivatives are taken."""

    @property
    def operator(self) -> Operator: ...
    @property
    def x(self) -> np.ndarray: ...
    @property
    def point(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class OperatorSubject:
    """An operator on its own, in double precision."""

    operator: Operator
    x: np.ndarray
    point: Mapping[str, float] = field(default_factory=dict)


def check_borders_are_kept(subject: HasOperator) -> None:
    """NumPy in gives NumPy out, a tensor a tensor of equal values, both in the precision of the object."""
    operator, x = subject.operator, subject.x
    y, t = operator(x), operator(torch.from_numpy(x.copy()))
    require(isinstance(y, np.ndarray), f"a NumPy object gives {type(y).__name__}")
    require(isinstance(t, torch.Tensor), f"a tensor gives {type(t).__name__}")
    require(np.allclose(y, t.detach().numpy()), "a NumPy object and the same tensor give different data")
    single = operator(x.astype(np.complex64 if np.iscomplexobj(x) else np.float32))
    for data, right in ((y, ("float64", "complex128")), (single, ("float32", "complex64"))):
        require(data.dtype.name in right, f"an object in {right[0]} or {right[1]} gives data in {data.dtype}")


def check_operator_is_pure(subject: HasOperator) -> None:
    """Parameters are arguments, not state: evaluation changes neither the operator nor its input."""
    operator, x = subject.operator, subject.x.copy()
    digest, y = operator.digest(), operator(x)
    operator(
        x, {k: v + _inward(operator, k, v, 0.05) for k, v in inner_point(operator, subject.point).items()}
    )
    require(
        np.array_equal(operator(x), y), "the data at the nominal parameters changed after another evaluation"
    )
    require(operator.digest() == digest, "the operator changed while it was evaluated")
    require(np.array_equal(x, subject.x), "the operator wrote to the object")


def check_unknown_parameter_refused(subject: HasOperator) -> None:
    """A parameter that does not exist raises UnknownName."""
    try:
        subject.operator(subject.x, {"no-such.parameter": 1.0})
    except UnknownName:
        return
    require(False, "the operator accepts theta={'no-such.parameter': 1.0}")


def check_linearity_is_declared(subject: HasOperator) -> None:
    """``linear`` is true just where superposition holds, and then the adjoint passes the dot test."""
    operator, rng = subject.operator, np.random.default_rng(1)
    scale = np.sqrt(np.mean(np.abs(subject.x) ** 2)) or 1.0
    a, b = scale * _random(subject.x, rng), subject.x
    ya, yb = operator(a), operator(b)
    gap = np.linalg.norm(operator(2 * a - 3 * b) - (2 * ya - 3 * yb)) / np.linalg.norm(2 * ya - 3 * yb)
    if not operator.linear:
        require(
            gap > 1e-9, "linear is False, but superposition holds; with linear = True more methods would suit"
        )
        return
    require(gap < 1e-6, f"linear is True, but H(2a − 3b) differs from 2 H(a) − 3 H(b) by {gap:.2g} of it")
    v = _random(ya, rng)
    left, right = np.vdot(v, ya).real, np.vdot(operator.adjoint(v, a), a).real
    gap = abs(left - right) / (np.linalg.norm(v) * np.linalg.norm(ya))
    require(gap < 1e-8, f"the dot test fails: ⟨v, H a⟩ = {left:.8g}, ⟨Hᴴ v, a⟩ = {right:.8g}")


def check_derivative_to_object(subject: HasOperator) -> None:
    """The gradient to the object agrees with finite differences along a random direction, to 1e-3."""
    operator, x, rng = subject.operator, subject.x, np.random.default_rng(2)
    point = inner_point(operator, subject.point)
    v = _random(operator(x), rng)
    gradient = operator.vjp(x, v, point, wrt=[])[0]
    norm = np.linalg.norm(gradient)
    require(np.isfinite(norm), "the gradient to the object is not finite")
    direction = _random(x, rng)
    direction = direction / np.linalg.norm(direction) + gradient / (norm or 1.0)
    exact = float(np.vdot(gradient, direction).real)
    scale = float(np.linalg.norm(x)) or 1.0

    def along(t: float) -> float:
        return float(np.vdot(v, operator(x + t * direction, point)).real)

    _compare("the gradient to the object", exact, along, 0.0, scale)


def check_derivative_to_parameters(subject: HasOperator) -> None:
    """The gradient to every continuous parameter agrees with finite differences, to 1e-3."""
    operator, x, rng = subject.operator, subject.x, np.random.default_rng(3)
    point = inner_point(operator, subject.point)
    v = _random(operator(x), rng)
    gradients = operator.vjp(x, v, point, wrt=list(point))[1]
    for name, at in point.items():

        def along(t: float, name: str = name) -> float:
            return float(np.vdot(v, operator(x, {**point, name: t})).real)

        _compare(f"the derivative to {name}", float(gradients[name]), along, at, _scale(operator, name, at))


def inner_point(operator: Operator, wanted: Mapping[str, float]) -> dict[str, float]:
    """Values of all continuous parameters, each as wanted or nominal, and strictly inside its bounds."""
    point = {}
    for name, p in operator.parameters.items():
        if isinstance(p.nominal, float):
            value = float(wanted.get(name, p.nominal))
            outside = value <= p.low or value >= p.high
            point[name] = value + _inward(operator, name, value, 0.1) if outside else value
    return point


def _inward(operator: Operator, name: str, value: float, part: float) -> float:
    """A step, by this part of the range if it is finite, that does not lead out of the bounds."""
    p = operator.parameters[name]
    step = part * (p.high - p.low if math.isfinite(p.high - p.low) else max(1.0, abs(value)))
    return step if value + step < p.high else -step


def _scale(operator: Operator, name: str, at: float) -> float:
    p = operator.parameters[name]
    span = p.high - p.low
    return max(abs(at), 0.01 * span) if math.isfinite(span) else abs(at) or 1.0


def _compare(what: str, exact: float, along: Callable[[float], float], at: float, scale: float) -> None:
    """The exact slope against central differences at several steps, of which the best one counts."""
    require(math.isfinite(exact), f"{what} is {exact}")
    size = max(abs(along(at)), abs(exact) * scale)
    slopes = []
    for step in scale * np.logspace(-2, -7, 6):
        slope = (along(at + step) - along(at - step)) / (2 * step)
        slopes.append(slope)
        rounding = 1e-14 * size / step  # of the difference of two such numbers
        if abs(slope - exact) <= 1e-3 * abs(exact) + rounding:
            return
    best = min(slopes, key=lambda s: abs(s - exact))
    require(False, f"{what} is {exact:.6g}, finite differences give {best:.6g}")


def _random(like: np.ndarray, rng: np.random.Generator) -> Any:
    """Standard normal numbers of the array's shape, complex if it is."""
    a = rng.standard_normal(like.shape)
    return a + 1j * rng.standard_normal(like.shape) if np.iscomplexobj(like) else a
