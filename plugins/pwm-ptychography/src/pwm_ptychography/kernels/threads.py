"""Threads for compiled functions that release the GIL, and a barrier to use inside them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from pwm_core.compiling import compiled

from .lowering import intrinsic
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


def barrier_counter() -> np.ndarray:
    """Shared state of `wait` for one group of threads."""
    return np.zeros(16, np.int64)


@intrinsic
def _arrive(typingctx, counter):
    """Count one arrival; returns the number of arrivals before."""

    def code(context, builder, signature, values):
        address = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.atomic_rmw("add", address, ir.Constant(I64, 1), "seq_cst")

    return types.int64(counter), code


@intrinsic
def _arrived(typingctx, counter):
    def code(context, builder, signature, values):
        address = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.load_atomic(address, "acquire", 8)

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
def wait(counter, parties):
    """Return when all ``parties`` threads of the group have called this the same number of times."""
    target = (_arrive(counter) // parties + 1) * parties
    spins = 0
    while _arrived(counter) < target:
        spins += 1
        if spins < 2000:
            _relax()
        else:
            _give_way()
