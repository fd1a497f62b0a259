"""What the attributes of a DICOM file say about its video, in the classic and the enhanced format."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from pwm_core.errors import BadFile


def find(ds: Dataset, keyword: str) -> Any:
    """The attribute's value at the top, in the shared functional groups, or in those of the first frame."""
    groups = [ds, *ds.get("SharedFunctionalGroupsSequence", [])[:1]]
    groups += ds.get("PerFrameFunctionalGroupsSequence", [])[:1]
    for group in groups:
        for item in (group, *(_items(group) if group is not ds else ())):
            if item.get(keyword) not in (None, ""):
                return item.get(keyword)
    return None


def number(ds: Dataset, keyword: str, name: str) -> float | None:
    """A positive number; None where it is missing, BadFile where it is no such number."""
    value = find(ds, keyword)
    if value is None:
        return None
    try:
        found = float(value[0] if isinstance(value, (list, tuple)) or hasattr(value, "insert") else value)
    except (TypeError, ValueError, IndexError):
        found = np.nan
    if not found > 0 or not np.isfinite(found):
        raise BadFile(f"{name}: {keyword} is {value!r}, expected a positive number")
    return found


def frame_time(ds: Dataset, name: str) -> float | None:
    """The time from frame to frame, ms; None where the file does not say it."""
    stated = number(ds, "FrameTime", name)
    if stated is not None:
        return stated
    vector = ds.get("FrameTimeVector")
    if vector is not None and len(np.atleast_1d(vector)) > 1:
        return _mean_step(np.asarray(vector, dtype=float)[1:], "FrameTimeVector", name)
    clock = list(_clock(ds))
    if len(clock) > 1:
        steps = [1e3 * (b - a).total_seconds() for a, b in itertools.pairwise(clock)]
        return _mean_step(np.array(steps), "FrameAcquisitionDateTime", name)
    rate = number(ds, "CineRate", name) or number(ds, "RecommendedDisplayFrameRate", name)
    return None if rate is None else 1e3 / rate


def pixel_spacing(ds: Dataset, name: str) -> tuple[float, float] | None:
    """The (y, x) pixel at the detector in mm; None where the file does not say it."""
    spacing = find(ds, "ImagerPixelSpacing")
    if spacing is None:
        return None
    try:
        y, x = (float(v) for v in spacing)
    except (TypeError, ValueError):
        y = x = np.nan
    if not (y > 0 and x > 0):
        raise BadFile(f"{name}: ImagerPixelSpacing is {spacing!r}, expected two positive lengths in mm")
    return y, x


def _mean_step(steps: np.ndarray, keyword: str, name: str) -> float:
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise BadFile(f"{name}: {keyword} does not rise from frame to frame")
    return float(steps.mean())


def _clock(ds: Dataset) -> Iterator[datetime]:
    """When each frame of an enhanced file was taken, as far as it says so."""
    for frame in ds.get("PerFrameFunctionalGroupsSequence", []):
        for content in frame.get("FrameContentSequence", []):
            text = str(content.get("FrameAcquisitionDateTime", ""))[:21]
            try:
                yield datetime.strptime(text, "%Y%m%d%H%M%S.%f" if "." in text else "%Y%m%d%H%M%S")
            except ValueError:
                return


def _items(ds: Dataset) -> Iterator[Dataset]:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)
