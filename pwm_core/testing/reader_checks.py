"""Checks of a reader: it names its files, and refuses what is not one of them in one sentence."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np

from ..errors import BadFile
from .report import require
from .subject import Subject


def check_suffixes_are_given(subject: Subject) -> None:
    """The card names the reader's modality as a trait and its files' suffixes, in lower case with the dot."""
    card = subject.entry.card
    require(card.traits, "the card names no modality among its traits")
    require(card.suffixes, "the card names no suffix; give suffixes=('.cxi',)")
    for suffix in card.suffixes:
        require(re.fullmatch(r"(\.[a-z0-9_+-]+)+", suffix), f"the suffix {suffix!r} must look like '.cxi'")


def check_bad_files_refused(subject: Subject) -> None:
    """An empty file and one of random bytes are not accepted, or reading them raises BadFile."""
    noise = np.random.default_rng(0).bytes(4096)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in subject.entry.card.suffixes:
            for kind, content in (("an empty file", b""), ("random bytes", noise)):
                path = Path(folder, f"broken{suffix}")
                path.write_bytes(content)
                require(
                    _refuses(subject, path), f"{kind} named broken{suffix} gave a problem instead of BadFile"
                )


def _refuses(subject: Subject, path: Path) -> bool:
    if not subject.cls.accepts(path):
        return True
    try:
        subject.cls().read(path)
    except BadFile:
        return True
    return False
