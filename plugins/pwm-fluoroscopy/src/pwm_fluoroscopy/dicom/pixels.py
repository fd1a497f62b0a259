"""The frames of a DICOM file as numbers proportional to the X-ray intensity."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, iter_pixels
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from pwm_core.errors import BadFile

from .facts import find

log = logging.getLogger("pwm.fluoroscopy")

Relation = Literal["linear", "log", "display"]
_RELATIONS: dict[str, Relation] = {"LIN": "linear", "LOG": "log", "DISP": "display"}


@dataclass(frozen=True)
class Window:
    """The part of a video that is read: frames, rows and columns, and how many pixels become one."""

    frames: slice
    rows: slice
    columns: slice
    bin: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        rows, columns = (len(range(s.start, s.stop)) // self.bin for s in (self.rows, self.columns))
        return len(range(self.frames.start, self.frames.stop)), rows, columns

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The window of one image, (y, x) float32; binned pixels are means."""
        _, ny, nx = self.shape
        part = image[self.rows, self.columns][: ny * self.bin, : nx * self.bin]
        return part.reshape(ny, self.bin, nx, self.bin).mean((1, 3), dtype=np.float32)


def check(ds: Dataset, name: str) -> tuple[int, int, int]:
    """The shape (frame, y, x) of the video; BadFile if the file holds none that can be used."""
    if "PixelData" not in ds:
        raise BadFile(f"{name} holds no pixel data; it is DICOM, but no X-ray video")
    if ds.get("Modality") not in (None, "", "XA", "RF"):
        raise BadFile(f"{name} is of modality {ds.Modality}; fluoroscopy reads XA and RF")
    if ds.get("SamplesPerPixel", 1) != 1:
        raise BadFile(f"{name} has {ds.SamplesPerPixel} samples a pixel, a colour video; expected 1")
    try:
        shape = (int(ds.get("NumberOfFrames") or 1), int(ds.Rows), int(ds.Columns))
    except (AttributeError, TypeError, ValueError):
        raise BadFile(f"{name} does not say the size of its images (Rows, Columns, NumberOfFrames)") from None
    if shape[0] < 2:
        raise BadFile(f"{name} holds a single image; a video of at least 2 frames is needed")
    if min(shape) < 1 or math.prod(shape) > 1 << 34:
        raise BadFile(f"{name} claims a video of {shape} pixels")
    return shape


def intensities(ds: Dataset, window: Window, relation: Relation, inverted: bool, name: str) -> np.ndarray:
    """The window of the video, (frame, y, x) float32, proportional to the X-ray intensity.

    BadFile if the frames cannot be decoded.
    """
    video = np.empty(window.shape, np.float32)
    for target, frame in zip(video, _decoded(ds, window.frames, name), strict=True):
        target[:] = window.cut(_linear(frame, ds, relation, inverted))
    return video


def relation_of(ds: Dataset, name: str) -> Relation:
    """How pixel values depend on the intensity, as the file says; "linear" where it does not."""
    stated = find(ds, "PixelIntensityRelationship")
    if stated is None:
        return "linear"
    if stated not in _RELATIONS:
        raise BadFile(f"{name}: PixelIntensityRelationship is {stated!r}, expected LIN, LOG or DISP")
    return _RELATIONS[stated]


def inverted_in(ds: Dataset) -> bool:
    """Whether higher values mean fewer X-rays: by the sign that the file states, or else by its photometry.

    X-ray video is shown with absorbers dark; where low values are shown bright (MONOCHROME1), values
    fall with the intensity.
    """
    sign = find(ds, "PixelIntensityRelationshipSign")
    if sign is not None:
        return int(sign) < 0
    return ds.get("PhotometricInterpretation") == "MONOCHROME1"


def lossy(ds: Dataset) -> bool:
    """Whether the frames have been compressed with loss, by the file's word or by how they are coded now."""
    syntax = str(ds.file_meta.get("TransferSyntaxUID", ""))
    return ds.get("LossyImageCompression") == "01" or syntax in (JPEGBaseline8Bit, JPEGExtended12Bit)


def _decoded(ds: Dataset, frames: slice, name: str) -> Iterator[np.ndarray]:
    indices = list(range(frames.start, frames.stop))
    try:
        yield from iter_pixels(ds, indices=indices)
    except RuntimeError as error:
        if "plugin" not in str(error) and "decod" not in str(error):
            raise BadFile(f"{name}: the frames cannot be decoded ({error})") from error
        syntax = ds.file_meta.TransferSyntaxUID.name
        raise BadFile(
            f"{name}: its frames are compressed as {syntax} and cannot be decoded here; "
            "try pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        ) from error
    except Exception as error:  # decoders of damaged data fail in many ways
        raise BadFile(f"{name}: its frames are damaged ({error})") from error


def _linear(frame: np.ndarray, ds: Dataset, relation: Relation, inverted: bool) -> np.ndarray:
    """One frame's stored values as intensity, from zero on."""
    bits = int(ds.BitsStored)
    top = float((1 << bits) - 1)
    values = frame.astype(np.float32)
    if ds.get("PixelRepresentation", 0):
        values += 1 << (bits - 1)
    elif "ModalityLUTSequence" in ds or "RescaleSlope" in ds:
        values = np.asarray(apply_modality_lut(frame, ds), dtype=np.float32)
        # a table for logarithmic values makes them linear (DICOM PS3.3 C.8.7.1.1.2)
        relation = "linear" if "ModalityLUTSequence" in ds else relation
        if inverted:
            return np.maximum(_highest(ds, top) - values, 0)
        return np.maximum(values, 0)
    if inverted:
        values = top - values
    if relation == "log":  # full scale is that of the bits: value = top · ln(1 + I)/ln(1 + top)
        values = np.expm1(values / top * math.log1p(top))
    return np.maximum(values, 0)


def _highest(ds: Dataset, top: float) -> float:
    ends = np.asarray(apply_modality_lut(np.array([0, int(top)]), ds), dtype=float)
    return float(ends.max())
