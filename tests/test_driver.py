"""The driver: how a run ends, what it keeps, and what it leaves alone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from pwm_core import Iterate, Operator, Problem, PwmError, Reconstructor, param, run
from pwm_core.driver import STATUSES, choose_device, to_numpy
from pwm_core.errors import BadValue, PluginError


class Scale(Operator):
    gain: float = param(2.0, low=0)

    def apply(self, x: torch.Tensor, gain: Any) -> torch.Tensor:
        return gain * x


class Descent(Reconstructor):
    iterations: int = param(20, low=1)
    step: float = param(0.1, low=0)

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        x, y = problem.start, problem.data
        for _ in range(self.iterations):
            residual = problem.operator(x) - y
            x -= self.step * problem.operator.adjoint(residual, x)
            y *= 1  # a copy, so that the measurement stays as it is
            yield Iterate(x, loss=(residual**2).sum(), info={"norm": float(x.norm())})


class Steps(Reconstructor):
    """Does what it is given, a function of (problem, rng)."""

    act: Callable[[Problem, np.random.Generator], Any]

    def solve(self, problem: Problem, rng: np.random.Generator) -> Any:
        return self.act(problem, rng)


def problem(**changes: Any) -> Problem:
    y = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    fields: dict[str, Any] = {"y": y, "operator": Scale(), "modality": "toy", "shape": (3, 4)}
    return Problem(**{**fields, **changes})


def losses(*values: Any) -> Steps:
    return Steps(act=lambda p, rng: (Iterate(np.ones(2), loss=v) for v in values))


# -- how a run ends -----------------------------------------------------------------------------


def test_a_method_that_comes_to_its_end_is_finished() -> None:
    result = run(Descent(), problem())
    assert result.status == "finished"
    assert len(result.history) == 20
    np.testing.assert_allclose(result.x, problem().y / 2, rtol=1e-3)
    assert "20 steps" in repr(result)


def test_a_loss_that_no_longer_falls_is_converged() -> None:
    result = run(losses(*range(30, 0, -1), *[1.0] * 50), problem(), tolerance=1e-3)
    assert result.status == "converged"
    assert len(result.history) == 40  # ten steps after the last fall
    assert run(losses(*range(60, 0, -1)), problem(), tolerance=1e-3).status == "finished"
    assert run(losses(*[1.0] * 50), problem()).status == "finished"
    assert run(losses(*[None] * 50), problem(), tolerance=1e-3).status == "finished"


def test_a_watcher_sees_every_step_and_may_stop() -> None:
    seen: list[tuple[int, float]] = []

    def watch(step: int, iterate: Iterate) -> bool | None:
        seen.append((step, float(iterate.loss)))
        return False if step == 3 else None

    result = run(losses(5, 4, 3, 2, 1), problem(), watch=[watch])
    assert result.status == "stopped"
    assert seen == [(1, 5), (2, 4), (3, 3)]


def test_a_method_is_told_that_it_is_stopped() -> None:
    closed = []

    def act(p: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        try:
            while True:
                yield Iterate(np.ones(2))
        finally:
            closed.append(True)

    run(Steps(act=act), problem(), watch=[lambda step, _: step < 2])
    assert closed == [True]


def test_the_time_limit_counts_the_methods_own_time() -> None:
    def act(p: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        for _ in range(100):
            time.sleep(0.01)
            yield Iterate(np.ones(2))

    result = run(Steps(act=act), problem(), max_seconds=0.05)
    assert result.status == "timeout"
    assert 3 <= len(result.history) <= 5
    assert result.seconds == result.history[-1]["seconds"] > 0.05
    slow_watcher = run(losses(3, 2, 1), problem(), max_seconds=0.05, watch=[lambda *_: time.sleep(0.03)])  # type: ignore[func-returns-value,list-item]
    assert slow_watcher.status == "finished"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), torch.tensor(float("nan")), np.float32("inf")])
def test_a_loss_that_is_not_finite_is_divergence(bad: Any) -> None:
    result = run(losses(3.0, bad, 1.0), problem())
    assert result.status == "diverged"
    assert len(result.history) == 2
    assert result.note.endswith("at step 2")


@pytest.mark.parametrize("bad", [np.array([1, np.nan]), torch.tensor([1j * torch.inf, 0])])
def test_an_object_that_is_not_finite_is_divergence(bad: Any) -> None:
    steps = Steps(act=lambda p, rng: (Iterate(x, loss=1.0) for x in (np.ones(2), bad)))
    result = run(steps, problem())
    assert result.status == "diverged"
    assert result.note == "the object has non-finite values after step 2"


def test_every_status_is_explained() -> None:
    assert set(STATUSES) == {"finished", "converged", "stopped", "timeout", "interrupted", "diverged"}


# -- interruption -------------------------------------------------------------------------------


def counting(at: dict[int, Callable[[], None]]) -> Steps:
    """Yields its step number, after doing what is to be done in that step."""

    def act(p: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        for i in range(1, 1000):
            at.get(i, lambda: None)()
            yield Iterate(np.array([i]))

    return Steps(act=act)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def press_twice() -> None:
    press()
    press()
    time.sleep(1)


@pytest.fixture(autouse=True)
def restored_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_ends_the_run_after_the_step_and_keeps_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(counting({3: press}), problem())
    assert (result.status, len(result.history), result.x[0]) == ("interrupted", 3, 3)
    assert "stopping after this step" in capsys.readouterr().err
    in_watcher = run(counting({}), problem(), watch=[lambda step, _: press() if step == 4 else None])  # type: ignore[func-returns-value]
    assert (in_watcher.status, in_watcher.x[0]) == ("interrupted", 4)


def test_a_second_ctrl_c_ends_the_step_at_hand_too() -> None:
    result = run(counting({3: press_twice}), problem())
    assert (result.status, len(result.history), result.x[0]) == ("interrupted", 2, 2)


def test_without_a_step_there_is_nothing_to_keep() -> None:
    with pytest.raises(PwmError, match="interrupted before the first step"):
        run(counting({1: press_twice}), problem())


def test_a_signal_from_outside_interrupts_too() -> None:
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))

    def act(p: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        timer.start()
        while True:
            time.sleep(0.01)
            yield Iterate(np.ones(2))

    result = run(Steps(act=act), problem(), max_seconds=20)
    assert result.status == "interrupted"


def test_a_run_in_another_thread_leaves_signals_alone() -> None:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(run(Descent(), problem())))
    thread.start()
    thread.join()
    assert results[0].status == "finished"


# -- what it keeps ------------------------------------------------------------------------------


def test_the_history_has_a_row_for_each_step() -> None:
    result = run(Descent(iterations=3), problem())
    assert [row["step"] for row in result.history] == [1, 2, 3]
    assert all(list(row) == ["step", "seconds", "norm", "loss"] for row in result.history)
    assert all(type(row["loss"]) is float for row in result.history)
    assert [row["seconds"] for row in result.history] == sorted(row["seconds"] for row in result.history)
    losses = [row["loss"] for row in result.history]
    assert losses[0] == pytest.approx((problem().y ** 2).sum())
    assert losses == sorted(losses, reverse=True)
    assert "loss" not in run(counting({3: press}), problem()).history[0]


def test_the_numbers_of_a_method_become_plain_ones_and_words_are_refused() -> None:
    info = {"a": torch.tensor(1.5), "b": np.float32(2), "c": 3}
    row = run(Steps(act=lambda p, rng: [Iterate(np.ones(2), info=info)]), problem()).history[0]
    assert {k: row[k] for k in info} == {"a": 1.5, "b": 2.0, "c": 3.0}
    assert all(type(row[k]) is float for k in info)
    with pytest.raises(PluginError, match=r"Steps: Iterate\.info must hold numbers"):
        run(Steps(act=lambda p, rng: [Iterate(np.ones(2), info={"mood": "good"})]), problem())  # type: ignore[dict-item]


def test_the_result_is_a_copy_of_the_last_iterate() -> None:
    x = torch.zeros(2, dtype=torch.complex64)

    def act(p: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        for i in range(3):
            x[:] = i + 1j
            yield Iterate(x.conj())

    result = run(Steps(act=act), problem())
    x[:] = 9
    np.testing.assert_array_equal(result.x, [2 - 1j, 2 - 1j])
    assert result.x.dtype == np.complex64
    assert result.x.flags.writeable


def test_estimated_parameters_become_plain_values() -> None:
    theta = {"a": torch.tensor(1.5), "b": np.float32(2), "c": torch.ones(3), "d": 1 + 2j, "e": 3}
    result = run(Steps(act=lambda p, rng: [Iterate(np.ones(2), theta=theta)]), problem())
    assert {k: v for k, v in result.theta.items() if k != "c"} == {"a": 1.5, "b": 2.0, "d": 1 + 2j, "e": 3.0}
    assert type(result.theta["a"]) is type(result.theta["b"]) is float
    np.testing.assert_array_equal(result.theta["c"], np.ones(3))
    assert type(result.theta["c"]) is np.ndarray


def test_the_result_knows_its_method_seed_and_device() -> None:
    method = Descent(iterations=2)
    result = run(method, problem(), seed=7, device="cpu")
    assert (result.method, result.seed, result.device) == (method, 7, "cpu")
    assert result.peak_memory > 1e6


def test_the_same_seed_gives_the_same_result() -> None:
    noisy = Steps(act=lambda p, rng: [Iterate(rng.standard_normal(5))])
    first, again, other = (run(noisy, problem(), seed=s).x for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_tensor_becomes_an_array_of_its_own() -> None:
    t = torch.arange(3.0, requires_grad=True)
    array = to_numpy(t)
    array[0] = 5
    assert float(t[0].detach()) == 0
    view = np.ones(2)
    assert not np.shares_memory(to_numpy(view), view)


# -- how it computes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ("float32", "float64", "float64"),
        ("float64", "float32", "float32"),
        ("complex64", "float64", "complex128"),
        ("complex128", "float32", "complex64"),
        ("complex128", None, "complex128"),
        ("float32", None, "float32"),
    ],
)
def test_the_precision_asked_for_is_the_one_computed_in(before: str, wanted: str | None, after: str) -> None:
    seen = []

    def act(p: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        seen.append((str(p.data.dtype), p.dtype))
        yield Iterate(p.start)

    result = run(Steps(act=act), problem(dtype=before), dtype=wanted)
    double = after in ("float64", "complex128")
    assert seen == [("torch.float64" if double else "torch.float32", after)]
    assert result.x.dtype == after


def test_double_precision_reaches_further_than_single() -> None:
    many = Descent(iterations=200)
    single, double = (run(many, problem(), dtype=d).x for d in ("float32", "float64"))
    exact = problem().y.astype(float) / 2
    assert np.abs(double - exact).max() < 1e-12
    assert np.abs(single - exact).max() < 1e-5


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(BadValue, match="dtype must be float32 or float64, got 'float16'"):
        run(Descent(), problem(), dtype="float16")
    with pytest.raises(BadValue, match="device must be auto, cpu, cuda or cuda:N, got 'gpu'"):
        run(Descent(), problem(), device="gpu")
    with pytest.raises(BadValue, match="threads must be at least 1, got 0"):
        run(Descent(), problem(), threads=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_with_the_reason_where_there_is_none() -> None:
    for device in ("cuda", "cuda:1"):
        with pytest.raises(BadValue, match=f"--device {device}: .*CUDA.*; use --device cpu, or auto"):
            run(Descent(), problem(), device=device)
    assert choose_device("auto") == "cpu"


def test_the_number_of_threads_is_that_asked_for_and_restored() -> None:
    before = torch.get_num_threads()
    seen = []

    def act(p: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        seen.append(torch.get_num_threads())
        yield Iterate(np.ones(2))
        raise RuntimeError("the method fails")

    with pytest.raises(RuntimeError, match="the method fails"):
        run(Steps(act=act), problem(), threads=before + 1)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("stop", [True, False])
def test_a_methods_gradient_mode_ends_with_the_run(stop: bool) -> None:
    def act(p: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        torch.set_grad_enabled(False)
        with torch.inference_mode():
            yield Iterate(np.ones(2))
            yield Iterate(np.ones(2))

    assert torch.is_grad_enabled()
    run(Steps(act=act), problem(), watch=[lambda *_: not stop])
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


# -- what it leaves alone, and what it names ----------------------------------------------------


def test_the_problem_stays_as_it_was() -> None:
    p = problem(initial=np.ones((3, 4), np.float32))
    y, initial = p.y.copy(), p.initial.copy()  # type: ignore[union-attr]
    run(Descent(), p, dtype="float64")
    np.testing.assert_array_equal(p.y, y)
    np.testing.assert_array_equal(p.initial, initial)  # type: ignore[arg-type]
    assert (p.dtype, p.device) == ("float32", "cpu")
    read_only = y.copy()
    read_only.setflags(write=False)
    np.testing.assert_array_equal(run(Descent(), p.replace(y=read_only)).x, run(Descent(), p).x)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p, rng: iter(()), "Steps.solve ended without a single step"),
        (lambda p, rng: [np.ones(2)], "Steps.solve must yield Iterate objects, got array"),
        (lambda p, rng: None, "Steps.solve must yield Iterate objects, it returned None"),
        (lambda p, rng: Iterate(np.ones(2)), "Steps.solve must yield Iterate objects, it returned Iterate"),
    ],
)
def test_a_method_that_breaks_the_contract_is_named(act: Callable, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        run(Steps(act=act), problem())
