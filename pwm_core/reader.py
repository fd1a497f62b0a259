"""Readers turn a file of somebody's measured data into a Problem."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import BadFile
from .problem import Problem
from .settings import Settings

if TYPE_CHECKING:
    from .registry import Entry, Registry


class Reader(Settings):
    """Opens one kind of file. Its settings are what ``--assume NAME=VALUE`` may supply.

    A reader tells what it found and what it took for granted through the ``pwm`` logger.
    """

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Whether this reader knows the file: suffix first, contents where several share a suffix."""
        return True

    def read(self, path: Path) -> Problem:
        """The file as a Problem; BadFile says in one sentence what is wrong or missing in it."""
        raise TypeError(f"{type(self).__name__} does not define read(path)")


def find_reader(registry: Registry, path: Path, modality: str) -> Entry:
    """The reader of this modality that accepts the file; BadFile names the formats there are."""
    if not path.exists():
        raise BadFile(f"there is no file {path}")
    readers = [e for e in registry.of("reader") if modality in e.card.traits]
    for entry in readers:
        if path.name.lower().endswith(entry.card.suffixes) and entry.load().accepts(path):
            return entry
    kinds = "; ".join(f"{e.card.name} ({', '.join(e.card.suffixes)})" for e in readers) or "none"
    raise BadFile(f"{path.name} is not in a format that an installed {modality} reader opens: {kinds}")
