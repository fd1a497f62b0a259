"""What a worker does: one cell from its description to its folder in the store."""

from __future__ import annotations

import contextlib
import json
import math
import resource
import signal
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..calibrated import Calibrated
from ..driver import STATUSES, run
from ..errors import PwmError
from ..methods import build, find_method, require_suitable
from ..registry import installed
from ..scenario import pose
from ..scoring import score
from .cell import Cell
from .store import Store

METRIC_FILES = ("metrics.py", "scoring.py")


class OutOfTime(PwmError):
    """A cell took longer than it may."""


def work(
    cell: Cell,
    key: str,
    folder: str,
    max_memory: float = math.inf,
    figures: bool = True,
) -> str:
    """Run one cell and store it; returns "done", "interrupted" or "failed". Errors never leave this function.

    ``max_memory`` is in GiB of the worker's data.
    """
    store = Store(folder)
    try:
        with _limits(cell.max_seconds, max_memory):
            return _solve(cell, key, store, figures)
    except KeyboardInterrupt:
        return "interrupted"
    except BaseException as error:
        store.fail(key, {"cell": vars(cell), "reason": _reason(error), "traceback": traceback.format_exc()})
        return "failed"


def _solve(cell: Cell, key: str, store: Store, figures: bool) -> str:
    from ..formats import save_result
    from ..record import hardware, jsonable, packages

    found = installed()
    modality_entry, entry = found.find(cell.modality, "modality"), find_method(found, cell.method)
    require_suitable(found, entry, modality_entry)
    entries, method = [entry, modality_entry], build(entry, cell.settings)
    if cell.calibrator:
        entries.append(found.find(cell.calibrator, "calibrator"))
        method = Calibrated(calibrator=entries[-1].load()(), reconstructor=method)
    modality = modality_entry.load().from_strings(cell.simulate)
    scene = int(cell.scene) if cell.scene.isdigit() else cell.scene
    problem, truth = pose(modality, scene, cell.scenario, seed=cell.seed)
    result = run(
        method,
        problem,
        seed=cell.seed,
        device=cell.device,
        threads=cell.threads,
        max_seconds=cell.max_seconds,
    )
    if result.status == "interrupted":
        return "interrupted"
    scored = score(result.x, problem, truth, modality, result.theta)
    record = {
        "cell": vars(cell),
        "key": key,
        "command": cell.command,
        "method": entry.qualname,
        "settings": result.method.values(),
        "operator": str(problem.operator),
        "input": {"operator": problem.operator.digest(), "y": problem.y},
        "theta_true": {s.path: truth.theta.get(s.path) for s in modality.specs},
        "theta_assumed": {s.path: problem.operator.theta.get(s.path) for s in modality.specs},
        "theta_estimated": result.theta,
        "calibration": {k: v for k, v in result.history[-1].items() if k.startswith(("std:", "corr:"))},
        "status": result.status,
        "status_means": result.note or STATUSES[result.status],
        "steps": len(result.history),
        "seconds": result.seconds,
        "peak_memory_bytes": result.peak_memory,
        "packages": packages(*entries),
        "hardware": hardware(result.device),
    }
    with store.writing(key) as place:
        save_result(place / "result.h5", result)
        if figures:
            from ..commands.artefacts import draw, heading
            from .gallery import draw_gallery

            title = heading(cell.label.split(" on ")[0], problem, scored, scored.residuals)
            draw(place / "figure.png", modality, problem, truth, result, scored, title)
            draw_gallery(place, modality, problem, truth, result)
        _write_json(place / "score.json", {"metrics": metrics_digest(), **scored.as_dict()})
        _write_json(place / "run.json", jsonable(record))
    return "done"


def metrics_digest() -> str:
    """SHA-256 of the modules that scores come from; scores of another one are taken anew."""
    import hashlib

    here = Path(__file__).parents[1]
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in METRIC_FILES)).hexdigest()


def rescore(cell: Cell, key: str, folder: str) -> None:
    """Score a stored result with the metrics of today, without running its method."""
    from ..formats import load_result

    store = Store(folder)
    modality = installed().find(cell.modality, "modality").load().from_strings(cell.simulate)
    scene = int(cell.scene) if cell.scene.isdigit() else cell.scene
    problem, truth = pose(modality, scene, cell.scenario, seed=cell.seed)
    result = load_result(store.cell(key) / "result.h5")
    scored = score(result.x, problem, truth, modality, result.theta)
    store.put_score(key, {"metrics": metrics_digest(), **scored.as_dict()})


@contextlib.contextmanager
def _limits(max_seconds: float, max_memory: float) -> Iterator[None]:
    """Ends a cell that takes twice its time without coming back to the driver, or too much memory."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if math.isfinite(max_memory):
        resource.setrlimit(resource.RLIMIT_DATA, (int(max_memory * 2**30), before[1]))
    timed = threading.current_thread() is threading.main_thread()
    if timed:
        signal.signal(signal.SIGALRM, _out_of_time)
        signal.setitimer(signal.ITIMER_REAL, 2 * max_seconds + 60)
    try:
        yield
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _out_of_time(signum: int, frame: Any) -> None:
    raise OutOfTime("it did not come back from a step within its time limit")


def _reason(error: BaseException) -> str:
    """One line: the sentence of an error of ours, the type and the text of any other."""
    text = str(error) if isinstance(error, PwmError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split()) or type(error).__name__


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
