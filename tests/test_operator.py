"""The operator algebra: composition, sums, named parameters, derivatives and description."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pwm_core import Operator, Poisson, param
from pwm_core.errors import BadValue, UnknownName
from pwm_core.operator import walk

X = np.random.default_rng(0).random((3, 4))


class Scale(Operator):
    symbol = "M"

    factor: float = param(2.0, low=-10.0, high=10.0, unit="a.u.", symbol="f", doc="multiplies")
    mask: np.ndarray | None = None

    def apply(self, x: torch.Tensor, factor: Any) -> torch.Tensor:
        return factor * x if self.mask is None else factor * x * torch.as_tensor(self.mask)


class Roll(Operator):
    symbol = "R"

    steps: int = 1

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return x.roll(self.steps, dims=-1)


class Power(Operator):
    symbol = "D"
    linear = False

    exponent: float = param(3.0, low=0.0)
    idle: float = param(1.0)

    def apply(self, x: torch.Tensor, exponent: Any, idle: Any) -> torch.Tensor:
        return x**exponent

    def noise(self, theta: Any = None) -> Poisson:
        return Poisson(gain=2.0)


class Weights(Operator):
    symbol = "W"

    values_: np.ndarray = param(None, symbol="w", doc="one weight a column")
    unset: float | None = param(None)

    def apply(self, x: torch.Tensor, values_: Any, unset: Any) -> torch.Tensor:
        assert unset is None
        return x * values_


def test_the_right_operator_acts_first():
    scale, roll = Scale(mask=np.arange(4.0)), Roll()
    np.testing.assert_array_equal((roll @ scale)(X), np.roll(2 * X * np.arange(4), 1, axis=1))
    np.testing.assert_array_equal((scale @ roll)(X), 2 * np.roll(X, 1, axis=1) * np.arange(4))
    assert str(roll @ scale) == "M → R"


def test_composition_is_associative_and_flattens_in_order():
    a, b, c = Scale(name="a"), Roll(name="b"), Power(name="c")
    left, right = (c @ b) @ a, c @ (b @ a)
    assert [n.name for n in left.nodes()] == [n.name for n in right.nodes()] == ["a", "b", "c"]
    assert str(left) == str(right) == "M(a) → R(b) → D(c)"
    np.testing.assert_array_equal(left(X), right(X))


def test_a_sum_adds_the_data_of_its_branches():
    total = Scale(name="a") + Roll() @ Scale(name="b", factor=3.0)
    np.testing.assert_allclose(total(X), 2 * X + 3 * np.roll(X, 1, axis=1))
    assert str(total) == "(M(a) + M(b) → R)"
    assert set(total.parameters) == {"a.factor", "b.factor"}


def test_linear_only_if_every_part_is():
    assert (Scale() @ Roll()).linear
    assert (Scale(name="a") + Scale(name="b")).linear
    assert not (Power() @ Roll()).linear
    assert not (Scale() + Power()).linear


def test_a_node_used_twice_is_one_node_with_one_parameter():
    shared = Scale(name="s")
    graph = shared @ Roll() @ shared + shared
    assert [n for n in graph.nodes() if n.name == "s"] == [shared]
    assert list(graph.parameters) == ["s.factor"]
    np.testing.assert_allclose(graph(X, {"s.factor": 3.0}), 9 * np.roll(X, 1, axis=1) + 3 * X)
    assert sum(n["type"].endswith(":Scale") for n in graph.graph()["nodes"]) == 1


def test_at_keeps_a_shared_node_shared_and_untouched_branches_as_they_are():
    shared, other = Scale(name="s"), Scale(name="o")
    branch = Roll() @ other
    graph = (shared @ branch) + shared
    moved = graph.at({"s.factor": 5.0})
    assert len([n for n in moved.nodes() if n.name == "s"]) == 1
    assert moved.theta == {"o.factor": 2.0, "s.factor": 5.0}
    assert moved.left.inner is branch
    assert graph.theta["s.factor"] == 2.0
    assert graph.at(None) is graph
    np.testing.assert_allclose(moved(X), graph(X, {"s.factor": 5.0}))


def test_two_nodes_with_the_same_parameter_name_are_refused():
    with pytest.raises(BadValue, match=r"'psf.factor'.*name="):
        _ = (Scale(name="psf") @ Scale(name="psf")).parameters
    with pytest.raises(BadValue, match="'factor'"):
        _ = (Scale() + Scale()).parameters


@pytest.mark.parametrize(
    "use",
    [
        lambda h, t: h(X, t),
        lambda h, t: h.at(t),
        lambda h, t: h.adjoint(X, X, t),
        lambda h, t: h.vjp(X, X, t),
        lambda h, t: h.jvp(X, dtheta=t),
        lambda h, t: h.sample(X, np.random.default_rng(0), t),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_closest_one(use: Any):
    with pytest.raises(UnknownName, match=r"'psf.facter'; did you mean 'psf.factor'\?"):
        use(Roll() @ Scale(name="psf"), {"psf.facter": 1.0})
    with pytest.raises(UnknownName, match=r"it has psf.factor"):
        use(Roll() @ Scale(name="psf"), {"zzz": 1.0})


def test_parameters_carry_unit_bounds_symbol_and_help():
    p = (Roll() @ Scale(name="psf")).parameters["psf.factor"]
    assert (p.nominal, p.unit, p.low, p.high, p.symbol, p.doc) == (
        2.0,
        "a.u.",
        -10.0,
        10.0,
        "f",
        "multiplies",
    )


def test_values_out_of_bounds_are_refused_where_they_become_nominal():
    with pytest.raises(BadValue, match=r"factor must be float in \[-10, 10\] a.u."):
        Scale(name="psf").at({"psf.factor": 11.0})


def test_a_node_is_found_by_name():
    graph = Roll() @ Scale(name="psf")
    assert graph.node("psf") is graph.nodes()[0]
    with pytest.raises(UnknownName, match="it has psf"):
        graph.node("probe")


@settings(max_examples=30, deadline=None)
@given(
    x=arrays(np.float64, (2, 5), elements=st.floats(-10, 10)),
    y=arrays(np.float64, (2, 5), elements=st.floats(-10, 10)),
    factor=st.floats(-5, 5),
)
def test_adjoint_of_any_linear_graph_passes_the_dot_test(x: np.ndarray, y: np.ndarray, factor: float):
    graph = Roll(steps=2) @ Scale(name="a", mask=np.arange(5.0)) + Scale(name="b") @ Roll()
    theta = {"a.factor": factor}
    assert np.vdot(graph(x, theta), y) == pytest.approx(np.vdot(x, graph.adjoint(y, x, theta)), abs=1e-9)


def test_adjoint_of_a_nonlinear_operator_is_refused():
    with pytest.raises(BadValue, match=r"not linear.*vjp"):
        (Power() @ Roll()).adjoint(X, X)


def test_derivatives_are_exact_in_double_precision():
    """0.3 has no exact single-precision value: one that passed through float32 is off by 1e-8."""
    graph = Power(name="d") @ Scale(name="s", factor=0.3)
    ones = np.ones_like(X)
    back, slopes = graph.vjp(X, ones)
    np.testing.assert_allclose(back, 3 * 0.3**3 * X**2, rtol=1e-14)
    assert slopes["s.factor"] == pytest.approx((3 * 0.3**2 * X**3).sum(), rel=1e-14)
    np.testing.assert_allclose(graph.jvp(X, dtheta={"s.factor": 1.0}), 3 * 0.3**2 * X**3, rtol=1e-14)
    np.testing.assert_allclose(graph.jvp(X, X, {"s.factor": 0.3}), 6 * (0.3 * X) ** 3, rtol=1e-14)


def test_vjp_covers_every_scalar_parameter_or_those_asked_for():
    graph = Power(name="d") @ Scale(name="s")
    slopes = graph.vjp(X, X)[1]
    assert list(slopes) == ["s.factor", "d.exponent", "d.idle"]
    assert slopes["d.idle"] == 0  # without influence
    assert list(graph.vjp(X, X, wrt=["d.exponent"])[1]) == ["d.exponent"]


def test_an_array_parameter_is_differentiated_when_asked_for_and_one_that_is_unset_is_left_out():
    node = Weights(name="w", values_=np.arange(4.0))
    assert node.vjp(X, X)[1] == {}
    slopes = node.vjp(X, X, wrt=["w.values_"])[1]
    np.testing.assert_allclose(slopes["w.values_"], (X * X).sum(0))
    np.testing.assert_allclose(node(X, {"w.values_": np.ones(4)}), X)


def test_gradients_flow_through_tensors_given_as_parameters():
    factor = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    x = torch.from_numpy(X).float()
    y = Scale(name="s")(x, {"s.factor": factor})
    assert y.dtype == torch.float32
    y.sum().backward()
    assert float(factor.grad) == pytest.approx(X.sum(), rel=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_numpy_in_numpy_out_of_the_same_precision_even_when_read_only(dtype: type):
    x = X.astype(dtype)
    x.flags.writeable = False
    graph = Scale(name="s") @ Roll()
    for y in (graph(x), graph.adjoint(x, x), graph.vjp(x, x)[0], graph.jvp(x, x)):
        assert isinstance(y, np.ndarray)
        assert y.dtype == dtype
    np.testing.assert_array_equal(graph(x[:, ::-1]), np.roll(2 * x[:, ::-1], 1, axis=1))  # any memory layout


def test_tensor_in_tensor_out():
    t = torch.from_numpy(X)
    graph = Scale(name="s") @ Roll()
    results = (graph(t), graph.adjoint(t, t), graph.vjp(t, t)[0], graph.jvp(t, t))
    assert all(isinstance(y, torch.Tensor) and y.dtype == t.dtype for y in results)


def test_noise_is_that_of_the_last_node_and_samples_come_from_it():
    graph = Power(exponent=1.0) @ Scale(name="s", factor=10.0)
    assert isinstance(graph.noise(), Poisson)
    assert (Scale(name="s") @ Power()).noise() is None
    a, b = (graph.sample(np.ones((4, 5)), np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(a, b)
    assert np.array_equal(a % 2, np.zeros((4, 5)))  # whole quanta of two counts
    assert np.array_equal((Scale() @ Roll()).sample(X, np.random.default_rng(0)), (Scale() @ Roll())(X))


def test_digest_changes_with_every_value_array_and_link():
    mask = np.arange(4.0)
    shared = Scale(name="s", mask=mask)
    variants = [
        Roll() @ shared,
        Roll() @ Scale(name="s", mask=mask, factor=2.5),
        Roll() @ Scale(name="t", mask=mask),
        Roll() @ Scale(name="s", mask=mask + 1e-12),
        Roll() @ Scale(name="s", mask=mask.astype(np.float32)),
        Roll() @ Scale(name="s", mask=mask[None]),
        Roll(steps=2) @ shared,
        shared @ Roll(),
        shared + Roll(),
        shared @ Roll() @ shared,
        shared @ Roll() @ Scale(name="s", mask=mask),
    ]
    assert len({v.digest() for v in variants}) == len(variants)
    assert variants[0].digest() == (Roll() @ Scale(name="s", mask=mask.copy())).digest()
    assert variants[0].at({"s.factor": 2.5}).digest() == variants[1].digest()


def test_graph_is_plain_json_with_numpy_scalars_and_arrays_described():
    graph = (Roll(steps=np.int64(2)) @ Scale(name="s", factor=np.float32(0.5), mask=np.ones(4))).graph()  # type: ignore[arg-type]
    plain = json.loads(json.dumps(graph))
    root = plain["nodes"][plain["root"]]
    inner = plain["nodes"][root["fields"]["inner"]["node"]]
    assert inner["fields"]["factor"] == 0.5
    assert inner["fields"]["mask"] == {"array": {"shape": [4], "dtype": "float64"}}
    assert plain["nodes"][root["fields"]["outer"]["node"]]["fields"]["steps"] == 2
    assert plain["text"] == "M(s) → R"


def test_a_group_prints_as_its_label_and_opens_when_asked():
    group = (Roll(label="scan") @ Scale(name="a")).labelled("P(probe)")
    whole = Power(label="g, η₁") @ group
    assert str(whole) == "P(probe) → D(g, η₁)"
    assert whole.expanded() == "M(a) → R(scan) → D(g, η₁)"
    assert set(whole.parameters) == {"a.factor", "exponent", "idle"}
    np.testing.assert_allclose(group(X), (Roll() @ Scale())(X))


def test_walk_meets_groups_and_nodes_outermost_first():
    inner = Roll() @ Scale(name="s")
    whole = Power() @ inner
    assert list(walk(whole)) == [whole, inner, *inner.parts, whole.outer]


def test_an_operator_without_physics_says_so():
    with pytest.raises(TypeError, match="does not define apply"):
        Operator()(X)


def test_an_operator_has_no_estimates_of_its_parameters_unless_it_says_so():
    class Telling(Scale):
        def estimate(self, y: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
            return {"scale.factor": float(np.mean(y)), "std:scale.factor": 0.1}

    assert Scale(name="scale").estimate(X) == {}
    assert (Roll() @ Scale(name="scale")).estimate(X) == {}
    assert Telling(name="scale").estimate(X)["scale.factor"] == X.mean()
