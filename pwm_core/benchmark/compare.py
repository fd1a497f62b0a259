"""Two result sets compared: what got better or worse beyond the spread from run to run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from ..errors import BadFile, BadValue
from .results import Row

RESULTS = "results.jsonl"
NEEDED = (
    "modality",
    "scene",
    "scenario",
    "method",
    "calibrator",
    "simulate",
    "settings",
    "seed",
    "status",
    "reason",
)


class Name(NamedTuple):
    """What identifies a cell in both sets. Settings do not: they are what may have changed."""

    modality: str
    scene: str
    scenario: str
    method: str
    calibrator: str
    simulate: str  # settings of the simulated instrument, as text

    def __str__(self) -> str:
        method = f"{self.method} + {self.calibrator}" if self.calibrator else self.method
        return f"{method} on {self.modality}/{self.scene}, {self.scenario}"


@dataclass(frozen=True)
class Tolerance:
    """Changes up to these sizes are taken as none; ``seconds`` is a part of the time, and only reported."""

    psnr: float = 0.1  # dB
    score: float = 0.005
    seconds: float = 0.2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise BadValue(f"the tolerance of {name} must be 0 or more, got {value}")


@dataclass(frozen=True)
class Change:
    """A number in both sets, mean over the seeds that they share."""

    before: float
    after: float
    threshold: float  # changes that are not larger mean nothing

    @property
    def size(self) -> float:
        return 0.0 if self.before == self.after else self.after - self.before

    @property
    def sign(self) -> int:
        """1 better, −1 worse, 0 neither."""
        return 0 if abs(self.size) <= self.threshold else 1 if self.size > 0 else -1


@dataclass(frozen=True)
class Compared:
    """A cell that is in both sets; ``reason`` says why one of them has no result."""

    name: Name
    seeds: int
    psnr: Change | None = None
    score: Change | None = None
    time: Change | None = None
    verdict: str = "unchanged"  # "better", "worse" or "unchanged"
    reason: str = ""
    resettled: bool = False  # the method's settings differ


@dataclass(frozen=True)
class Comparison:
    """Every cell of two sets."""

    both: list[Compared]
    only_first: list[Name]
    only_second: list[Name]

    def of(self, verdict: str) -> list[Compared]:
        return [c for c in self.both if c.verdict == verdict]


def load_rows(path: str | Path) -> list[Row]:
    """The rows of a benchmark's folder or of its results.jsonl; BadFile if they cannot be read."""
    path = Path(path)
    file = path / RESULTS if path.is_dir() else path
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(
            f"{file} cannot be read ({error}); give the folder of a benchmark, or its {RESULTS}"
        ) from error
    return [_row(line, f"{file}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def compare(first: Iterable[Row], second: Iterable[Row], tolerance: Tolerance = Tolerance()) -> Comparison:
    """Match cells by what they are, and seeds by number, and judge every change.

    A mean change means something if it is above the tolerance and, where several seeds are in both
    sets, also outside the 95 % interval of the differences from seed to seed (Student's t). BadValue
    if the sets share no cell.
    """
    old, new = _by_name(first), _by_name(second)
    shared = [name for name in old if name in new]
    if not shared:
        raise BadValue(
            f"the sets of {len(old)} and {len(new)} cells have none in common; cells are matched by "
            "modality, simulated instrument, scene, scenario, method and calibrator"
        )
    return Comparison(
        [_compared(name, old[name], new[name], tolerance) for name in shared],
        [name for name in old if name not in new],
        [name for name in new if name not in old],
    )


def _compared(name: Name, old: dict[int, Row], new: dict[int, Row], tolerance: Tolerance) -> Compared:
    seeds = sorted(old.keys() & new.keys())
    if not seeds:
        return Compared(name, 0, reason="no seed in common")
    pairs = [(old[s], new[s]) for s in seeds]
    resettled = any(a["settings"] != b["settings"] for a, b in pairs)
    lost = next((b for a, b in pairs if _solved(a) and not _solved(b)), None)
    if lost is not None:
        return Compared(name, len(seeds), verdict="worse", reason=_why(lost), resettled=resettled)
    gained = next((a for a, b in pairs if _solved(b) and not _solved(a)), None)
    if gained is not None:
        return Compared(name, len(seeds), verdict="better", reason=f"was {_why(gained)}", resettled=resettled)
    pairs = [(a, b) for a, b in pairs if _solved(a)]
    if not pairs:
        return Compared(name, len(seeds), reason=_why(new[seeds[0]]), resettled=resettled)
    psnr = _change(pairs, "psnr", tolerance.psnr)
    score = _change(pairs, "standard" if name.scenario == "ideal" else "blind", tolerance.score)
    time = _change(pairs, "seconds", tolerance.seconds * fmean(a["seconds"] for a, _ in pairs))
    signs = {psnr.sign, score.sign}
    verdict = "worse" if -1 in signs else "better" if 1 in signs else "unchanged"
    return Compared(name, len(pairs), psnr, score, time, verdict, resettled=resettled)


def _change(pairs: list[tuple[Row, Row]], column: str, tolerance: float) -> Change:
    before, after = ([r[column] for r in part] for part in zip(*pairs, strict=True))
    differences = [b - a for a, b in zip(before, after, strict=True) if a != b or math.isfinite(a)]
    return Change(_mean(before), _mean(after), max(tolerance, _interval(differences)))


def _mean(values: list[float]) -> float:
    """A diverged run is −∞, and so is a mean with one."""
    return -math.inf if -math.inf in values else fmean(values)


def _interval(differences: list[float]) -> float:
    """Half of the 95 % confidence interval of the mean difference; 0 with a single seed."""
    if len(differences) < 2 or not all(map(math.isfinite, differences)):
        return 0.0
    from scipy.stats import t

    count = len(differences)
    return float(t.ppf(0.975, count - 1)) * stdev(differences) / math.sqrt(count)


def _by_name(rows: Iterable[Row]) -> dict[Name, dict[int, Row]]:
    found: dict[Name, dict[int, Row]] = {}
    for r in rows:
        instrument = json.dumps(r["simulate"], sort_keys=True)
        name = Name(r["modality"], r["scene"], r["scenario"], r["method"], r["calibrator"], instrument)
        found.setdefault(name, {})[r["seed"]] = r
    return found


def _solved(row: Row) -> bool:
    return row.get("standard") is not None


def _why(row: Row) -> str:
    return f"{row['status']}: {row['reason']}" if row["reason"] else row["status"]


def _row(line: str, place: str) -> Row:
    try:
        row = json.loads(line)
        missing = [n for n in NEEDED if n not in row]
        if missing:
            raise ValueError(f"it has no {', '.join(missing)}")
        scores = ("psnr", "ssim", "standard", "blind", "seconds") if _solved(row) else ()
        return {**row, **{n: _number(row, n) for n in scores}}
    except (ValueError, TypeError, KeyError) as error:
        raise BadFile(f"{place} is not a row of a benchmark ({error}); expected {RESULTS}") from error


def _number(row: dict[str, Any], name: str) -> float:
    value = float(row[name])  # JSON has no infinity: "-inf" is text there
    if math.isnan(value):
        raise ValueError(f"{name} is not a number")
    return value
