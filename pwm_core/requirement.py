"""What a plugin should require of pwm-core: this interface, and no later one that may break it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.version import Version


def capped_requirement(version: str) -> str:
    """The requirement of a plugin written for this version: ``pwm-core>=0.1,<0.2`` for 0.1.0.

    Before 1.0 a new minor version may change the interface, from then on a new major one.
    """
    now = Version(version)
    return f"pwm-core>={now.major}.{now.minor},<{next_breaking(version)}"


def next_breaking(version: str) -> str:
    """The first version after this one that may change the interface."""
    now = Version(version)
    return str(now.major + 1) if now.major else f"0.{now.minor + 1}"


def requirements_on_core(requires: Iterable[str]) -> list[Requirement]:
    """Those of a distribution's requirements that name pwm-core and hold without an extra."""
    ours = (Requirement(r) for r in requires if re.match(r"pwm[-_.]core(?![\w.-])", r.strip(), re.IGNORECASE))
    return [r for r in ours if "extra" not in str(r.marker or "")]
