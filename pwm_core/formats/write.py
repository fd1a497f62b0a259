"""Write a pwm file so that, whatever happens, its path holds the whole old file or the whole new one."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from ..errors import BadValue, PwmError
from .contents import VERSION, Contents

_COMPRESS = 64 * 1024  # bytes; counts and masks larger than this are compressed, floats hardly shrink
_DESCRIPTORS = Path("/proc/self/fd")


def write(path: str | Path, kind: str, contents: Contents) -> None:
    """Write ``contents`` to ``path`` as a file of this ``kind``; PwmError if that cannot be done."""
    record = json.dumps(contents.record, default=_plain).encode("ascii")
    try:
        with replacing(Path(path)) as file, h5py.File(file, "w") as h5:
            h5.attrs["format"] = np.bytes_(kind)
            h5.attrs["version"] = np.int64(VERSION)
            h5["record"] = np.bytes_(record)
            for name, array in contents.arrays.items():
                shrinks = array.dtype.kind in "biu" and array.nbytes > _COMPRESS
                options: dict[str, Any] = {"compression": 1, "shuffle": True} if shrinks else {}
                h5.create_dataset(name, data=array, **options)
    except OSError as error:
        raise PwmError(f"{path} cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of ``path`` on success and vanishes on failure.

    Where the system has files without a name (Linux), not even a killed process leaves one behind.
    """
    target = Path(os.path.realpath(path))
    spare = target.with_name(f".{secrets.token_hex(8)}.pwm-tmp")
    try:
        unnamed = _unnamed(target.parent)
        with unnamed or open(spare, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if unnamed:  # any src_dir_fd makes Python follow the link to the file itself
                os.link(_DESCRIPTORS / str(file.fileno()), spare, src_dir_fd=file.fileno())
        os.replace(spare, target)
    except BaseException:
        spare.unlink(missing_ok=True)
        raise


def _unnamed(folder: Path) -> IO[bytes] | None:
    """A file without a name in ``folder``; None where the system or its file system has none."""
    if not hasattr(os, "O_TMPFILE") or not _DESCRIPTORS.is_dir():
        return None
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")
    except OSError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise BadValue(f"a value of type {type(value).__name__} cannot be stored: {value!r}")
