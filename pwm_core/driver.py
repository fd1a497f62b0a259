"""Drive a method: device, threads, seed, time limit, early stopping, history, interruption."""

from __future__ import annotations

import contextlib
import math
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .errors import BadValue, PluginError, PwmError
from .method import Iterate, Reconstructor
from .problem import Problem

Watcher = Callable[[int, Iterate], bool | None]

STATUSES = {
    "finished": "the method came to its end",
    "converged": "the loss no longer falls",
    "stopped": "a watcher asked to stop",
    "timeout": "the time limit was reached",
    "interrupted": "interrupted by the user; the result so far is kept",
    "diverged": "the loss or the object is no longer finite",
}


@dataclass
class Result:
    """What a run leaves: the object, the parameters that the method estimated, and how it went."""

    x: np.ndarray
    theta: dict[str, Any]
    history: list[dict[str, float]]  # one row a step: step, seconds, loss and the method's own numbers
    status: str  # a key of STATUSES
    seconds: float  # the method's own time, without progress bars and watchers
    method: Reconstructor
    seed: int = 0
    device: str = "cpu"
    peak_memory: int = 0  # bytes; of the whole process, or of the GPU
    note: str = field(default="")

    def __repr__(self) -> str:
        loss = self.history[-1].get("loss") if self.history else None
        tail = "" if loss is None else f", loss {loss:.4g}"
        steps = f"{len(self.history)} step{'s' if len(self.history) != 1 else ''}"
        return f"<Result {self.x.shape} {self.x.dtype}, {steps}, {self.seconds:.2f} s, {self.status}{tail}>"


def run(
    method: Reconstructor,
    problem: Problem,
    *,
    seed: int = 0,
    device: str = "auto",
    dtype: str | None = None,
    threads: int | None = None,
    max_seconds: float = math.inf,
    tolerance: float | None = None,
    watch: Iterable[Watcher] = (),
) -> Result:
    """Run ``method`` on ``problem`` and return its result.

    ``device``       "auto" (CUDA if there is one), "cpu" or "cuda"; BadValue if CUDA is absent
    ``dtype``        "float32" or "float64", the precision of the computation
    ``threads``      CPU threads (default: what torch chooses)
    ``tolerance``    stop when ten steps together lower the loss by less than this fraction
    ``watch``        callables that get (step, iterate) and may return False to stop

    Ctrl-C ends the run after the step at hand and keeps the result; a second one ends it at once.
    """
    problem = problem.replace(device=choose_device(device), dtype=_precision(problem.dtype, dtype))
    watchers = list(watch)
    if tolerance is not None:
        watchers.append(_Plateau(tolerance))
    with _threads(threads), _grad_mode(), _interruptible() as interrupted:
        return _drive(method, problem, seed, max_seconds, watchers, interrupted)


def choose_device(device: str) -> str:
    """The torch device for "auto", "cpu" or "cuda"; BadValue says why CUDA cannot be used."""
    if device not in ("auto", "cpu", "cuda") and not device.startswith("cuda:"):
        raise BadValue(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        built = torch.version.cuda
        why = "no CUDA device is visible" if built else "this build of torch has no CUDA"
        raise BadValue(f"--device {device}: {why}; use --device cpu, or auto to take what there is")
    return device


def _drive(
    method: Reconstructor,
    problem: Problem,
    seed: int,
    max_seconds: float,
    watchers: list[Watcher],
    interrupted: Callable[[], bool],
) -> Result:
    cuda = problem.device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    _reset_peak()
    steps = method.solve(problem, np.random.default_rng(seed))
    if not isinstance(steps, Iterable):
        raise PluginError(f"{type(method).__name__}.solve must yield Iterate objects, it returned {steps!r}")
    steps = iter(steps)
    history: list[dict[str, float]] = []
    last: Iterate | None = None
    spent, status, note = 0.0, "finished", ""
    try:
        while True:
            start = time.perf_counter()
            try:
                iterate = next(steps)
            except StopIteration:
                break
            if not isinstance(iterate, Iterate):
                raise PluginError(
                    f"{type(method).__name__}.solve must yield Iterate objects, got {iterate!r}"
                )
            loss = None if iterate.loss is None else float(iterate.loss)  # on a GPU this waits for the step
            spent += time.perf_counter() - start
            last = iterate
            row: dict[str, float] = {"step": len(history) + 1, "seconds": spent, **_info(method, iterate)}
            history.append(row if loss is None else {**row, "loss": loss})
            if loss is not None and not math.isfinite(loss):
                status, note = "diverged", f"the loss is {loss} at step {len(history)}"
                break
            if [w(len(history), iterate) for w in watchers].count(False):
                plateau = any(isinstance(w, _Plateau) and w.flat for w in watchers)
                status = "converged" if plateau else "stopped"
                break
            if interrupted():
                status = "interrupted"
                break
            if spent > max_seconds:
                status = "timeout"
                break
    except KeyboardInterrupt:
        status = "interrupted"
    finally:
        if isinstance(steps, Generator):
            steps.close()
    if last is None:
        if status == "interrupted":
            raise PwmError("interrupted before the first step; there is no result to keep")
        raise PluginError(f"{type(method).__name__}.solve ended without a single step")
    x = to_numpy(last.x)
    if status != "diverged" and not np.isfinite(x).all():
        status, note = "diverged", f"the object has non-finite values after step {len(history)}"
    theta = {k: to_numpy(v) if np.ndim(v) else _number(v) for k, v in (last.theta or {}).items()}
    peak = torch.cuda.max_memory_allocated() if cuda else _peak_resident()
    return Result(x, theta, history, status, spent, method, seed, problem.device, peak, note)


def to_numpy(array: Any) -> np.ndarray:
    """A NumPy copy of an array or tensor on any device."""
    if isinstance(array, torch.Tensor):
        return array.detach().cpu().resolve_conj().resolve_neg().numpy().copy()
    return np.array(array)


def _info(method: Reconstructor, iterate: Iterate) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in iterate.info.items()}
    except (TypeError, ValueError) as error:
        raise PluginError(f"{type(method).__name__}: Iterate.info must hold numbers ({error})") from error


def _number(value: Any) -> float | complex:
    number = value.item() if hasattr(value, "item") else value
    return number if isinstance(number, complex) else float(number)


class _Plateau:
    """Stops when the last ten steps together lowered the loss by less than a fraction of it."""

    window = 10

    def __init__(self, tolerance: float) -> None:
        self.tolerance, self.losses, self.flat = tolerance, [], False  # type: ignore[var-annotated]

    def __call__(self, step: int, iterate: Iterate) -> bool | None:
        if iterate.loss is None:
            return None
        self.losses.append(float(iterate.loss))
        if len(self.losses) > self.window:
            before, now = self.losses[-1 - self.window], self.losses[-1]
            self.flat = before - now < self.tolerance * abs(before)
        return False if self.flat else None


def _precision(current: str, wanted: str | None) -> str:
    if wanted is None:
        return current
    if wanted not in ("float32", "float64"):
        raise BadValue(f"dtype must be float32 or float64, got {wanted!r}")
    if current.startswith("complex"):
        return "complex64" if wanted == "float32" else "complex128"
    return wanted


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    if count is None:
        yield
        return
    if count < 1:
        raise BadValue(f"threads must be at least 1, got {count}")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _grad_mode() -> Iterator[None]:
    """Whatever a method does to torch's gradient mode ends with the run."""
    before = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(before)


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Within it the first Ctrl-C sets a flag and the second raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = False

    def handler(signum: int, frame: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        print("\nstopping after this step (Ctrl-C again to stop at once)", file=sys.stderr)

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _reset_peak() -> None:
    """Forget the peak of what this process did before, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_resident() -> int:
    """Bytes of the largest resident set since the last reset, or of the process's life."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
