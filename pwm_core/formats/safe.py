"""Open an HDF5 file that a stranger may have made: all of it is checked before anything is allocated."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import BadFile, PwmError
from .contents import DTYPES, LIMIT, VERSION, Contents

_OBJECTS = 10_000  # groups and datasets in one file
_DEFLATE, _SHUFFLE, _FLETCHER32 = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32
_DEFLATE_GAIN = 1100  # deflate cannot shrink anything more than 1032-fold


@contextlib.contextmanager
def opened(path: str | Path, kind: str, limit: int = LIMIT) -> Iterator[Contents]:
    """The contents of the file of this ``kind`` ("pwm-problem"); BadFile says what is wrong with it.

    ``limit`` is how many bytes all of its arrays together may take in memory.
    """
    path = Path(path)
    if not path.is_file():
        raise BadFile(f"there is no file {path}")
    with _hdf5(path) as file:
        contents = Contents(str(path), BadFile, limit=limit)
        try:
            _check_kind(contents, file, kind)
            _check_datasets(contents, file, path.stat().st_size)
            contents.record = _record(contents)
        except PwmError:
            raise
        except Exception as error:  # h5py raises all kinds for damaged files
            raise BadFile(f"{path}: the file's structure is damaged ({error})") from error
        try:
            yield contents
        except RecursionError as error:
            raise contents.bad("dataset 'record'", "is nested too deeply") from error


def _hdf5(path: Path) -> h5py.File:
    try:
        if not h5py.is_hdf5(path):
            path.open("rb").close()  # says so if it is only that we may not read it
            raise BadFile(f"{path} is not an HDF5 file")
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        why = "is truncated" if "truncated" in str(error) else f"cannot be opened as HDF5 ({error})"
        raise BadFile(f"{path} {why}") from error


def _check_kind(contents: Contents, file: h5py.File, kind: str) -> None:
    found = _attribute(contents, file, "format")
    if not isinstance(found, bytes) or found.decode("ascii", "replace") != kind:
        raise contents.bad("root attribute 'format'", f"is {_word(found)}, expected {kind!r}")
    version = _attribute(contents, file, "version")
    if not isinstance(version, np.integer) or version < 1:
        raise contents.bad("root attribute 'version'", f"is {_word(version)}, expected a positive integer")
    if version > VERSION:
        raise contents.bad(
            "root attribute 'version'",
            f"is {version}: the file was written by a newer pwm, this one reads up to {VERSION}; upgrade it",
        )


def _attribute(contents: Contents, file: h5py.File, name: str) -> Any:
    try:
        attribute = file.attrs.get_id(name)
        plain = attribute.dtype.kind in "Siu" and attribute.shape == () and attribute.dtype.itemsize <= 64
    except KeyError:
        raise contents.bad(f"root attribute {name!r}", "is missing; this is no file of pwm's") from None
    except (TypeError, OSError):
        plain = False
    if not plain:
        raise contents.bad(f"root attribute {name!r}", "is neither an integer nor short fixed-length text")
    return file.attrs[name]


def _word(value: Any) -> str:
    return repr(value.decode("ascii", "replace")) if isinstance(value, bytes) else str(value)


def _check_datasets(contents: Contents, file: h5py.File, size: int) -> None:
    """Fill ``contents.arrays`` with all datasets of the file, none of them read."""
    total = 0
    for count, (name, found) in enumerate(_objects(contents, file)):
        if count >= _OBJECTS:
            raise contents.bad("the root group", f"has more than {_OBJECTS} objects")
        if isinstance(found, h5py.h5g.GroupID):
            if "/" in name:
                raise contents.bad(f"group {name!r}", "lies inside a group, where only datasets are expected")
            continue
        if not isinstance(found, h5py.h5d.DatasetID):
            raise contents.bad(f"object {name!r}", "is neither a group nor a dataset")
        why = _refused(name, found, size, contents.limit)
        if why:
            raise contents.bad(f"dataset {name!r}", why)
        contents.arrays[name] = h5py.Dataset(found)
        total += _nbytes(found)
        if total > contents.limit:
            raise contents.bad(f"dataset {name!r}", f"takes the file over {_gib(contents.limit)} in memory")


def _objects(contents: Contents, file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Every object at most two groups deep, by its path; only hard links are followed."""
    for name in file:
        found = _open(contents, file.id, name, name)
        yield name, found
        if isinstance(found, h5py.h5g.GroupID):
            for inner in h5py.Group(found):
                yield f"{name}/{inner}", _open(contents, found, inner, f"{name}/{inner}")


def _open(contents: Contents, group: h5py.h5g.GroupID, name: str, path: str) -> Any:
    raw = name.encode("utf-8", "surrogateescape")
    kind = group.links.get_info(raw).type
    if kind != h5py.h5l.TYPE_HARD:
        what = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "an external link"}
        raise contents.bad(f"{path!r}", f"is {what.get(kind, 'an unknown link')}; links are not followed")
    return h5py.h5o.open(group, raw)


def _refused(name: str, dataset: h5py.h5d.DatasetID, size: int, limit: int) -> str:
    """Why this dataset will not be read, or an empty string."""
    plist = dataset.get_create_plist()
    if plist.get_layout() == h5py.h5d.VIRTUAL:
        return "is a virtual dataset, made of other files"
    if plist.get_external_count():
        return "keeps its values in an external file"
    try:
        dtype = dataset.dtype
    except (TypeError, ValueError):
        return "has a dtype that NumPy does not know"
    if dtype.hasobject:
        return "has variable-length or reference values; only plain numbers are expected"
    expected = dtype.kind == "S" if name == "record" else dtype.newbyteorder("=").name in DTYPES
    if not expected or dtype.subdtype or h5py.check_enum_dtype(dtype):
        return f"has dtype {dtype}, which is not expected there"
    if dataset.shape is None:
        return "has no shape"
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if set(filters) - {_DEFLATE, _SHUFFLE, _FLETCHER32} or len(filters) != len(set(filters)):
        return f"is filtered by {filters}; only gzip, shuffle and fletcher32 are expected"
    what = f"claims {dataset.shape} {dtype}, {_gib(_nbytes(dataset))}"
    if _nbytes(dataset) > limit:
        return f"{what}, over the limit of {_gib(limit)}"
    if _nbytes(dataset) > size * (_DEFLATE_GAIN if _DEFLATE in filters else 1):
        return f"{what}, more than a file of {size} bytes can hold"
    return ""


def _nbytes(dataset: h5py.h5d.DatasetID) -> int:
    return math.prod(int(n) for n in dataset.shape) * dataset.dtype.itemsize


def _gib(nbytes: int) -> str:
    return f"{nbytes / 2**30:.3g} GiB"


def _record(contents: Contents) -> dict[str, Any]:
    text = contents.array("record")
    del contents.arrays["record"]
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise contents.bad("dataset 'record'", f"is not JSON ({error})") from error
    except TypeError:
        record = None  # many texts instead of one
    if not isinstance(record, dict):
        raise contents.bad("dataset 'record'", "is not one JSON object")
    return record
