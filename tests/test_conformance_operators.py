"""The conformance kit on operators: each fault trips just its own check."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pwm_core import Operator, param
from pwm_core.testing import check_operator


class Scale(Operator):
    """y = gain · x, which has every property that the kit asks for."""

    gain: float = param(2.0, low=0.0, high=10.0, doc="factor")

    def apply(self, x, gain):
        return gain * x


class WrongAdjoint(Scale):
    def _adjoint(self, y, like, theta):
        return 2 * super()._adjoint(y, like, theta)


class Affine(Scale):
    def apply(self, x, gain):
        return gain * x + 1


class LinearAfterAll(Scale):
    linear = False


class DetachedParameter(Scale):
    def apply(self, x, gain):
        return float(gain) * x if isinstance(gain, float) else gain.detach() * x


class DetachedObject(Scale):
    linear = False

    def apply(self, x, gain):
        return gain * (x.detach() ** 2 + x)


class SingleOnly(Scale):
    def apply(self, x, gain):
        return (gain * x.float()).float()


class Remembers(Scale):
    def apply(self, x, gain):
        object.__setattr__(self, "gain", float(torch.as_tensor(gain).detach()))
        return gain * x


BAD_OPERATORS: dict[type, set[str]] = {
    WrongAdjoint: {"linearity_is_declared"},
    Affine: {"linearity_is_declared"},
    LinearAfterAll: {"linearity_is_declared"},
    DetachedParameter: {"derivative_to_parameters"},
    DetachedObject: {"derivative_to_object"},
}


@pytest.mark.parametrize(("cls", "tripped"), [(Scale, set()), *BAD_OPERATORS.items()])
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_each_fault_of_an_operator_trips_its_check_alone(cls: type, tripped: set[str], dtype: type) -> None:
    x = np.linspace(1, 2, 48).reshape(6, 8).astype(dtype)
    report = check_operator(cls(name="node"), x)
    assert set(report.failed) == tripped, str(report)


@pytest.mark.parametrize(
    ("cls", "tripped"), [(SingleOnly, "borders_are_kept"), (Remembers, "operator_is_pure")]
)
def test_operators_that_lose_precision_or_keep_state_are_found(cls: type, tripped: str) -> None:
    assert tripped in check_operator(cls(name="node"), np.linspace(1, 2, 48).reshape(6, 8)).failed
