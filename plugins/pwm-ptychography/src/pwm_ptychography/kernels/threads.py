"""Threads for compiled functions that release the GIL, and how these wait for one another inside."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from .lowering import compiled, intrinsic
from .vector import I64, target_features

YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_submitting = Lock()


def run_threads(count: int, worker: Callable[[int], None]) -> None:
    """Call ``worker(t)`` for t in range(count) at the same time; 0 runs in the calling thread."""
    if count == 1:
        worker(0)
        return
    key = os.getpid(), count
    with _submitting:  # workers that wait for one another must not be queued behind those of another caller
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(count - 1, "pwm-kernel")
        futures = [_pools[key].submit(worker, t) for t in range(1, count)]
    worker(0)
    for future in futures:
        future.result()


def share(count: int, parts: int, part: int) -> tuple[int, int]:
    """Start and stop of one of nearly equal parts of range(count)."""
    return count * part // parts, count * (part + 1) // parts


def shared_state(threads: int) -> np.ndarray:
    """What one group of threads shares to `arrive` and `wait`: a cache line for each and one for all."""
    return np.zeros((threads + 1, 16), np.int64)


def _address(context, builder, kind, value):
    return context.make_array(kind)(context, builder, value).data


@intrinsic
def _add(typingctx, counter):
    """Count one up, seen by all threads; returns the count before."""

    def code(context, builder, signature, values):
        address = _address(context, builder, signature.args[0], values[0])
        return builder.atomic_rmw("add", address, ir.Constant(I64, 1), "seq_cst")

    return types.int64(counter), code


@intrinsic
def _read(typingctx, counter):
    def code(context, builder, signature, values):
        return builder.load_atomic(_address(context, builder, signature.args[0], values[0]), "acquire", 8)

    return types.int64(counter), code


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
def _until(counter, target):
    """Return when the counter has reached the target."""
    spins = 0
    while _read(counter) < target:
        spins += 1
        if spins < 2000:
            _relax()
        else:
            _give_way()


@compiled
def wait(state):
    """Return when all threads of the group have called this the same number of times."""
    parties = len(state) - 1
    _until(state[parties], (_add(state[parties]) // parties + 1) * parties)


@compiled
def arrive(state, thread):
    """Say that this thread has finished one more round."""
    _add(state[thread])


@compiled
def wait_for(state, thread, rounds):
    """Return when all other threads have finished that many rounds."""
    for other in range(len(state) - 1):
        if other != thread:
            _until(state[other], rounds)
