"""The process in which a Dask worker runs its calls, one after another in the main thread.

A Dask worker runs tasks in threads, where neither time limits nor memory limits can be set, and its death
costs every task that it holds. ``python -m pwm_dask.child`` reads pickled calls from standard input.
"""

from __future__ import annotations

import os
import pickle
import threading
from queue import SimpleQueue
from typing import BinaryIO

import cloudpickle

from .frames import receive, send


def main() -> None:
    calls: SimpleQueue[bytes] = SimpleQueue()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a method prints goes to the worker's log, not into the replies
    threading.Thread(target=_listen, args=(os.fdopen(os.dup(0), "rb"), calls), daemon=True).start()
    while True:
        send(replies, _answer(calls.get()))


def _listen(pipe: BinaryIO, calls: SimpleQueue[bytes]) -> None:
    """Hand calls to the main thread; when the worker is gone, end at once, whatever is under way."""
    try:
        while True:
            calls.put(receive(pipe))
    except EOFError:
        os._exit(0)


def _answer(call: bytes) -> bytes:
    """(True, result) or (False, exception), pickled."""
    try:
        fn, args, kwargs = pickle.loads(call)
        return cloudpickle.dumps((True, fn(*args, **kwargs)))
    except Exception as error:
        return _told(error)


def _told(error: Exception) -> bytes:
    try:
        told = cloudpickle.dumps((False, error))
        pickle.loads(told)
        return told
    except Exception:  # an exception of somebody's own making that does not survive the journey
        return cloudpickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


if __name__ == "__main__":
    main()
