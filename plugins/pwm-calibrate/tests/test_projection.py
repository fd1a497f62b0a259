"""What the object explains is taken out of residuals and sensitivities, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pwm_calibrate.linear import Linearised, Projection, State, inner, weights
from pwm_calibrate.view import View, promise

from pwm_core import Gaussian, Poisson
from pwm_core.operator import Operator
from pwm_core.problem import Problem
from pwm_core.settings import param
from pwm_core.testing.problems import DitheredWidefield


class Tall(Operator):
    """A matrix, more rows than columns, times the object; ``tilt`` adds part of a second matrix."""

    linear = True
    first: np.ndarray
    second: np.ndarray
    tilt: float = param(0.0, low=-5.0, high=5.0, unit="1", doc="part of the second matrix")

    def apply(self, x, tilt):
        first, second = (torch.from_numpy(m) for m in (self.first, self.second))
        return (first + tilt * second) @ x


def tall(rng):
    return Tall(name="m", first=rng.standard_normal((40, 12)), second=rng.standard_normal((40, 12)))


def test_projection_equals_weighted_least_squares():
    rng = np.random.default_rng(1)
    operator, v, w = tall(rng), rng.standard_normal(40), rng.uniform(0.1, 10, 40)
    at = Linearised(operator, State(torch.zeros(12, dtype=torch.float64), {}), {})
    project = Projection(at, torch.from_numpy(w), rng, gain=1e-9)
    root = np.sqrt(w)
    fitted = np.linalg.lstsq(root[:, None] * operator.first, root * v, rcond=None)[0]
    np.testing.assert_allclose(project(torch.from_numpy(v)), v - operator.first @ fitted, atol=1e-6)


def test_what_the_object_can_do_leaves_nothing_and_the_rest_stays():
    rng = np.random.default_rng(2)
    operator, w = tall(rng), torch.ones(40, dtype=torch.float64)
    at = Linearised(operator, State(torch.zeros(12, dtype=torch.float64), {}), {})
    project = Projection(at, w, rng, gain=1e-9)
    inside = torch.from_numpy(operator.first @ rng.standard_normal(12))
    assert project.energy(project(inside)) < 1e-12 * project.energy(inside)
    left = project(torch.from_numpy(rng.standard_normal(40)))
    torch.testing.assert_close(project(left), left, atol=1e-6, rtol=0)


def test_sensitivity_is_the_finite_difference():
    rng = np.random.default_rng(3)
    operator, x = tall(rng), torch.from_numpy(rng.standard_normal(12))
    at = Linearised(operator, State(x, {}), {"m.tilt": 0.5})
    change = operator(x, {"m.tilt": 0.5 + 1e-6}) - operator(x, {"m.tilt": 0.5 - 1e-6})
    torch.testing.assert_close(at.sensitivity("m.tilt", 2e-6), change, atol=1e-9, rtol=0)


class Fading(Operator):
    """Components that the data show ever less of, and a last datum that no object changes."""

    linear = True
    gains: np.ndarray

    def apply(self, x):
        return torch.cat([torch.from_numpy(self.gains) * x, 0 * x[:1]])


@pytest.mark.parametrize("own", [0.0, 60.0])
def test_what_a_slow_solver_leaves_counts_only_if_the_object_cannot_explain_it(own):
    """After 300 steps 48 of 300 000 are left that more steps would explain, whatever else there is."""
    n = 20_000
    gains = np.linspace(0, 1, n + 1)[1:] ** 2
    at = Linearised(Fading(name="f", gains=gains), State(torch.zeros(n, dtype=torch.float64), {}), {})
    project = Projection(at, torch.ones(n + 1, dtype=torch.float64), np.random.default_rng(0))
    effect = np.sqrt(3e5 * gains / gains.sum())
    left, part = project.sensitivity(torch.from_numpy(np.append(effect, own**0.5)))
    if own:
        assert own < project.energy(left) < 2 * own
        assert part is not None
    else:
        assert project.energy(left) == 0
        assert part is None


def test_retrieved_arrays_are_as_free_as_the_object():
    class Product(Operator):
        linear = False
        field: np.ndarray = param(unit="1", doc="multiplies")

        def apply(self, x, field):
            return x * torch.as_tensor(field)

    rng = np.random.default_rng(4)
    x, field = (torch.from_numpy(rng.uniform(1, 2, (6, 6))) for _ in "xf")
    state = State(torch.zeros_like(x), {"p.field": field})
    project = Projection(
        Linearised(Product(name="p", field=np.ones((6, 6))), state, {}), torch.ones_like(x), rng, gain=1e-9
    )
    v = torch.from_numpy(rng.standard_normal((6, 6)))
    assert project.energy(project(v)) < 1e-10 * project.energy(v)  # through the object: its factor is not 0
    dark = State(x, {"p.field": torch.zeros_like(field)})
    project = Projection(
        Linearised(Product(name="p", field=np.ones((6, 6))), dark, {}), torch.ones_like(x), rng, gain=1e-9
    )
    assert project.energy(project(v)) < 1e-10 * project.energy(v)  # through the array: the object's factor is


@pytest.mark.parametrize(
    ("noise", "expected"), [(Gaussian(sigma=2.0), 0.25), (Poisson(gain=2.0, readout=3.0), 1 / (2 * 8 + 9))]
)
def test_weights_are_inverse_variances_and_zero_where_not_valid(noise, expected):
    class Noisy(Operator):
        def apply(self, x):
            return x

        def noise(self, theta=None):
            return noise

    y = np.full((4, 4), 8.0)
    mask = np.ones((4, 4), bool)
    mask[1, 2] = False
    problem = Problem(y, Noisy(), "any", (4, 4), dtype="float64", mask=mask)
    w, misfit = weights(problem, problem.operator, torch.full((4, 4), 8.0, dtype=torch.float64))
    np.testing.assert_allclose(w.numpy()[mask], expected)
    assert w[1, 2] == 0
    assert misfit == pytest.approx(15)  # of as many data


def test_weights_stay_finite_in_the_dark():
    problem, _ = DitheredWidefield(size=16).simulate("disks")
    w, _ = weights(problem, problem.operator, torch.zeros(problem.y.shape))
    assert torch.isfinite(w).all()
    assert (w > 0).all()


def test_hardly_any_expected_counts_do_not_outweigh_the_others():
    """What a right model leaves is told with the weights, whatever these are."""
    problem, _ = DitheredWidefield(size=16).simulate("disks")
    mean = torch.full(problem.y.shape, 10.0)
    mean[..., :4] = 1e-4
    w, expected = weights(problem, problem.operator, mean)
    assert float(w.max()) < 30 * float(w[..., 4:].max())
    rng = np.random.default_rng(0)
    misfits = [
        float((w * (torch.tensor(problem.operator.noise().sample(mean.numpy(), rng)) - mean) ** 2).sum())
        for _ in range(200)
    ]
    assert np.mean(misfits) == pytest.approx(expected, abs=4 * np.std(misfits) / 200**0.5)


def test_inner_product_of_complex_data_is_real_and_weighted():
    a, b = torch.tensor([1 + 2j, 3j]), torch.tensor([2 - 1j, 1 + 1j])
    assert inner(a, torch.tensor([2.0, 1.0]), b) == pytest.approx(2 * (2 - 2) + 3)


def test_a_parameter_that_tells_nothing_at_one_view_promises_nothing_there():
    """The object may explain all of it at one θ and not at another, so that it counts as determined."""
    information, nothing = np.diag([2.0, 0.0]), State(torch.zeros(1), {})
    view = View(np.zeros(2), nothing, 1.0, np.array([3.0, 0.0]), information, [], [], np.zeros((1, 2)))
    assert promise(view, np.array([True, True])) == pytest.approx(4.5)
