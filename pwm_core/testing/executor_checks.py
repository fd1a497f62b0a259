"""Checks of an executor: what it opens is shaped like ``concurrent.futures.Executor`` and fit for cells."""

from __future__ import annotations

import math
import os
import signal
import threading

from ..benchmark.pool import outcomes
from .report import require
from .subject import Subject

PATIENCE = 120.0  # seconds that a call may wait for its worker


def check_runs_calls(subject: Subject) -> None:
    """Calls that are handed in come back with their results, in the order of their futures."""
    with subject.cls().open(1, 1) as executor:
        futures = [executor.submit(math.sqrt, n * n) for n in range(4)]
        found = [f.result(timeout=PATIENCE) for f in futures]
    require(found == [0, 1, 2, 3], f"square roots of 0, 1, 4, 9 came back as {found}")


def check_hands_errors_over(subject: Subject) -> None:
    """An error in a call is raised where its result is asked for, and the next call still works."""
    with subject.cls().open(1, 1) as executor:
        bad, good = executor.submit(math.sqrt, -1), executor.submit(math.sqrt, 4)
        require(isinstance(bad.exception(timeout=PATIENCE), ValueError), "the error of a call was lost")
        require(good.result(timeout=PATIENCE) == 2, "the call after a failed one did not work")


def check_calls_can_be_limited(subject: Subject) -> None:
    """A call runs in the main thread of its process, where time limits work, with its number of threads."""
    with subject.cls().open(1, 3) as executor:
        main, threads = executor.submit(_surroundings).result(timeout=PATIENCE)
    require(main, "calls run beside the main thread, where a time limit cannot interrupt them")
    require(threads == "3", f"a call that may use 3 threads finds OMP_NUM_THREADS={threads}")


def check_lost_worker_costs_one_call(subject: Subject) -> None:
    """A call that kills its process is reported with a reason, and every other call has its result."""
    factory = subject.cls()
    jobs = [(str(n), (n, os.getpid())) for n in range(4)]
    found = dict(outcomes(jobs, _kill_at_one, lambda: factory.open(2, 1), factory.width(2, 1)))
    reason = found.pop("1", "")
    require(found == {"0": "0", "2": "2", "3": "3"}, f"calls 0, 2 and 3 ended as {found}")
    in_caller = reason == "1"  # such an executor has no process to lose
    told = in_caller or "process" in reason or "worker" in reason
    require(told, f"the call that killed its process ended as {reason!r}")


def _surroundings() -> tuple[bool, str | None]:
    return threading.current_thread() is threading.main_thread(), os.environ.get("OMP_NUM_THREADS")


def _kill_at_one(n: int, caller: int) -> str:
    if n == 1 and os.getpid() != caller:
        os.kill(os.getpid(), signal.SIGKILL)
    return str(n)
