"""One cell of a benchmark: a method on a scene in a scenario, and the hash of all that decides its result."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from ..errors import BadValue, UnknownName
from ..methods import available, find_method, require_suitable, suitable
from ..record import file_hash
from ..registry import Entry, Registry
from ..scenario import SCENARIOS

NUMERIC = ("numpy", "scipy", "torch", "numba", "scikit-image")
# What shows and scores results does not decide them: re-scoring needs no new run.
_NOT_DECIDING = ("benchmark/", "commands/", "testing/", "cli.py", "figure.py", "metrics.py", "scoring.py")


@dataclass(frozen=True)
class Cell:
    """A run that is fully described by words and numbers, so that any worker can do it."""

    modality: str
    scene: str  # a number, as text, for a generated one
    scenario: str
    method: str
    calibrator: str = ""
    seed: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    simulate: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    device: str = "cpu"
    max_seconds: float = 600.0  # a result that was cut off is another one than that of a longer run

    @property
    def label(self) -> str:
        """``METHOD + CALIBRATOR on MODALITY/SCENE, SCENARIO``."""
        method = f"{self.method} + {self.calibrator}" if self.calibrator else self.method
        return f"{method} on {self.modality}/{self.scene}, {self.scenario}"

    @property
    def command(self) -> str:
        """The command that does this run alone and leaves its folder."""
        words = ["pwm", "run", "--method", self.method, "--modality", self.modality, "--scene", self.scene]
        words += ["--scenario", self.scenario, "--seed", str(self.seed), "--threads", str(self.threads)]
        words += ["--max-seconds", f"{self.max_seconds:g}"]
        words += ["--calibrate", self.calibrator] if self.calibrator else []
        words += ["--device", self.device] if self.device != "cpu" else []
        for option, pairs in (("--set", self.settings), ("--simulate", self.simulate)):
            words += [word for k, v in pairs.items() for word in (option, f"{k}={v}")]
        return shlex.join(words)

    def key(self, found: Registry) -> str:
        """SHA-256 of the cell, the sources and files behind it and the numeric environment."""
        entries = [find_method(found, self.method), found.find(self.modality, "modality")]
        if self.calibrator:
            entries.append(found.find(self.calibrator, "calibrator"))
        facts = {
            "cell": asdict(self),
            "sources": {name: source_digest(name) for name in sorted(_packages(entries))},
            "files": {k: file_hash(Path(v)) for k, v in sorted(self.settings.items()) if os.path.isfile(v)},
            "numeric": environment(),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def choose(
    found: Registry,
    *,
    modalities: Iterable[str] = (),
    methods: Iterable[str] = (),
    scenes: Iterable[str] = (),
    scenarios: Iterable[str] = (),
    calibrators: Iterable[str] = (),
    seed: int = 0,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    simulate: Mapping[str, Mapping[str, str]] | None = None,
    threads: int = 1,
    device: str = "cpu",
    max_seconds: float = 600.0,
) -> list[Cell]:
    """The cells of this selection; an empty one stands for everything that is installed and fits.

    A method that fits none of the chosen modalities is refused with the reason (Unsuitable).
    """
    wanted = [find_method(found, name) for name in methods]
    chosen = [found.find(name, "modality") for name in modalities] or found.of("modality")
    helpers = [found.find(name, "calibrator") for name in calibrators] or found.of("calibrator")
    kinds = list(scenarios) or [s for s in SCENARIOS if s != "calibrated" or helpers]
    if "calibrated" in kinds and not helpers:
        raise BadValue("scenario calibrated needs a calibrator, and none is installed")
    if not 0 < max_seconds < math.inf:
        raise BadValue(f"--max-seconds must be a positive number of seconds for a cell, got {max_seconds:g}")
    _check_owners(found, settings or {}, simulate or {})
    cells = []
    for modality in chosen:
        fitting = suitable(found, modality)
        for method in wanted:
            if len(chosen) == 1:
                require_suitable(found, method, modality)
        names = [e for e in fitting if not wanted or e.qualname in {w.qualname for w in wanted}]
        for scene in list(scenes) or modality.load().scenes:
            for scenario in kinds:
                for method in names:
                    for helper in helpers if scenario == "calibrated" else [None]:
                        cells.append(
                            Cell(
                                modality.card.name,
                                str(scene),
                                scenario,
                                method.card.name,
                                helper.card.name if helper else "",
                                seed,
                                dict((settings or {}).get(method.card.name, {})),
                                dict((simulate or {}).get(modality.card.name, {})),
                                threads,
                                device,
                                max_seconds,
                            )
                        )
    return cells


@functools.cache
def source_digest(package: str) -> str:
    """SHA-256 of a distribution's installed modules and weights."""
    digest = hashlib.sha256()
    for root in _roots(package):
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            skipped = package == "pwm-core" and name.startswith(_NOT_DECIDING)
            if path.suffix in (".py", ".safetensors", ".json") and not skipped and path.is_file():
                digest.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def environment() -> dict[str, str]:
    """Versions of the numeric libraries and the kind of processor, on which the last digits depend."""
    import platform

    facts = {"machine": platform.machine(), "python": platform.python_version()}
    for name in NUMERIC:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    return facts


def _packages(entries: Iterable[Entry]) -> set[str]:
    """The distributions behind these entries and every pwm package that they require."""
    found: set[str] = set()
    waiting = ["pwm-core", *(e.package for e in entries)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            requirements = (Requirement(r) for r in distribution(name).requires or [])
            waiting += [r.name for r in requirements if r.name.startswith("pwm-") and not r.marker]
    return found


def _roots(package: str) -> list[Path]:
    """The folders of a distribution's top-level modules."""
    import importlib.util

    names = {ep.module.split(".")[0] for ep in distribution(package).entry_points if ep.group == "pwm"}
    specs = [importlib.util.find_spec(name) for name in sorted(names)]
    return [Path(place) for s in specs if s for place in s.submodule_search_locations or []]


def _check_owners(found: Registry, settings: Mapping[str, Any], simulate: Mapping[str, Any]) -> None:
    """Settings must belong to something that exists: a misspelt one would act on nothing."""
    methods = {e.card.name for e in available(found)}
    for name in settings:
        if name not in methods:
            raise UnknownName(f"--set {name}.…: no method called {name!r}; write METHOD.SETTING=VALUE")
    for name in simulate:
        if name not in {e.card.name for e in found.of("modality")}:
            raise UnknownName(
                f"--simulate {name}.…: no modality called {name!r}; write MODALITY.SETTING=VALUE"
            )


def owned(pairs: Iterable[str], option: str) -> dict[str, dict[str, str]]:
    """``["method.iterations=20"]`` as ``{"method": {"iterations": "20"}}``."""
    nested: dict[str, dict[str, str]] = {}
    for pair in pairs:
        match = re.fullmatch(r"([^.=]+)\.([^=]+)=(.*)", pair)
        if not match:
            raise BadValue(f"{option} takes OWNER.NAME=VALUE in a benchmark, got {pair!r}")
        nested.setdefault(match[1].strip(), {})[match[2].strip()] = match[3].strip()
    return nested
