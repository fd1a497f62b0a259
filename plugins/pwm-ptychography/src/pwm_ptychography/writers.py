"""Writing a recorded scan so that other programs can read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pwm_core.errors import BadValue
from pwm_core.formats.write import replacing
from pwm_core.stored import BlockArray, blocks

from .readers.base import HC
from .readers.cxi import DETECTOR, DOWN_AND_LEFT, SOURCE
from .recording import Recording


def write_cxi(path: Path, recording: Recording) -> None:
    """Write a scan as CXI 1.6, all at once or not at all; BadValue if its positions cannot be put in metres.

    What CXI has no place for, geometry and focus_to_sample, goes to entry_1/pwm.
    """
    r, positions = recording, recording.positions * _metres(recording)
    x, y = (
        positions[:, 1],
        positions[:, 0],
    )  # the sample's place; the beam is at minus it, rows and columns too
    translation = np.stack([x, y, np.zeros_like(x)], axis=1)
    items: dict[str, Any] = {
        "cxi_version": 160,
        "number_of_entries": 1,
        "entry_1/title": r.name,
        f"{DETECTOR}/distance": r.distance,
        f"{DETECTOR}/x_pixel_size": r.detector_pixel,
        f"{DETECTOR}/y_pixel_size": r.detector_pixel,
        f"{DETECTOR}/data_dark": r.background,
        f"{DETECTOR}/mask": None if r.mask is None else (~r.mask).astype(np.uint32),
        f"{SOURCE}/wavelength": r.wavelength,
        f"{SOURCE}/energy": HC / r.wavelength if r.wavelength else None,
        f"{SOURCE}/illumination": r.probe,
        "entry_1/sample_1/geometry_1/translation": translation,
        "entry_1/pwm/geometry": r.geometry,
        "entry_1/pwm/focus_to_sample": r.focus_to_sample,
    }
    if r.detector_pixel:
        items[f"{DETECTOR}/basis_vectors"] = DOWN_AND_LEFT * r.detector_pixel
    with replacing(path) as whole, h5py.File(whole, "w") as file:
        for where, value in items.items():
            if value is not None:
                file[where] = value
        _write_frames(file, r.frames)


def _write_frames(file: h5py.File, frames: np.ndarray | BlockArray) -> None:
    data = file.create_dataset(
        f"{DETECTOR}/data",
        frames.shape,
        frames.dtype,
        chunks=(1, *frames.shape[1:]),
        compression="gzip",
        shuffle=True,
    )
    for box, block in blocks(frames):
        data[box] = block
    data.attrs["axes"] = "translation:y:x"
    file["entry_1/data_1/data"] = h5py.SoftLink(data.name)
    file["entry_1/data_1/translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")


def _metres(recording: Recording) -> float:
    """Metres in a unit of the recording's positions."""
    r = recording
    if r.positions_unit == "m":
        return 1.0
    if not (r.wavelength and r.distance and r.detector_pixel):
        raise BadValue(
            "positions in pixels need wavelength, distance and detector pixel to be written in metres"
        )
    if r.geometry == "near":
        magnification = 1.0 if r.focus_to_sample is None else 1 + r.distance / r.focus_to_sample
        return r.detector_pixel / magnification
    return r.wavelength * r.distance / (r.frames.shape[-1] * r.detector_pixel)
