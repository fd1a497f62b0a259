"""What a list of checks found: which rules hold, which are broken and why."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PwmError, UnknownName

Check = Callable[[Any], None]  # gets the subject, raises when its rule is broken; the docstring is the rule


class CheckFailed(AssertionError):
    """A rule of the contract is broken; the message says how."""


def require(holds: object, reason: str) -> None:
    """Raise CheckFailed with this reason unless ``holds``."""
    if not holds:
        raise CheckFailed(reason)


@dataclass(frozen=True)
class Outcome:
    """How one check ended."""

    name: str  # "data_fit_improves"
    rule: str  # the check's docstring
    verdict: str  # "passed", "failed", or "expected": it failed for a reason that was known beforehand
    reason: str = ""

    def __str__(self) -> str:
        words = {"passed": "ok", "failed": "FAILED", "expected": "expected"}
        line = f"  {words[self.verdict]:9}{self.name.replace('_', ' ')}"
        if self.verdict == "failed":
            return f"{line}\n           rule: {self.rule}\n           found: {self.reason}"
        return f"{line}: {self.reason}" if self.reason else line


@dataclass
class Report:
    """The outcomes of every check on one subject; printed, it says how many there were."""

    subject: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every rule holds, but for those that were expected not to."""
        return not self.failed

    @property
    def passed(self) -> list[str]:
        return [o.name for o in self.outcomes if o.verdict == "passed"]

    @property
    def failed(self) -> dict[str, str]:
        """The reason for every broken rule, by the name of its check."""
        return {o.name: o.reason for o in self.outcomes if o.verdict == "failed"}

    @property
    def expected(self) -> dict[str, str]:
        """The same for the failures that were expected."""
        return {o.name: o.reason for o in self.outcomes if o.verdict == "expected"}

    @property
    def summary(self) -> str:
        known = f", {len(self.expected)} failed as expected" if self.expected else ""
        return f"{len(self.passed)} of {len(self.outcomes)} checks passed{known}"

    def __str__(self) -> str:
        return "\n".join([f"{self.subject}: {self.summary}", *map(str, self.outcomes)])


def outcomes(
    checks: Sequence[Check], subject: Any, expect: Mapping[str, str] | None = None
) -> Iterator[Outcome]:
    """Run the checks one by one. ``expect`` maps a check that fails for a known reason to that reason."""
    expect = expect or {}
    known_names(checks, expect)
    for check in checks:
        name, rule = check_name(check), check_rule(check)
        try:
            check(subject)
        except (Exception, SystemExit) as error:
            if name in expect:
                yield Outcome(name, rule, "expected", f"{expect[name]} ({explain(error)})")
            else:
                yield Outcome(name, rule, "failed", explain(error))
        else:
            yield (
                Outcome(name, rule, "failed", unexpected(expect[name]))
                if name in expect
                else Outcome(name, rule, "passed")
            )


def check_name(check: Check) -> str:
    """``check_card_is_light`` is the check "card_is_light"."""
    return check.__name__.removeprefix("check_")


def check_rule(check: Check) -> str:
    return (check.__doc__ or "").partition("\n")[0].strip()


def known_names(checks: Sequence[Check], expect: Mapping[str, str]) -> None:
    """UnknownName if ``expect`` names a check that is not among these."""
    names = [check_name(c) for c in checks]
    for name in expect:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
            raise UnknownName(f"expect= names the check {name!r}, which does not exist; {hint}")


def unexpected(reason: str) -> str:
    return f"it was expected to fail ({reason}) and passes; drop it from expect="


def explain(error: BaseException) -> str:
    """The error in one line; for one that is not a clear sentence already, with its place in the code."""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    if isinstance(error, (CheckFailed, PwmError)):
        return f"{error}{notes}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{place}{notes}"
