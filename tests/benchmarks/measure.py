"""Measurements of one process that computes on one thread; `compare.py` starts it and reads its JSON."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import io
import json
import os
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ours import METHODS as OURS
from peers import Reconstruct, installed, load
from scan import Scan, reference
from scipy import fft

MARKS = (20, 50, 100)  # sweeps after which the object is scored
LATER = (100, 300, 1000, 3000)  # in a long run


class Stopwatch:
    """Time (wall and processor) of every sweep but the first, and the quality at the marks."""

    def __init__(self, scan: Scan, marks: tuple[int, ...]) -> None:
        self.scan, self.marks, self.done = scan, marks, 0
        self.wall: list[float] = []
        self.processor: list[float] = []
        self.quality: dict[int, dict[str, float]] = {}
        self._since = time.perf_counter(), time.process_time()
        self._current: Any = None

    def __call__(self, current: Any) -> None:
        self.done, self._current = self.done + 1, current
        if self.done in self.marks:
            found = np.asarray(current())  # waits for what is still being computed
        now = time.perf_counter(), time.process_time()
        if self.done > 1:  # the first one sets up and compiles
            self.wall.append(now[0] - self._since[0])
            self.processor.append(now[1] - self._since[1])
        if self.done in self.marks:
            self.quality[self.done] = self.scan.quality(found)
        self._since = time.perf_counter(), time.process_time()

    def finish(self) -> None:
        """Score the last sweep too, of a method that ends by itself."""
        if self.done and self.done not in self.quality:
            self.quality[self.done] = self.scan.quality(np.asarray(self._current()))


def timings(window: int, sweeps: int) -> dict[str, Any]:
    """Every method once, and ours again after each peer, so that all see the machine in all its moods."""
    scan, failed = reference(window), {}
    watches: dict[str, list[Stopwatch]] = {}

    def go(methods: dict[str, Reconstruct]) -> None:
        for label, method in methods.items():
            watches.setdefault(label, []).append(Stopwatch(scan, MARKS))
            quietly(method, scan, sweeps, watches[label][-1])
            watches[label][-1].finish()

    floor = transforms(window, len(scan.frames))
    go(OURS)
    for name in installed():
        try:
            go(load(name))
        except Exception:  # a peer that does not work here is reported, and the others go on
            failed[name] = traceback.format_exc(limit=-1).strip().splitlines()[-1]
        go(OURS)
    again = transforms(window, len(scan.frames))
    return {
        "methods": {label: summary(found) for label, found in watches.items() if found[0].wall},
        "failed": failed,
        "transforms_ms": {name: min(ms, again[name]) for name, ms in floor.items()},
    }


def summary(watches: list[Stopwatch]) -> dict[str, Any]:
    wall = np.array([s for watch in watches for s in watch.wall])
    processor = sum(s for watch in watches for s in watch.processor)
    return {
        "best_ms": 1e3 * float(wall.min()),
        "median_ms": 1e3 * float(np.median(wall)),
        "processor_ms": 1e3 * float(np.median([s for watch in watches for s in watch.processor])),
        "cores": float(processor / wall.sum()),
        "sweeps": len(wall),
        "quality": watches[0].quality,
    }


def quietly(method: Reconstruct, scan: Scan, sweeps: int, watch: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        method(scan, sweeps, watch)


def transforms(window: int, frames: int, tries: int = 5) -> dict[str, float]:
    """Best time (ms) of one forward and one inverse transform of every frame, by library."""
    rng = np.random.default_rng(0)
    waves = rng.standard_normal((frames, window, window, 2), dtype=np.float32).view(np.complex64)[..., 0]
    tensors = torch.from_numpy(waves)
    runs = {
        "scipy": lambda: [fft.ifft2(fft.fft2(w)) for w in waves],
        "scipy, 20 at a time": lambda: [fft.ifft2(fft.fft2(waves[i : i + 20])) for i in range(0, frames, 20)],
        "torch": lambda: [torch.fft.ifft2(torch.fft.fft2(w)) for w in tensors],
        "torch, 20 at a time": lambda: [torch.fft.ifft2(torch.fft.fft2(w)) for w in tensors.split(20)],
    }
    with contextlib.suppress(ImportError):
        runs["pyfftw"] = _planned(waves)
    return {name: 1e3 * min(_seconds(f) for _ in range(tries)) for name, f in runs.items()}


def _planned(waves: np.ndarray) -> Any:
    import pyfftw

    a, b = (pyfftw.empty_aligned(waves.shape[1:], "complex64") for _ in range(2))
    forward = pyfftw.FFTW(a, b, axes=(0, 1), flags=("FFTW_PATIENT",))
    inverse = pyfftw.FFTW(b, a, axes=(0, 1), direction="FFTW_BACKWARD", flags=("FFTW_PATIENT",))

    def go() -> None:
        for wave in waves:
            a[:] = wave
            forward.execute()
            inverse.execute()

    return go


def _seconds(function: Any) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def memory(window: int, label: str) -> dict[str, int | None]:
    """Peak memory (bytes) of three sweeps, above what the process holds with scan and package loaded."""
    method = everything()[label]
    quietly(method, reference(window, side=3), 2, lambda current: None)  # compiles, loads what is loaded late
    scan = reference(window)
    peak_reset = Path("/proc/self/clear_refs")
    if not peak_reset.exists():
        return {"peak_bytes": None}
    gc.collect()
    with contextlib.suppress(AttributeError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)  # what is free already would hide what is taken next
    peak_reset.write_text("5")
    before = _status("VmRSS")
    quietly(method, scan, 3, lambda current: None)
    return {"peak_bytes": _status("VmHWM") - before, "data_bytes": scan.frames.nbytes}


def endurance(window: int, sweeps: int, label: str) -> dict[str, Any]:
    """NRMSE during one long run, by sweep, and what ended it early, if anything did."""
    watch, failed = Stopwatch(reference(window), LATER), None
    try:
        quietly(everything()[label], watch.scan, sweeps, watch)
    except Exception:  # some raise where they diverge
        failed = traceback.format_exc(limit=-1).strip().splitlines()[-1]
    watch.finish()
    return {"later": {done: found["nrmse"] for done, found in watch.quality.items()}, "ended_by": failed}


def _status(field: str) -> int:
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith(field))
    return 1024 * int(line.split()[1])


def fixed_point(window: int) -> dict[str, float]:
    """NRMSE after two sweeps from the truth on data without noise: near 0 if an adapter's terms are right."""
    scan = reference(window, side=8).at_the_truth()
    found = {}
    for label, method in everything().items():
        watch = Stopwatch(scan, (2,))
        quietly(method, scan, 2, watch)
        found[label] = watch.quality[2]["nrmse"]
    return found


def everything() -> dict[str, Reconstruct]:
    """Ours, and the methods of all peers that can be imported."""
    table = dict(OURS)
    for name in installed():
        with contextlib.suppress(Exception):  # `timings` reports what fails
            table |= load(name)
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["timings", "memory", "endurance", "fixed_point"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=100)
    parser.add_argument("--label", default="")
    options = parser.parse_args()
    assert os.environ.get("OMP_NUM_THREADS") == "1"
    torch.set_num_threads(1)
    if options.what == "timings":
        found: Any = timings(options.window, options.sweeps)
    elif options.what == "memory":
        found = memory(options.window, options.label)
    elif options.what == "endurance":
        found = endurance(options.window, options.sweeps, options.label)
    else:
        found = fixed_point(options.window)
    options.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
