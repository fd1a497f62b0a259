"""Run many calls on an executor so that a worker that dies loses none but the one that killed it."""

from __future__ import annotations

import concurrent.futures as futures
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

Job = tuple[str, tuple[Any, ...]]  # its key and the arguments of the call

DIED = "its worker process died: it was killed, or ran out of memory"


def outcomes(
    jobs: list[Job], work: Callable[..., str], make: Callable[[], Executor], width: int
) -> Iterator[tuple[str, str]]:
    """Yield (key, what ``work(*arguments)`` returned) as calls end, at most ``width`` of them at a time.

    When a pool breaks, nobody knows which of its calls was to blame: those under way are tried again one
    by one, and the one that breaks its pool alone is reported as :data:`DIED`. A call that cannot even be
    sent to a worker gives its error's text.
    """
    waiting, alone = deque(jobs), deque[Job]()
    while waiting or alone:
        queue, room = (alone, 1) if alone else (waiting, width)
        suspects: list[Job] = []
        with make() as executor:
            try:
                yield from _until_it_breaks(executor, queue, room, work, suspects)
            except BaseException:
                executor.shutdown(wait=True, cancel_futures=True)
                raise
        if queue is alone:
            yield from ((key, DIED) for key, _ in suspects)
        else:
            alone.extend(suspects)


def _until_it_breaks(
    executor: Executor, queue: deque[Job], room: int, work: Callable[..., str], suspects: list[Job]
) -> Iterator[tuple[str, str]]:
    """Work through the queue; what was under way when the executor broke is left in ``suspects``."""
    running: dict[Future[str], Job] = {}
    while (queue or running) and not suspects:
        while queue and len(running) < room and not suspects:
            job = queue.popleft()
            try:
                running[executor.submit(work, *job[1])] = job
            except BrokenExecutor:
                suspects.append(job)
        for future in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
            job = running.pop(future)
            try:
                outcome = future.result()
            except BrokenExecutor:
                suspects.append(job)
                continue
            except Exception as error:
                outcome = f"{type(error).__name__}: {error}"
            yield job[0], outcome
    suspects += running.values()
