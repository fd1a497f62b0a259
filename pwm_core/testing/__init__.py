"""The conformance kit for plugin authors: ``checks_for("epie")`` in a test, ``pwm check epie`` in a shell."""

from .kit import check_entry, check_method, check_modality, check_operator, checks_for
from .report import CheckFailed, Outcome, Report

__all__ = [
    "CheckFailed",
    "Outcome",
    "Report",
    "check_entry",
    "check_method",
    "check_modality",
    "check_operator",
    "checks_for",
]
