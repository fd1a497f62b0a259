"""``pwm run``: one method on one problem, and what it leaves behind."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..calibrated import Calibrated
from ..driver import STATUSES, Result, run
from ..errors import BadValue
from ..method import Iterate, Reconstructor
from ..methods import build, find_method, require_suitable
from ..modality import Modality
from ..problem import Problem, Truth
from ..reader import find_reader
from ..registry import Entry, installed
from ..scenario import pose
from ..scoring import Score, score
from ..units import quantity
from .artefacts import new_folder, write_artefacts
from .report import show


def run_command(arguments: argparse.Namespace) -> int:
    """Run, score, print the table, write the folder."""
    _log_to_stderr()
    found = installed()
    modality_entry = found.find(arguments.modality, "modality")
    entry = find_method(found, arguments.method)
    require_suitable(found, entry, modality_entry)
    method = build(entry, pairs(arguments.set, "--set"))
    modality = modality_entry.load().from_strings(pairs(arguments.simulate, "--simulate"))
    problem, truth, source = _pose(arguments, modality)
    method, calibrator = _with_calibrator(method, arguments)
    folder = new_folder(arguments.output, _folder_name(arguments, problem))

    with _Progress(entry.card.name, method) as progress:
        result = run(
            method,
            problem,
            seed=arguments.seed,
            device=arguments.device,
            dtype=arguments.dtype,
            threads=arguments.threads,
            max_seconds=arguments.max_seconds,
            tolerance=arguments.tolerance,
            watch=[progress],
        )
    found_score = score(result.x, problem, truth, modality, result.theta) if truth is not None else None
    residuals = _residuals(found_score, result, problem, modality)
    label = entry.card.name + (f" + {arguments.calibrate}" if arguments.calibrate else "")
    entries = [entry, modality_entry, *([calibrator] if calibrator else [])]
    record = _record(arguments, entries, source, problem, truth, result, found_score, residuals)
    write_artefacts(folder, modality, problem, truth, result, found_score, residuals, label, record)
    show(label, modality, problem, truth, result, found_score, residuals, folder)
    if result.status == "interrupted":
        return 130
    return 1 if result.status == "diverged" else 0


def _pose(arguments: argparse.Namespace, modality: Modality) -> tuple[Problem, Truth | None, dict[str, Any]]:
    """The problem, its truth if it is simulated, and where it comes from."""
    if arguments.input is not None:
        for option in ("scene", "scenario", "simulate", "theta"):
            if getattr(arguments, option):
                raise BadValue(f"--{option} is for simulated scenes and cannot be used with --input")
        path = Path(arguments.input)
        reader = find_reader(installed(), path, modality.name)
        problem = reader.load().from_strings(pairs(arguments.assume, "--assume")).read(path)
        return problem, None, {"file": str(path), "reader": reader.qualname}
    if arguments.assume:
        raise BadValue("--assume supplies what a measured file lacks; give the file with --input")
    scene: str | int = arguments.scene or modality.scenes[0]
    if isinstance(scene, str) and scene.isdigit():
        scene = int(scene)
    scenario = arguments.scenario or ("calibrated" if arguments.calibrate else "ideal")
    if scenario == "calibrated" and not arguments.calibrate:
        raise BadValue("scenario calibrated needs a calibrator: --calibrate NAME (see pwm list-calibrators)")
    theta = {}
    for name, text in pairs(arguments.theta, "--theta").items():
        spec = modality.spec(name)
        theta[spec.path] = quantity(text, spec.unit)
    problem, truth = pose(modality, scene, scenario, seed=arguments.seed, theta=theta)
    return problem, truth, {"scene": scene, "scenario": scenario, "simulate": modality.values()}


def _with_calibrator(
    method: Reconstructor, arguments: argparse.Namespace
) -> tuple[Reconstructor, Entry | None]:
    if not arguments.calibrate:
        return method, None
    entry = installed().find(arguments.calibrate, "calibrator")
    return Calibrated(calibrator=entry.load()(), reconstructor=method), entry


def _residuals(found: Score | None, result: Result, problem: Problem, modality: Modality) -> dict[str, float]:
    """How well the model with the result explains the data; empty if the result is not finite."""
    if found is not None:
        return found.residuals
    if result.status == "diverged":
        return {}
    return modality.residuals(problem.predict(result.x, result.theta), problem)


def _record(
    arguments: argparse.Namespace,
    entries: list[Entry],
    source: dict[str, Any],
    problem: Problem,
    truth: Truth | None,
    result: Result,
    found: Score | None,
    residuals: dict[str, float],
) -> dict[str, Any]:
    import shlex

    from ..record import array_hash, hardware, packages

    return {
        "command": "pwm " + shlex.join(sys.argv[1:]),
        "method": entries[0].qualname,
        "settings": result.method.values(),
        "calibrator": arguments.calibrate,
        "modality": entries[1].qualname,
        "source": source,
        "seed": result.seed,
        "input": {"y": array_hash(problem.y), "operator": problem.operator.digest()},
        "theta_true": truth.theta if truth else None,
        "theta_estimated": result.theta,
        "status": result.status,
        "status_means": result.note or STATUSES[result.status],
        "steps": len(result.history),
        "seconds": result.seconds,
        "peak_memory_bytes": result.peak_memory,
        "device": result.device,
        "score": found.as_dict() if found else None,
        "residuals": residuals,
        "packages": packages(*entries),
        "hardware": hardware(result.device),
    }


def _folder_name(arguments: argparse.Namespace, problem: Problem) -> str:
    words = [arguments.modality, arguments.method, problem.name, arguments.scenario or ""]
    safe = "-".join(w for w in words if w)
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in safe)


def pairs(items: Iterable[str], option: str) -> dict[str, str]:
    """``["iterations=20"]`` as ``{"iterations": "20"}``; ``option`` is named when one cannot be read."""
    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise BadValue(f"{option} takes NAME=VALUE, got {item!r}")
        found[name.strip()] = value.strip()
    return found


def _log_to_stderr() -> None:
    logger = logging.getLogger("pwm")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


class _Progress:
    """A bar on standard error with the loss and the time left; silent where nobody looks."""

    def __init__(self, name: str, method: Reconstructor) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.task = self.bar.add_task(name, total=getattr(method, "iterations", None), loss="")

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def __call__(self, step: int, iterate: Iterate) -> None:
        loss = "" if iterate.loss is None else f"loss {float(iterate.loss):.4g}"
        self.bar.update(self.task, completed=step, loss=loss)
