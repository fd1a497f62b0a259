"""What a Dask worker does with a call: it passes it to a process of its own, so that only this can die."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from pwm_core.executors import WorkerLost

from .frames import receive, send

IDLE = 60.0  # seconds after which a process without work is ended

# Dask's workers start with a threshold of 64 KiB, so that malloc gives memory back at once. Numeric code that
# makes and drops arrays all the time then waits for the system instead: `tv` took five times as long.
_TRIM = "MALLOC_TRIM_THRESHOLD_"
_lock = threading.Lock()
_idle: dict[str, list[tuple[Child, threading.Timer]]] = {}


def run_in_child(call: bytes, session: str, environment: Mapping[str, str]) -> Any:
    """The result of a pickled ``(fn, args, kwargs)``; WorkerLost if its process dies.

    The processes of a ``session`` are kept for its next calls, and start with ``environment``.
    """
    child = _take(session) or Child(environment)
    try:
        succeeded, value = pickle.loads(child.run(call))
    except BaseException:
        child.end()
        raise
    _keep(session, child)
    if not succeeded:
        raise value
    return value


class Child:
    """A process that runs one call at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if name != _TRIM}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pwm_dask.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**inherited, **environment},
            start_new_session=True,  # Ctrl-C at the terminal of a local cluster is the client's to act upon
        )
        assert self.process.stdin
        assert self.process.stdout
        self.calls, self.replies = self.process.stdin, self.process.stdout

    def run(self, call: bytes) -> bytes:
        try:
            send(self.calls, call)  # type: ignore[arg-type]  # IO[bytes] is a BinaryIO by another name
            return receive(self.replies)  # type: ignore[arg-type]
        except (EOFError, OSError):
            raise WorkerLost(_how_it_ended(self.process.wait())) from None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.calls.close()
        self.replies.close()


def _take(session: str) -> Child | None:
    with _lock:
        if not _idle.get(session):
            return None
        child, timer = _idle[session].pop()
    timer.cancel()
    return child


def _keep(session: str, child: Child) -> None:
    timer = threading.Timer(IDLE, _expire, (session, child))
    timer.daemon = True
    with _lock:
        _idle.setdefault(session, []).append((child, timer))
    timer.start()


def _expire(session: str, child: Child) -> None:
    with _lock:
        mine = [pair for pair in _idle.get(session, []) if pair[0] is child]
        for pair in mine:
            _idle[session].remove(pair)
    if mine:
        child.end()


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGKILL:
        return "its process was killed (SIGKILL), as the system does when memory runs out"
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name}"
    return f"its process ended itself with status {status}"
