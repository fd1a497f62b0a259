"""DICOM multi-frame X-ray video: XA and RF, classic and enhanced."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from pwm_core.errors import BadFile, BadValue
from pwm_core.problem import Problem
from pwm_core.reader import Reader
from pwm_core.settings import param

from ..measured import Recording, problem_from
from .facts import frame_time, number, pixel_spacing
from .field import stated_field, visible_field
from .pixels import Window, check, intensities, inverted_in, lossy, relation_of

log = logging.getLogger("pwm.fluoroscopy")


class DicomVideo(Reader):
    """Frames, their time and pixel size, the open field, and an estimate of quanta and noise."""

    frames: str | None = param(None, doc="first:stop, such as 0:32, frames counted from 0; auto: all")
    crop: str | None = param(None, doc="top:bottom,left:right in pixels of the file; auto: all")
    bin: int = param(1, low=1, high=64, doc="side of the square of pixels that become one (their mean)")
    frame_time: float | None = param(None, low=0.1, high=1e5, unit="ms", doc="from frame to frame")
    pixel: float | None = param(None, low=1e-3, high=10.0, unit="mm", doc="of the file, at the detector")
    pulse: float | None = param(
        None, low=0.01, high=1e3, unit="ms", doc="length of the X-ray pulse; auto: file, or 8"
    )
    lag: float = param(20.0, low=0.0, high=1e3, unit="ms", doc="time constant of the detector's memory")
    scatter: float = param(0.3, low=0.0, high=5.0, doc="scattered over direct quanta")
    glare: float = param(0.03, low=0.0, high=0.3, doc="part of the light that is veiling glare")
    blur: float = param(0.15, low=0.0, high=5.0, unit="mm", doc="rms blur of the screen")
    relation: Literal["linear", "log", "display"] | None = param(
        None, doc="of pixel values to the X-ray intensity; auto: file, or linear"
    )
    inverted: bool | None = param(None, doc="higher values mean fewer X-rays; auto: by the file's attributes")
    gain: float | None = param(None, low=1e-6, unit="counts/quantum", doc="auto: from variance against mean")
    readout: float | None = param(None, low=0.0, unit="counts", doc="rms electronic noise; auto: likewise")
    open_beam: float | None = param(
        None, low=1e-6, unit="counts", doc="a pixel without patient; auto: the brightest"
    )
    field: Literal["auto", "whole"] = param("auto", doc="auto: mask what the collimator covers")

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return path.name.lower().endswith((".dcm", ".dicom", ".ima"))

    def read(self, path: Path) -> Problem:
        return problem_from(self.record(path))

    def record(self, path: Path) -> Recording:
        """The video as it was recorded; BadFile says what is wrong or missing. Facts go to the log."""
        name = path.name
        ds = _opened(path)
        shape = check(ds, name)
        window = self._window(shape, name)
        relation, inverted = self._values(ds, name)
        video = intensities(ds, window, relation, inverted, name)
        if not np.ptp(video):
            raise BadFile(f"{name}: all pixels of its frames are equal")
        mask = self._open(ds, video, (shape[1], shape[2]), window, name)
        interval = self.frame_time or frame_time(ds, name)
        if interval is None:
            raise BadFile(
                f"{name} does not say the time between its frames; give it as --assume frame_time=33ms"
            )
        log.info("%d frames of %d x %d pixels, %.4g ms apart", *video.shape, interval)
        return Recording(
            video=video,
            frame_time=interval,
            pixel=self._pixel(ds, name),
            pulse=min(self.pulse or self._pulse(ds, name), interval),
            lag=self.lag,
            scatter=self.scatter,
            glare=self.glare,
            blur=self.blur,
            gain=self.gain,
            readout=self.readout,
            open_beam=self.open_beam,
            mask=mask,
            name=path.stem,
        )

    def _window(self, shape: tuple[int, int, int], name: str) -> Window:
        frames = _range(self.frames, shape[0], "frames", name) if self.frames else slice(0, shape[0])
        rows, columns = slice(0, shape[1]), slice(0, shape[2])
        if self.crop:
            parts = self.crop.split(",")
            if len(parts) != 2:
                raise BadValue(f"crop must be top:bottom,left:right, got {self.crop!r}")
            rows, columns = _range(parts[0], shape[1], "crop", name), _range(parts[1], shape[2], "crop", name)
        window = Window(frames, rows, columns, self.bin)
        if window.shape[0] < 2 or min(window.shape[1:]) < 16:
            raise BadFile(
                f"{name}: frames, crop and bin leave {window.shape}; at least 2 frames of 16 x 16 are needed"
            )
        return window

    def _values(self, ds: Dataset, name: str) -> tuple[Literal["linear", "log", "display"], bool]:
        relation = self.relation or relation_of(ds, name)
        if relation == "display":
            log.warning(
                "%s: values were prepared for display; they are taken as proportional to intensity", name
            )
        inverted = inverted_in(ds) if self.inverted is None else self.inverted
        if lossy(ds):
            log.info("lossy compression: the noise that it left is taken for that of counting")
        return relation, inverted

    def _open(
        self, ds: Dataset, video: np.ndarray, shape: tuple[int, int], window: Window, name: str
    ) -> np.ndarray | None:
        """Which pixels of the video the collimator leaves open; None if all."""
        if self.field == "whole":
            return None
        field = visible_field(video)
        stated = stated_field(ds, shape, name)
        if stated is not None:
            field &= window.cut(stated) > 0.999
        if not field.any():
            raise BadFile(f"{name}: its collimator leaves no pixel open; try --assume field=whole")
        if field.all():
            return None
        log.info("collimator: %.0f %% of the pixels are covered and left out", 100 * (1 - field.mean()))
        return field

    def _pixel(self, ds: Dataset, name: str) -> float | None:
        """mm, of binned pixels; None where nobody says it."""
        if self.pixel is not None:
            return self.pixel * self.bin
        spacing = pixel_spacing(ds, name)
        if spacing is None:
            return None
        if abs(spacing[0] - spacing[1]) > 0.01 * spacing[0]:
            raise BadFile(
                f"{name}: its pixels are {spacing[0]} x {spacing[1]} mm; only square ones can be read"
            )
        return spacing[0] * self.bin

    @staticmethod
    def _pulse(ds: Dataset, name: str) -> float:
        return number(ds, "AveragePulseWidth", name) or number(ds, "FrameAcquisitionDuration", name) or 8.0


def _opened(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path)
    except pydicom.errors.InvalidDicomError:
        raise BadFile(f"{path.name} is not a DICOM file: it lacks the DICM prefix") from None
    except MemoryError:
        raise BadFile(f"{path.name} does not fit into this machine's memory") from None
    except Exception as error:  # damaged files make pydicom fail in many ways
        raise BadFile(f"{path.name} is damaged: {error}") from error


def _range(text: str, n: int, what: str, name: str) -> slice:
    match = re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", text)
    if match is None:
        raise BadValue(f"{what} must be first:stop, such as 0:32, got {text!r}")
    start, stop = int(match[1] or 0), int(match[2] or n)
    if not start < stop <= n:
        raise BadFile(f"{name}: {what} {text.strip()} lies outside the file, which has {n}")
    return slice(start, stop)
