"""Compare our methods with the peers at hand on the reference scan, on one thread: a table and a JSON file.

    python tests/benchmarks/compare.py --window 64 --sweeps 100 --long 3000 --long-peers 300 --json table.json

Peers are optional: requirements-peers.txt. Long runs show who diverges; without them it takes ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peers import installed
from rich.console import Console
from rich.table import Table

ONE_THREAD = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")},
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TQDM_DISABLE": "1",
    "MPLBACKEND": "agg",
}


def comparison(window: int, sweeps: int, long: int = 0, long_peers: int = 0) -> dict[str, Any]:
    """Time, quality, memory and the ratio to the transforms of every method on frames of window x window.

    ``long`` and ``long_peers`` are the sweeps of a further run of each of our and of the peers' methods.
    """
    found = measured("timings", window=window, sweeps=sweeps)
    floor = min(found["transforms_ms"].values())
    for label, row in found["methods"].items():
        row["ratio_to_transforms"] = row["best_ms"] / floor
        row |= measured("memory", window=window, label=label)
        if more := long if label.startswith("pwm ") else long_peers:
            row |= measured("endurance", window=window, sweeps=more, label=label)
    ours, peers = fastest(found, "pwm epie"), fastest(found, " ePIE")
    machine = {"processor": _processor(), "load": os.getloadavg(), "cores": os.cpu_count()}
    return {
        "window": window,
        "frames": 400,
        "ratio_to_fastest_epie": peers / ours if peers else None,
        "versions": installed(),
        "machine": machine,
        **found,
    }


def measured(what: str, **options: Any) -> Any:
    """What `measure.py` finds in a process of its own with one thread."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        flags = [f"--{name}={value}" for name, value in options.items()]
        command = [
            sys.executable,
            "-W",
            "ignore",
            str(Path(__file__).with_name("measure.py")),
            what,
            str(out),
        ]
        done = subprocess.run(
            [*command, *flags], env={**os.environ, **ONE_THREAD}, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise RuntimeError(f"measure.py {what} {' '.join(flags)} failed:\n{done.stderr[-2000:]}")
        return json.loads(out.read_text())


def fastest(found: dict[str, Any], kind: str) -> float | None:
    """Best time (ms) of a sweep among the methods whose label ends so."""
    times = [row["best_ms"] for label, row in found["methods"].items() if label.endswith(kind)]
    return min(times) if times else None


def show(found: dict[str, Any]) -> None:
    n, floor = found["window"], found["transforms_ms"]
    title = f"{found['frames']} frames of {n} x {n}, one thread"
    table = Table(title=title, title_justify="left")
    for heading in (
        "method",
        "ms a sweep",
        "median",
        "CPU ms",
        "/ FFT",
        "cores",
        "peak MB",
        "after",
        "NRMSE",
        "PSNR",
        "SSIM",
        "in a long run",
    ):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for label, row in sorted(found["methods"].items(), key=lambda item: item[1]["best_ms"]):
        peak = "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.0f}"
        columns = [_lines(row, key, digits) for key, digits in (("nrmse", 4), ("psnr", 1), ("ssim", 3))]
        table.add_row(
            label,
            f"{row['best_ms']:.1f}",
            f"{row['median_ms']:.1f}",
            f"{row['processor_ms']:.1f}",
            f"{row['ratio_to_transforms']:.1f}",
            f"{row['cores']:.2f}",
            peak,
            "\n".join(row["quality"]),
            *columns,
            "\n".join(f"{done}: {nrmse:.3f}" for done, nrmse in row.get("later", {}).items()),
            end_section=True,
        )
    console = Console(width=130)
    console.print(table)
    transforms = ", ".join(f"{name} {ms:.1f}" for name, ms in floor.items())
    console.print(f"Transforms alone, forward and inverse of every frame (ms): {transforms}")
    if found["ratio_to_fastest_epie"]:
        console.print(f"The fastest peer's ePIE takes {found['ratio_to_fastest_epie']:.1f} times ours.")
    console.print(f"Versions: {found['versions']}; machine: {found['machine']}")
    for name, reason in found["failed"].items():
        console.print(f"{name} failed: {reason}")


def _lines(row: dict[str, Any], key: str, digits: int) -> str:
    return "\n".join(f"{quality[key]:.{digits}f}" for quality in row["quality"].values())


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=100)
    parser.add_argument("--long", type=int, default=0, help="sweeps of a long run of each of our methods")
    parser.add_argument("--long-peers", type=int, default=0, help="the same of the peers' methods")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = comparison(options.window, options.sweeps, options.long, options.long_peers)
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
