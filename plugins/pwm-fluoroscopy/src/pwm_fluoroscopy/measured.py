"""From a recorded video to a problem."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from pwm_core.errors import BadFile
from pwm_core.problem import Problem

from .modality import Fluoroscopy
from .operator import Fluoroscope, fluoroscope
from .photons import photon_transfer
from .start import direct_quanta, first_estimate

log = logging.getLogger("pwm.fluoroscopy")

_UNKNOWN_PIXEL = 0.3  # mm: a usual pixel, by which blur and scatter are scaled where it is not known
_BRIGHTEST = 99.9  # per cent of the pixels of the mean frame that are darker than the open beam
_HEADROOM = 1.05  # for frames that are brighter than the mean


@dataclass(frozen=True)
class Recording:
    """A video with what is known about the instrument; None = unknown. Times in ms, lengths in mm.

    ``video``      (frame, y, x), proportional to the X-ray intensity
    ``mask``       (y, x), True where the collimator is open
    ``gain``       counts a quantum; ``readout`` and ``open_beam`` in counts
    """

    video: np.ndarray
    frame_time: float
    pixel: float | None = None
    pulse: float = 8.0
    lag: float = 20.0
    scatter: float = 0.3
    glare: float = 0.03
    blur: float = 0.15
    gain: float | None = None
    readout: float | None = None
    open_beam: float | None = None
    mask: np.ndarray | None = None
    name: str = ""


def problem_from(recording: Recording) -> Problem:
    """The recorded video as a problem; quanta and open beam that are not known are estimated, and logged."""
    r = recording
    gain, readout = _noise(r)
    if r.pixel is None:
        log.info("pixel size unknown (--assume pixel=0.3mm): blur and scatter as if it were 0.3 mm")
    operator = fluoroscope(
        pixel=r.pixel or _UNKNOWN_PIXEL,
        frame_time=r.frame_time,
        quanta=1.0,
        pulse=r.pulse,
        lag=r.lag,
        blur=r.blur,
        glare=r.glare,
        scatter=r.scatter,
        gain=gain,
        readout=readout,
        field=r.mask,
    )
    beam = _open_beam(r, operator)
    log.info(
        "open beam: %.4g direct quanta a pixel and frame; gain %.3g counts/quantum, readout %.3g counts",
        beam, gain, readout,
    )  # fmt: skip
    operator = operator.at({"beam.flux": beam})
    length = 1.0 if r.pixel is None else r.pixel
    unit = "px" if r.pixel is None else "mm"
    return Problem(
        y=r.video,
        operator=operator,
        modality="fluoroscopy",
        shape=r.video.shape,
        axes=("frame", "y", "x"),
        pixel_size=(r.frame_time / 1000, length, length),
        units=("s", unit, unit),
        initial=first_estimate(r.video, operator, r.mask),
        mask=r.mask,
        name=r.name,
        ranges=Fluoroscopy().ranges(),
    )


def _noise(r: Recording) -> tuple[float, float]:
    """Gain and readout noise as known, or else as the video's own noise has them."""
    if r.gain is not None:
        return r.gain, r.readout or 0.0
    if len(r.video) < 3:
        raise BadFile(
            f"{r.name}: 2 frames do not tell the noise; give it as --assume gain=1 --assume readout=0"
        )
    gain, readout = photon_transfer(r.video, r.mask)
    return gain, readout if r.readout is None else r.readout


def _open_beam(r: Recording, operator: Fluoroscope) -> float:
    """Direct quanta a pixel and frame without patient: as known, or else as in the brightest place."""
    if r.open_beam is not None:
        return r.open_beam / operator.detector.gain / (1 + r.scatter)
    mean = r.video.mean(0, dtype=np.float64).astype(np.float32)
    direct = direct_quanta(mean[None], operator, r.mask)[0]
    return _HEADROOM * float(np.percentile(direct if r.mask is None else direct[r.mask], _BRIGHTEST))
