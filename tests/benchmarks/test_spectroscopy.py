"""Speed of the spectrum-image operator, against the one matrix product that it cannot do without."""

import time

import numpy as np
import pytest
import torch
from pwm_spectroscopy.assembly import operator_for
from pwm_spectroscopy.instruments import EDXInstrument, XRFInstrument

OPERATORS = {
    "xrf": lambda: operator_for(("S", "Ti", "Ba", "Fe", "As", "Pb"), XRFInstrument(), channels=1024),
    "stem-edx": lambda: operator_for(("O", "Al", "Ti", "V", "Fe", "Ba"), EDXInstrument(), channels=1024),
}


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def best(run, rounds=20):
    """The shortest of several times, in ms."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


@pytest.mark.parametrize("direction", ["forward", "adjoint"])
@pytest.mark.parametrize("name", OPERATORS)
def test_applying_the_operator_costs_about_one_matrix_product(benchmark, one_thread, name, direction):
    """128 x 128 pixels, 1024 channels, 6 elements, float32."""
    operator = OPERATORS[name]()
    x = torch.rand(6, 128, 128)
    g = torch.from_numpy(operator.columns()).float()
    y = operator(x)
    if direction == "forward":
        benchmark.pedantic(operator, args=(x,), rounds=20, warmup_rounds=2)
        product = best(lambda: g @ x.flatten(1))
    else:
        benchmark.pedantic(operator.adjoint, args=(y, x), rounds=20, warmup_rounds=2)
        product = best(lambda: g.T @ y.flatten(1))
    mine = 1e3 * benchmark.stats.stats.min
    ratio = mine / product
    benchmark.extra_info |= {"product_ms": product, "ratio_to_product": ratio}
    print(f"{name} {direction}: {mine:.1f} ms, the product {product:.1f} ms, ratio {ratio:.2f}")
    assert ratio < 2.0


@pytest.mark.parametrize("name", OPERATORS)
def test_a_gradient_to_object_and_all_parameters(benchmark, one_thread, name):
    operator = OPERATORS[name]()
    x = np.random.default_rng(0).random((6, 128, 128), np.float32)
    y = operator(x)
    benchmark.pedantic(operator.vjp, args=(x, y), rounds=5, warmup_rounds=1)
    print(f"{name}: {1e3 * benchmark.stats.stats.min:.1f} ms")
