"""The folder that a run leaves: result.h5, figure.png and run.json, each written whole or not at all."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from ..driver import Result
from ..errors import BadValue
from ..formats.write import replacing
from ..modality import Modality
from ..problem import Problem, Truth
from ..record import file_hash, jsonable
from ..scoring import Score


def new_folder(wanted: str | None, name: str) -> Path:
    """The folder to write to: the one asked for, which must be new or empty, or a fresh one in pwm-runs."""
    if wanted is not None:
        folder = Path(wanted)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadValue(f"--output {wanted} exists and is not an empty folder; give another name")
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    for number in itertools.count(1):
        folder = Path("pwm-runs") / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")


def write_artefacts(
    folder: Path,
    modality: Modality,
    problem: Problem,
    truth: Truth | None,
    result: Result,
    score: Score | None,
    residuals: dict[str, float],
    label: str,
    record: dict[str, Any],
) -> None:
    """Write the result first, so that a figure that fails loses nothing; the record comes last."""
    from ..formats import save_result

    save_result(folder / "result.h5", result)
    draw(
        folder / "figure.png",
        modality,
        problem,
        truth,
        result,
        score,
        heading(label, problem, score, residuals),
    )
    names = ("result.h5", "figure.png")
    record = {**record, "artefacts": {n: file_hash(folder / n) for n in names}}
    text = json.dumps(jsonable(record), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(folder / "run.json") as file:
        file.write(f"{text}\n".encode())


def heading(label: str, problem: Problem, score: Score | None, residuals: dict[str, float]) -> str:
    """The title of the figure: method, scene, and how good it is."""
    if score is not None:
        quality = f"PSNR {score.psnr:.2f} dB, SSIM {score.ssim:.3f}"
    else:
        quality = ", ".join(f"{name} {value:.4f}" for name, value in residuals.items())
    return " · ".join(part for part in (label, problem.name, quality) if part)


def draw(
    path: Path,
    modality: Modality,
    problem: Problem,
    truth: Truth | None,
    result: Result,
    score: Score | None,
    title: str,
) -> None:
    """Write the modality's figure as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = modality.figure(problem, result, truth, score, title)
    try:
        with replacing(path) as file:
            figure.savefig(file, dpi=150, format="png")
    finally:
        pyplot.close(figure)
