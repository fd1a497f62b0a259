"""``pwm compare A B``: what got better or worse between two benchmarks."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from ..benchmark.compare import Change, Compared, Comparison, Name, Tolerance, compare, load_rows

LOG_WIDTH = 140  # where nobody says how wide the page is, as in the log of a CI


def compare_command(first: str, second: str, tolerance: Tolerance) -> int:
    """Print every change and what is in one set only; 1 if anything got worse, for use in CI."""
    found = compare(load_rows(first), load_rows(second), tolerance)
    width = None if sys.stdout.isatty() else LOG_WIDTH
    console = Console(highlight=False, markup=False, width=width)
    for verdict in ("worse", "better"):
        _show(console, verdict, found.of(verdict))
    _show_times(console, found.both)
    _show_idle(console, found.of("unchanged"))
    for words, names in ((first, found.only_first), (second, found.only_second)):
        _show_single(console, words, names)
    console.print(_summary(found, tolerance), soft_wrap=True)
    return 1 if found.of("worse") else 0


def _show(console: Console, verdict: str, cells: list[Compared]) -> None:
    if not cells:
        return
    table = Table(title=verdict, title_justify="left", box=None, pad_edge=False)
    table.add_column("cell", overflow="fold")
    for heading in ("PSNR dB", "change", "score", "change", "seeds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for c in cells:
        name = f"{c.name}{' (settings differ)' if c.resettled else ''}"
        if c.psnr is None or c.score is None:
            table.add_row(f"{name}\n  {c.reason}", "", "", "", "", str(c.seeds))
        else:
            table.add_row(name, *_numbers(c.psnr, 2), *_numbers(c.score, 4), str(c.seeds))
    console.print(table)


def _numbers(change: Change, digits: int) -> tuple[str, str]:
    """Both values, and the change, in brackets where it means nothing."""
    size = f"{change.size:+.{digits}f}"
    return f"{change.before:.{digits}f} → {change.after:.{digits}f}", size if change.sign else f"({size})"


def _show_times(console: Console, cells: list[Compared]) -> None:
    changed = [c for c in cells if c.time is not None and c.time.sign]
    if not changed:
        return
    table = Table(title="time", title_justify="left", box=None, pad_edge=False)
    table.add_column("cell", overflow="fold")
    for heading in ("seconds", "factor"):
        table.add_column(heading, justify="right", no_wrap=True)
    for c in changed:
        assert c.time is not None
        table.add_row(
            str(c.name),
            f"{c.time.before:.3g} → {c.time.after:.3g}",
            f"{c.time.after / c.time.before:.2f}" if c.time.before else "",
        )
    console.print(table)


def _show_idle(console: Console, cells: list[Compared]) -> None:
    """Cells without a result in both sets are not compared, and that is said."""
    for c in cells:
        if c.reason:
            console.print(f"not compared: {c.name}: {c.reason}", soft_wrap=True)


def _show_single(console: Console, place: str, names: list[Name]) -> None:
    for name in names:
        console.print(f"only in {place}: {name}", soft_wrap=True)


def _summary(found: Comparison, tolerance: Tolerance) -> str:
    better, worse = len(found.of("better")), len(found.of("worse"))
    alone = len(found.only_first) + len(found.only_second)
    return (
        f"{len(found.both)} cells in both: {worse} worse, {better} better, "
        f"{len(found.both) - better - worse} unchanged within {tolerance.psnr:g} dB and {tolerance.score:g} "
        f"of the score; {alone} in one only"
    )
