"""A ``concurrent.futures.Executor`` on a Dask client whose calls run in processes of their own."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any

import cloudpickle
from distributed import Client, KilledWorker

from pwm_core.executors import WorkerLost

from .calls import run_in_child


class DaskExecutor(Executor):
    """Hands calls to the workers of ``client``; ``resources`` is closed with it.

    A call raises WorkerLost if its process dies, or as many Dask workers as the scheduler allows; all
    raise BrokenExecutor when the scheduler is lost.
    """

    def __init__(
        self, client: Client, environment: Mapping[str, str], resources: contextlib.ExitStack
    ) -> None:
        self._client, self._environment, self._resources = client, dict(environment), resources
        self._calls = client.get_executor(pure=False)
        self._session = uuid.uuid4().hex
        self._waiting: set[Future[Any]] = set()
        self._count = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        call = cloudpickle.dumps((fn, args, kwargs))  # opened only in the process that runs it
        self._count += 1
        # Keys of one group let the scheduler see a queue of like tasks and hold it back from its workers.
        key = (f"pwm-{self._session}", self._count)
        inner = self._calls.submit(run_in_child, call, self._session, self._environment, key=key)
        outer: Future[Any] = Future()
        self._waiting.add(outer)
        inner.add_done_callback(lambda done: self._pass_on(done, outer))
        outer.add_done_callback(lambda done: done.cancelled() and inner.cancel())
        return outer

    def _pass_on(self, inner: Future[Any], outer: Future[Any]) -> None:
        self._waiting.discard(outer)
        if not outer.set_running_or_notify_cancel():
            return
        try:
            outer.set_result(inner.result())
        except CancelledError:
            outer.set_exception(BrokenExecutor("the Dask scheduler was lost"))
        except KilledWorker as error:
            outer.set_exception(
                WorkerLost(f"{error.allowed_failures + 1} Dask workers died while they had it")
            )
        except Exception as error:
            outer.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the connection, and the cluster if it was started for this executor.

        Calls that are not cancelled are waited for in any case: without the connection they would be lost.
        """
        waiting = list(self._waiting)
        for future in waiting if cancel_futures else []:
            future.cancel()
        futures.wait(waiting)
        self._resources.close()
