"""Rows of a benchmark put together: one standing for each method in each modality and scenario."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from ...scenario import SCENARIOS
from ..results import Row, cut_short, mean, recoveries, scored

TITLES = {
    "ideal": ("I", "the method knows the true state of the instrument"),
    "mismatch": ("II", "the method knows the nominal state only"),
    "calibrated": ("III", "a calibrator first estimates the state from the data"),
}


@dataclass(frozen=True)
class Standing:
    """A method, with its calibrator if any, over all scenes and seeds of a modality in one scenario."""

    modality: str
    scenario: str
    method: str
    calibrator: str
    rows: tuple[Row, ...]
    ratio: float | None  # mean recovery ratio ρ over the scenes that have one

    @property
    def name(self) -> str:
        return with_calibrator(self.method, self.calibrator)

    @property
    def anchor(self) -> str:
        """Its place on the modality's page."""
        return "-".join(part for part in (self.scenario, self.method, self.calibrator) if part)

    @property
    def complete(self) -> bool:
        return len(scored(self.rows)) == len(self.rows)

    @property
    def remark(self) -> str:
        """What its numbers lack: scenes without a result, or runs that ended at the time limit."""
        missing, stopped, total = (
            len(self.rows) - len(scored(self.rows)),
            len(cut_short(self.rows)),
            len(self.rows),
        )
        words = [f"{missing} of {total} without result"] if missing else []
        return ", ".join(words + ([f"{stopped} of {total} stopped at the time limit"] if stopped else []))

    def mean(self, column: str) -> float | None:
        return mean(self.rows, column)

    @property
    def score(self) -> float | None:
        return self.mean(score_column(self.scenario))


def score_column(scenario: str) -> str:
    """The score that counts: the standard one where the model is known, else the blind one."""
    return "standard" if scenario == "ideal" else "blind"


def with_calibrator(method: str, calibrator: str) -> str:
    return f"{method} + {calibrator}" if calibrator else method


def standings(table: Iterable[Row]) -> list[Standing]:
    """All standings, by modality and scenario; the best first, those that lack cells after the others."""
    table = list(table)
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for r in table:
        groups.setdefault((r["modality"], r["scenario"], r["method"], r["calibrator"]), []).append(r)
    ratios = recovery_ratios(table)
    found = []
    for (modality, scenario, method, calibrator), rows in groups.items():
        ratio = ratios.get((modality, method, calibrator))
        found.append(Standing(modality, scenario, method, calibrator, tuple(rows), ratio))
    return sorted(found, key=_order)


def recovery_ratios(table: list[Row]) -> dict[tuple[str, str, str], float]:
    """(modality, method, calibrator) -> mean ρ, where any scene has a gap to recover."""
    found = {}
    for key, scenes in recoveries(table).items():
        values = [s.ratio for s in scenes if s.ratio is not None]
        if values:
            found[key] = fmean(values)
    return found


def _order(s: Standing) -> tuple[str, int, bool, float, str]:
    score = -1.0 if s.score is None else s.score
    return s.modality, SCENARIOS.index(s.scenario), not s.complete, -score, s.name
