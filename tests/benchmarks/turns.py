"""Programs timed in turns in one process, so that whatever else the machine does slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table


@contextmanager
def one_thread() -> Iterator[None]:
    """In torch, BLAS and OpenMP; threadpoolctl comes with scikit-learn."""
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


def processor_time(work: Callable[[], Any]) -> float:
    """Seconds, of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turns(works: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Processor time (s) of each work in each round, (round,), after one round that does not count."""
    times = [[processor_time(work) for work in works.values()] for _ in range(rounds + 1)]
    return dict(zip(works, np.array(times[1:]).T, strict=True))


def ratio(times: Mapping[str, np.ndarray], of: str, to: str) -> float:
    """The median over the rounds of one time over the other."""
    return float(np.median(times[of] / times[to]))


def show(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on the terminal; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)
