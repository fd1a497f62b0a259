"""Where calls run: the interface of executors, and the two that come with the core."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from .errors import PwmError
from .settings import Settings

_LIBRARIES = ("OMP", "MKL", "OPENBLAS", "NUMBA")


class WorkerLost(PwmError):
    """The process that ran a call died; raised for that call alone, by executors that know which it was."""


class ExecutorFactory(Settings):
    """Base of executors: its settings say where calls run, :meth:`open` gives what runs them there.

    A call must run in the main thread of its process, where time limits and Ctrl-C work, and an executor
    that loses a process either breaks (``concurrent.futures.BrokenExecutor``) or raises
    :class:`WorkerLost` for the call that was in it.
    """

    def open(self, workers: int | None, threads: int) -> Executor:
        """Anything shaped like ``concurrent.futures.Executor``, used as a context manager.

        ``workers``  processes that work at the same time; None leaves it to the executor
        ``threads``  CPU threads that each of them may use
        """
        raise TypeError(f"{type(self).__name__} does not define open(workers, threads)")

    def width(self, workers: int | None, threads: int) -> int | None:
        """How many calls it is given at a time; None if it queues any number of them itself."""
        return workers or max(1, cores() // threads)


class Processes(ExecutorFactory):
    """Worker processes on this machine, started afresh: no thread pool or CUDA context is inherited."""

    def open(self, workers: int | None, threads: int) -> Executor:
        return _Pool(self.width(workers, threads), threads)


class Serial(ExecutorFactory):
    """One call after another, at once, in the calling process."""

    def open(self, workers: int | None, threads: int) -> Executor:
        return _AtOnce(threads)

    def width(self, workers: int | None, threads: int) -> int:
        return 1


class _Pool(concurrent.futures.ProcessPoolExecutor):
    def __init__(self, workers: int | None, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        super().__init__(workers, mp_context=context, initializer=_start_worker)
        self._restore = _set_environment(thread_environment(threads))  # workers inherit it, later ones too

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._restore()


class _AtOnce(Executor):
    def __init__(self, threads: int) -> None:
        self._restore = _set_environment(thread_environment(threads))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._restore()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def cores() -> int:
    """The CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_environment(threads: int) -> dict[str, str]:
    """The environment variables with which numeric libraries start so many threads."""
    return {f"{name}_NUM_THREADS": str(threads) for name in _LIBRARIES}


def _set_environment(variables: dict[str, str]) -> Callable[[], None]:
    """Set environment variables; what is returned puts the former values back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)

    def restore() -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return restore


def _start_worker() -> None:
    """An idle worker leaves Ctrl-C to its parent; a run under way listens to it by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
