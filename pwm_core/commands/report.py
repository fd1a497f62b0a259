"""The table that a run prints."""

from __future__ import annotations

import math
from pathlib import Path

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
    for name, text in _theta(modality, problem, truth, result):
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


def _theta(
    modality: Modality, problem: Problem, truth: Truth | None, result: Result
) -> list[tuple[str, str]]:
    """Each parameter of the page and each that the method estimated: true value, estimate, standard error."""
    names = {spec.path: spec.name for spec in modality.specs}
    signed = {spec.path for spec in modality.specs if spec.nominal == 0}
    estimated = [n for n, v in result.theta.items() if np.ndim(v) == 0 and v is not None]
    errors = result.history[-1] if result.history else {}
    rows: list[tuple[str, str]] = []
    for path in dict.fromkeys([*names, *estimated]):
        form = "+.3g" if path in signed else ".5g"
        known = problem.operator.parameters.get(path)
        unit = f" {known.unit}" if known is not None and known.unit else ""
        words = []
        if truth is not None and path in names and path in truth.theta:
            words.append(f"true {truth.theta[path]:{form}}{unit}")
        if path in estimated:
            value, error = f"{float(result.theta[path]):{form}}", errors.get(f"std:{path}")
            if error is None:
                words.append(f"estimated {value}{unit}")
            elif math.isfinite(error):
                words.append(f"estimated {value} ± {error:.2g}{unit}")
            else:
                words.append(f"kept at {value}{unit}, not determined by the data")
        if words:
            rows.append((names.get(path, path), ", ".join(words)))
    return rows
