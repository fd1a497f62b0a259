"""The results of a benchmark as rows, and what follows from several of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..metrics import recovery_ratio
from .cell import Cell
from .store import Store

Row = dict[str, Any]


def rows(cells: Iterable[tuple[str, Cell]], store: Store) -> list[Row]:
    """One row a cell, in the order given: its description, scores, time and memory, or why there are none."""
    return [_row(key, cell, store) for key, cell in cells]


def _row(key: str, cell: Cell, store: Store) -> Row:
    row: Row = {**vars(cell), "key": key, "command": cell.command}
    if not store.done(key):
        failure = store.failure(key)
        return {
            **row,
            "status": "failed" if failure else "missing",
            "reason": (failure or {}).get("reason", ""),
        }
    record, score = store.record(key), store.score(key)
    numbers = {name: _number(score[name]) for name in ("psnr", "ssim", "standard", "blind", "consistency")}
    return {
        **row,
        **numbers,
        "views": score["views"],
        "residuals": score["residuals"],
        "reason": score["reason"],
        **{n: record[n] for n in ("status", "seconds", "steps", "peak_memory_bytes", "theta_true")},
        **{n: record[n] for n in ("theta_assumed", "theta_estimated", "calibration", "method")},
        "method": cell.method,
        "folder": f"cells/{key}",
    }


def scored(table: Iterable[Row]) -> list[Row]:
    """The rows that have scores."""
    return [r for r in table if r.get("standard") is not None]


def cut_short(table: Iterable[Row]) -> list[Row]:
    """The rows whose method was stopped at the time limit: scores of what there was."""
    return [r for r in scored(table) if r["status"] == "timeout"]


def mean(table: Iterable[Row], name: str) -> float | None:
    """Mean of a column over the rows that have it: a diverged run counts as 0, a missing one does not."""
    values = [r[name] for r in table if r.get(name) is not None]
    return sum(values) / len(values) if values else None


class Recovery(NamedTuple):
    """PSNR (dB) of one scene in the three scenarios, and the recovery ratio ρ where it is defined."""

    scene: str
    ideal: float
    mismatch: float
    calibrated: float
    ratio: float | None


def recoveries(table: Iterable[Row]) -> dict[tuple[str, str, str], list[Recovery]]:
    """(modality, method, calibrator) -> what calibration brought back in each scene."""
    psnr: dict[tuple[str, str, str, str, str], float] = {}
    for r in scored(table):
        psnr[r["modality"], r["scene"], r["method"], r["scenario"], r["calibrator"]] = r["psnr"]
    found = defaultdict(list)
    for (modality, scene, method, scenario, calibrator), third in psnr.items():
        first = psnr.get((modality, scene, method, "ideal", ""))
        second = psnr.get((modality, scene, method, "mismatch", ""))
        if scenario == "calibrated" and first is not None and second is not None:
            ratio = recovery_ratio(first, second, third)
            found[modality, method, calibrator].append(Recovery(scene, first, second, third, ratio))
    return dict(found)


def markdown(table: list[Row], scenario: str = "ideal") -> str:
    """Methods × modalities: PSNR in dB, SSIM and standard score, each the mean over the scenes.

    Where some were stopped at the time limit, a star says so.
    """
    chosen = [r for r in table if r["scenario"] == scenario]
    modalities = sorted({r["modality"] for r in chosen})
    lines = [f"| {scenario} | {' | '.join(modalities)} |", f"|---|{'---|' * len(modalities)}"]
    for method in sorted({r["method"] for r in chosen}):
        words = [
            _words([r for r in chosen if (r["method"], r["modality"]) == (method, m)]) for m in modalities
        ]
        lines.append(f"| `{method}` | {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def _words(part: list[Row]) -> str:
    if not part:
        return ""
    if not scored(part):
        return part[0]["status"]
    bad = len(part) - len(scored(part))
    star = r"\*" if cut_short(part) else ""
    text = f"{mean(part, 'psnr'):.1f} / {mean(part, 'ssim'):.3f} / {mean(part, 'standard'):.3f}{star}"
    return f"{text} ({bad} of {len(part)} missing)" if bad else text


def _number(value: Any) -> float:
    return float(value)  # JSON has no infinity: "-inf" is text there
