"""HDF5 files of others, for readers: nothing outside the file is followed, its faults become sentences."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py

from .errors import BadFile, PwmError


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file open for reading; whatever the HDF5 library finds wrong with it becomes a BadFile."""
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  (registers the compression filters that detectors write)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except PwmError:
        raise
    except MemoryError:
        raise BadFile(f"{path.name} does not fit into this machine's memory") from None
    except (OSError, RuntimeError, KeyError) as error:
        reason = str(error).strip("'\"")
        if "filter" in reason:
            reason += "; pip install hdf5plugin brings the usual filters"
        raise BadFile(f"{path.name} is damaged or is no HDF5 file: {reason}") from error


def looks_like(path: Path, test: Callable[[h5py.File], Any]) -> bool:
    """Whether the file is HDF5 and ``test(file)`` holds; False where it cannot be opened."""
    try:
        with opened(path) as file:
            return bool(test(file))
    except BadFile:
        return False


def node(file: h5py.File | h5py.Group, path: str, hops: int = 8) -> Any:
    """The group or dataset at ``path``, None if absent; BadFile if any link on the way leaves the file."""
    here: Any = file
    for part in filter(None, path.split("/")):
        link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise BadFile(
                f"{name_of(file)} keeps {path} in another file ({link.filename}), which is not followed; "
                "copy the data into one file, for example with h5repack"
            )
        if isinstance(link, h5py.SoftLink):
            if hops == 0:
                raise BadFile(f"{name_of(file)}: the soft links at {path} go round in a circle")
            target = link.path if link.path.startswith("/") else f"{here.name}/{link.path}"
            here = node(file.file, target, hops - 1)
        else:
            here = here.get(part)
    return here


def memory() -> float:
    """Bytes of this machine's memory; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def name_of(found: Any) -> str:
    """The name of the file that a file, group or dataset belongs to."""
    return Path(found.file.filename).name
