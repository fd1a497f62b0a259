"""``pwm check NAME``: test an installed entry against the plugin contract."""

from __future__ import annotations


def check(name: str) -> int:
    """Print every check's outcome as soon as it is known; 0 if all rules hold, else 1.

    UnknownName if nothing of that name is installed.
    """
    from rich.console import Console
    from rich.text import Text

    from ..registry import installed
    from ..testing.kit import checks_of, subject_of
    from ..testing.report import Report, outcomes

    entry = installed().find(name)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{entry.card.name}, {entry.card.role} of {entry.package} {entry.version}")
    report = Report(entry.card.name)
    styles = {"passed": "green", "failed": "bold red", "expected": "yellow"}
    for outcome in outcomes(checks_of(entry), subject_of(entry)):
        report.outcomes.append(outcome)
        line = Text(str(outcome))
        line.stylize(styles[outcome.verdict], 2, 11)
        console.print(line)
    console.print(report.summary, style="green" if report.ok else "bold red")
    return 0 if report.ok else 1
