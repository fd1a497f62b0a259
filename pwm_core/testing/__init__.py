"""The conformance kit: ``checks_for("mymethod")`` in a test, ``pwm check mymethod`` in a shell."""

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
