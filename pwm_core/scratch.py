"""Working arrays larger than memory, in a temporary file that the system pages in and out."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np

from .errors import PwmError


class Scratch:
    """A zeroed float32 ``array`` (rows, columns) in a file without a name, which ends with the process.

    The file lies in $TMPDIR, else in /var/tmp, since /tmp is memory on many systems. PwmError if there is
    no room for it.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.row = 4 * columns
        size = max(rows * self.row, 1)
        folder = _folder()
        try:
            with tempfile.TemporaryFile(dir=folder) as file:  # unlinked at once: a crash leaves nothing
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)  # else a full disk ends the process later
                else:
                    file.truncate(size)
                self._map = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise PwmError(
                f"{size / 1e9:.3g} GB of data do not fit into memory, and not into {folder} either "
                f"({error.strerror}); name a folder with more room in TMPDIR"
            ) from None
        self.array = np.frombuffer(self._map, np.float32)[: rows * columns].reshape(rows, columns)

    def release(self, start: int, stop: int) -> None:
        """Give the memory of these rows back to the system; their values stay."""
        self._advise("MADV_DONTNEED", start, stop)

    def fetch(self, start: int, stop: int) -> None:
        """Have the system begin to read these rows, which will be needed next."""
        self._advise("MADV_WILLNEED", start, stop)

    def _advise(self, advice: str, start: int, stop: int) -> None:
        first = start * self.row // mmap.PAGESIZE * mmap.PAGESIZE
        option = getattr(mmap, advice, None)  # not every system has them, and they are advice alone
        if option is not None and stop > start:
            with contextlib.suppress(OSError):
                self._map.madvise(option, first, stop * self.row - first)


def _folder() -> str:
    """Where large temporary files go."""
    lasting = Path("/var/tmp")
    named = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return str(lasting) if lasting.is_dir() and not named else tempfile.gettempdir()
