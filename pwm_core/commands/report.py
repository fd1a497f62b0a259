"""The table that a run prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..driver import STATUSES, Result
from ..modality import Modality
from ..problem import Problem, Truth
from ..scoring import Score


def show(
    label: str,
    modality: Modality,
    problem: Problem,
    truth: Truth | None,
    result: Result,
    score: Score | None,
    residuals: dict[str, float],
    folder: Path,
) -> None:
    """Print what was done, how well it fits, and where the result lies."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row(f"{label} on {modality.name}", problem.name)
    table.add_row("operator", str(problem.operator))
    for name, text in _quality(score, residuals):
        table.add_row(name, text)
    for name, text in _theta(modality, truth, result):
        table.add_row(name, text)
    steps = f"{len(result.history)} step{'s' if len(result.history) != 1 else ''} in {result.seconds:.2f} s"
    table.add_row("run", f"{steps} on {result.device}, peak memory {result.peak_memory / 2**20:.0f} MiB")
    if result.status != "finished":
        table.add_row("status", f"{result.status}: {result.note or STATUSES[result.status]}")
    table.add_row("written to", str(folder))
    Console(highlight=False, soft_wrap=True).print(table)


def _quality(score: Score | None, residuals: dict[str, float]) -> list[tuple[str, str]]:
    rows = []
    if score is not None:
        if score.reason:
            rows.append(("score", f"0: {score.reason}"))
        for name, view in score.views.items():
            rows.append((name, f"PSNR {view['psnr']:.2f} dB, SSIM {view['ssim']:.4f}"))
        rows.append(("standard score", f"{score.standard:.4f}"))
        rows.append(("blind score", f"{score.blind:.4f}"))
        rows.append(("consistency", f"{score.consistency:.4f}"))
    rows += [(name, f"{value:.5g}") for name, value in residuals.items()]
    return rows


def _theta(modality: Modality, truth: Truth | None, result: Result) -> list[tuple[str, str]]:
    """Each parameter of the page: true, and estimated where the method did so."""
    rows: list[tuple[str, str]] = []
    for spec in modality.specs:
        words = []
        if truth is not None and spec.path in truth.theta:
            words.append(f"true {truth.theta[spec.path]:+.3g} {spec.unit}")
        estimate: Any = result.theta.get(spec.path)
        if estimate is not None and np.ndim(estimate) == 0:
            words.append(f"estimated {float(estimate):+.3g} {spec.unit}")
        if words:
            rows.append((spec.name, ", ".join(words)))
    return rows
