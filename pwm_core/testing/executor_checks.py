"""Checks of an executor, which is anything shaped like ``concurrent.futures.Executor``."""

from __future__ import annotations

import math

from .report import require
from .subject import Subject


def check_runs_calls(subject: Subject) -> None:
    """Calls that are handed in come back with their results, in the order of their futures."""
    with subject.cls() as executor:
        futures = [executor.submit(math.sqrt, n * n) for n in range(4)]
        found = [f.result(timeout=120) for f in futures]
    require(found == [0, 1, 2, 3], f"square roots of 0, 1, 4, 9 came back as {found}")


def check_hands_errors_over(subject: Subject) -> None:
    """An error in a call is raised where its result is asked for, and the next call still works."""
    with subject.cls() as executor:
        bad, good = executor.submit(math.sqrt, -1), executor.submit(math.sqrt, 4)
        require(isinstance(bad.exception(timeout=120), ValueError), "the error of a call was lost")
        require(good.result(timeout=120) == 2, "the call after a failed one did not work")
