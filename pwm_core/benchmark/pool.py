"""Run many calls on an executor so that a worker that dies loses none but the one that killed it."""

from __future__ import annotations

import concurrent.futures as futures
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

from ..errors import PwmError
from ..executors import WorkerLost

Job = tuple[str, tuple[Any, ...]]  # its key and the arguments of the call

DIED = "its worker process died: it was killed, or ran out of memory"


def outcomes(
    jobs: list[Job], work: Callable[..., str], make: Callable[[], Executor], width: int | None
) -> Iterator[tuple[str, str]]:
    """Yield (key, what ``work(*arguments)`` returned) as calls end, at most ``width`` of them at a time.

    A call whose worker died is tried again alone after all others, and if its worker dies then too, the
    reason is its outcome. When a pool breaks, nobody knows which of its calls was to blame: all that were
    under way are tried again so. A call that raised an error or cannot be sent gives the error's text.
    """
    waiting, alone = deque(jobs), deque[Job]()
    while waiting or alone:
        with make() as executor:
            try:
                if waiting:
                    for job, end in _ends(executor, waiting, width or len(waiting), work):
                        if isinstance(end, str):
                            yield job[0], end
                        else:
                            alone.append(job)
                for job, end in [] if waiting else _ends(executor, alone, 1, work):
                    yield job[0], end if isinstance(end, str) else _reason(end)
            except BaseException:
                executor.shutdown(wait=True, cancel_futures=True)
                raise


def _ends(
    executor: Executor, queue: deque[Job], room: int, work: Callable[..., str]
) -> Iterator[tuple[Job, str | Exception]]:
    """Each call with its outcome, or with how its worker was lost; stops when the executor breaks."""
    running: dict[Future[str], Job] = {}
    broken: BrokenExecutor | None = None
    while (queue or running) and broken is None:
        while queue and len(running) < room and broken is None:
            job = queue.popleft()
            try:
                running[executor.submit(work, *job[1])] = job
            except BrokenExecutor as error:
                broken = error
                yield job, broken
        for future in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
            job, end = running.pop(future), _end(future)
            broken = end if isinstance(end, BrokenExecutor) else broken
            yield job, end
    if broken is not None:
        yield from ((job, broken) for job in running.values())


def _end(future: Future[str]) -> str | Exception:
    try:
        return future.result()
    except (BrokenExecutor, WorkerLost) as error:
        return error
    except PwmError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, WorkerLost) else DIED
