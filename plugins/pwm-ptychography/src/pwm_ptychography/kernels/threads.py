"""Threads for compiled functions that release the GIL, and how these wait for one another."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from pwm_core.compiling import compiled

from .lowering import intrinsic
from .vector import target_features

AWAKE = 4000  # turns of the loop that waits for work: about a millisecond
APART = 16  # numbers between two marks, so that no two threads write to the same cache line or its neighbour
YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
_crews: dict[tuple[int, int], _Crew] = {}
_calling = Lock()


def run_threads(count: int, worker: Callable[[int], None]) -> None:
    """Call ``worker(t)`` for t in range(count) at the same time; 0 runs in the calling thread."""
    if count == 1:
        worker(0)
        return
    key = os.getpid(), count
    with _calling:  # workers that wait for one another must not be queued behind those of another caller
        if key not in _crews:
            _crews[key] = _Crew(count)
        done = _crews[key].start(worker)
    try:
        worker(0)
    finally:
        errors = [done.get() for _ in range(1, count)]
    for error in errors:
        if error is not None:
            raise error


class _Crew:
    """Threads that wait for work, at first awake (as those of OpenMP do), for the next sweep begins soon."""

    def __init__(self, count: int) -> None:
        self.calls = np.zeros(1, np.int64)
        self.queues: list[SimpleQueue[tuple[Callable[[int], None], SimpleQueue]]] = []
        for t in range(1, count):
            self.queues.append(SimpleQueue())
            Thread(target=self._serve, args=(t, self.queues[-1]), name=f"pwm-kernel-{t}", daemon=True).start()

    def start(self, worker: Callable[[int], None]) -> SimpleQueue[BaseException | None]:
        """Have all threads call ``worker``; where each puts the error that it ended with, or None."""
        done: SimpleQueue[BaseException | None] = SimpleQueue()
        for queue in self.queues:
            queue.put((worker, done))
        self.calls += 1
        return done

    def _serve(self, t: int, queue: SimpleQueue) -> None:
        calls = 0
        while True:
            _linger(self.calls, calls)
            worker, done = queue.get()
            calls += 1
            try:
                worker(t)
            except BaseException as error:
                done.put(error)
            else:
                done.put(None)
            del worker, done


def share(count: int, parts: int, part: int) -> tuple[int, int]:
    """Start and stop of one of nearly equal parts of range(count)."""
    return count * part // parts, count * (part + 1) // parts


@intrinsic
def _read(typingctx, marks, place):
    """``marks[place]`` with all that was written before it by the thread that set it."""

    def code(context, builder, signature, values):
        return builder.load_atomic(_address(context, builder, signature, values), "acquire", 8)

    return types.int64(marks, types.int64), code


@intrinsic
def _set(typingctx, marks, place, value):
    """Set ``marks[place]`` after all that this thread has written before."""

    def code(context, builder, signature, values):
        builder.store_atomic(values[2], _address(context, builder, signature, values), "release", 8)
        return context.get_dummy_value()

    return types.none(marks, types.int64, types.int64), code


def _address(context, builder, signature, values):
    data = context.make_array(signature.args[0])(context, builder, values[0]).data
    return builder.gep(data, [values[1]])


@intrinsic
def _relax(typingctx):
    """Tell the processor that this is a waiting loop."""

    def code(context, builder, signature, values):
        if "sse2" in target_features():
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
            )
            builder.call(function, [])
        return context.get_dummy_value()

    return types.none(), code


@intrinsic
def _give_way(typingctx):
    """Let the operating system run another thread."""

    def code(context, builder, signature, values):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), []), YIELD)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.none(), code


@compiled
def _pause(turn):
    """Let time pass, in the ``turn``-th round of waiting."""
    if turn < 2000:
        _relax()
    else:
        _give_way()


def new_marks(threads: int) -> np.ndarray:
    """Where each thread of a team tells how far it is: `tell`, `await_others`."""
    return np.zeros(threads * APART, np.int64)


@compiled
def tell(marks, thread, rounds):
    """Tell the others that ``thread`` has finished so many ``rounds``."""
    _set(marks, thread * APART, rounds)


@compiled
def await_others(marks, thread, rounds):
    """Return when all others have told that they have finished at least so many ``rounds``."""
    for other in range(len(marks) // APART):
        turn = 0
        while other != thread and _read(marks, other * APART) < rounds:
            _pause(turn)
            turn += 1


@compiled
def _linger(calls, seen):
    """Return when there were more ``calls`` than ``seen``, or after about a millisecond."""
    turn = 0
    while turn < AWAKE and _read(calls, 0) <= seen:
        _pause(turn)
        turn += 1
