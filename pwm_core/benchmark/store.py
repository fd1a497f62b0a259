"""Where results lie: a folder for each cell, named by its key, that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import BadFile
from ..formats.write import replacing


class Store:
    """A folder that several workers write to at once, on one machine or a shared file system.

    ``cells/KEY/`` holds result.h5, figure.png, run.json and score.json of a finished cell;
    ``failed/KEY.json`` the reason of one that failed. What has no folder is still to be done.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        for name in ("cells", "failed"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def cell(self, key: str) -> Path:
        return self.folder / "cells" / key

    def done(self, key: str) -> bool:
        return self.cell(key).is_dir()

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A temporary folder that becomes the cell's when the block ends without an error."""
        temporary = self.folder / "cells" / f".{key[:12]}-{uuid.uuid4().hex}"
        temporary.mkdir()  # readable by whom the user lets read, unlike tempfile's
        try:
            yield temporary
            try:
                os.replace(temporary, self.cell(key))
            except OSError:  # another worker was first, with the same result
                if not self.done(key):
                    raise
            (self.folder / "failed" / f"{key}.json").unlink(missing_ok=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def fail(self, key: str, facts: dict[str, Any]) -> None:
        """Keep the reason why a cell has no result."""
        _write(self.folder / "failed" / f"{key}.json", facts)

    def record(self, key: str) -> dict[str, Any]:
        """run.json of a finished cell."""
        return _read(self.cell(key) / "run.json")

    def score(self, key: str) -> dict[str, Any]:
        return _read(self.cell(key) / "score.json")

    def put_score(self, key: str, facts: dict[str, Any]) -> None:
        _write(self.cell(key) / "score.json", facts)

    def failure(self, key: str) -> dict[str, Any] | None:
        path = self.folder / "failed" / f"{key}.json"
        return _read(path) if path.exists() else None

    def sweep(self) -> None:
        """Remove what killed workers left half written."""
        for path in (self.folder / "cells").glob(".*"):
            shutil.rmtree(path, ignore_errors=True)

    def write(self, name: str, text: str) -> Path:
        """A text file at the top of the store, replaced whole."""
        path = self.folder / name
        _atomically(path, text)
        return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(
            f"{path} is not a record of a benchmark ({error}); remove its folder to redo it"
        ) from error


def _write(path: Path, facts: dict[str, Any]) -> None:
    _atomically(path, json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _atomically(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())
