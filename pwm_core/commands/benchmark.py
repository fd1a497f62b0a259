"""``pwm benchmark``: every method on every modality, resumed where it was left."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from ..benchmark import results
from ..benchmark.cell import Cell, choose, owned
from ..benchmark.pool import outcomes
from ..benchmark.report import write_report
from ..benchmark.store import Store
from ..benchmark.worker import metrics_digest, rescore, work
from ..errors import BadValue
from ..executors import ExecutorFactory
from ..registry import Registry, installed
from .run import pairs


def benchmark(arguments: argparse.Namespace) -> int:
    """Run what is missing, score, write results, tables and report; 1 if a cell has no result."""
    found = installed()
    cells = choose(
        found,
        modalities=arguments.modality,
        methods=arguments.method,
        scenes=arguments.scene,
        scenarios=arguments.scenario,
        calibrators=arguments.calibrate,
        seed=arguments.seed,
        settings=owned(arguments.set, "--set"),
        simulate=owned(arguments.simulate, "--simulate"),
        threads=arguments.threads,
        device=arguments.device,
        max_seconds=arguments.max_seconds,
    )
    if not cells:
        raise BadValue("no installed method fits this selection; see pwm list-methods")
    for option in ("workers", "threads"):
        if getattr(arguments, option) is not None and getattr(arguments, option) < 1:
            raise BadValue(f"--{option} must be at least 1, got {getattr(arguments, option)}")
    entry = found.find(arguments.executor, "executor")
    executor = entry.load().from_strings(pairs(arguments.executor_set, "--executor-set"))
    store = Store(arguments.output)
    keyed = {cell.key(found): cell for cell in cells}
    console = Console(stderr=True, highlight=False)
    _run_missing(keyed, store, executor, arguments, console)
    today = metrics_digest()
    for key, cell in keyed.items():
        if store.done(key) and store.score(key)["metrics"] != today:
            rescore(cell, key, str(store.folder))
    table = results.rows(keyed.items(), store)
    _write(store, table, found)
    _show(table, Console(highlight=False))
    console.print(
        f"results in {store.folder}: report.html, results.jsonl, table.md, and a folder for each cell"
    )
    return 0 if all(r["status"] not in ("failed", "missing") for r in table) else 1


def _run_missing(
    keyed: dict[str, Cell],
    store: Store,
    executor: ExecutorFactory,
    arguments: argparse.Namespace,
    console: Console,
) -> None:
    store.sweep()
    missing = [key for key in keyed if not store.done(key)]
    console.print(f"{len(keyed)} cells, {len(keyed) - len(missing)} of them done already")
    if not missing:
        return
    options = (arguments.max_memory, not arguments.no_figures)
    jobs: list[tuple[str, tuple[Any, ...]]] = [
        (key, (keyed[key], key, str(store.folder.resolve()), *options)) for key in missing
    ]
    room = (arguments.workers, arguments.threads)
    with _progress(console, len(missing)) as advance:
        for key, outcome in outcomes(jobs, _work, lambda: executor.open(*room), executor.width(*room)):
            if outcome == "done" and not store.done(key):
                outcome = f"its worker has stored it, but not where {store.folder.resolve()} is here"
            if outcome not in ("done", "failed", "interrupted"):
                store.fail(key, {"cell": vars(keyed[key]), "reason": outcome, "traceback": ""})
            advance(keyed[key].label)
            failure = store.failure(key)
            if failure:
                console.print(f"[red]failed[/red] {keyed[key].label}: {failure['reason']}")


def _work(cell: Cell, key: str, folder: str, *options: Any) -> str:
    """A cell that fails is tried once more: what a busy machine caused may pass."""
    if not Path(folder).is_dir():
        return f"its worker does not see {folder}; give --output a folder that this machine shares with it"
    if cell.key(installed()) != key:
        return "its worker has other sources or versions than this machine; install the same on both"
    first = work(cell, key, folder, *options)
    return work(cell, key, folder, *options) if first == "failed" else first


def _write(store: Store, table: list[results.Row], found: Registry) -> None:
    lines = [json.dumps(_finite(r), ensure_ascii=False, allow_nan=False, sort_keys=True) for r in table]
    store.write("results.jsonl", "\n".join(lines) + "\n")
    scenarios = list(dict.fromkeys(r["scenario"] for r in table))
    store.write("table.md", "\n".join(results.markdown(table, s) for s in scenarios))
    write_report(store, table, found)


def _show(table: list[results.Row], console: Console) -> None:
    shown = Table(box=None, pad_edge=False)
    for name in ("modality", "scenario", "method", "PSNR dB", "SSIM", "score", "s", "cells"):
        shown.add_column(name, justify="left" if name in ("modality", "scenario", "method") else "right")
    groups: dict[tuple[str, str, str], list[results.Row]] = {}
    for r in table:
        name = r["method"] + (f" + {r['calibrator']}" if r["calibrator"] else "")
        groups.setdefault((r["modality"], r["scenario"], name), []).append(r)

    def standing(item: tuple[tuple[str, str, str], list[results.Row]]) -> tuple[str, str, float]:
        return item[0][0], item[0][1], -(results.mean(item[1], "standard") or 0)

    for names, part in sorted(groups.items(), key=standing):
        numbers = [results.mean(part, n) for n in ("psnr", "ssim", "standard", "seconds")]
        words = ["" if n is None else f"{n:.{d}f}" for n, d in zip(numbers, (2, 4, 4, 2), strict=True)]
        shown.add_row(*names, *words, f"{len(results.scored(part))}/{len(part)}")
    console.print(shown)
    for (modality, method, calibrator), scenes in results.recoveries(table).items():
        ratios = [s.ratio for s in scenes if s.ratio is not None]
        ratio = f"{fmean(ratios):.2f}" if ratios else "none: the gap is at most 0.5 dB"
        first, second, third = (fmean(part) for part in list(zip(*scenes, strict=True))[1:4])
        console.print(
            f"{modality}: {method} + {calibrator} recovers ρ = {ratio} "
            f"(PSNR I {first:.2f}, II {second:.2f}, III {third:.2f} dB)"
        )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return str(value) if isinstance(value, float) and value - value != 0 else value


class _progress:
    """A bar over all cells with the time left, on standard error where somebody looks."""

    def __init__(self, console: Console, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self.bar = Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
        self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> Any:
        self.bar.start()
        return lambda label: self.bar.update(self.task, advance=1, description=label)

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()
