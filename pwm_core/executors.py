"""Executors that come with the core; anything shaped like ``concurrent.futures.Executor`` will do."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import signal
from collections.abc import Callable
from typing import Any


def processes(workers: int | None = None) -> concurrent.futures.Executor:
    """Worker processes, started afresh so that no thread pool or CUDA context is inherited."""
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_deaf)


def _deaf() -> None:
    """An idle worker leaves Ctrl-C to its parent; a run under way listens to it by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class serial(concurrent.futures.Executor):  # a factory like `processes`, hence the lower case
    """Runs each call at once, in the calling process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
