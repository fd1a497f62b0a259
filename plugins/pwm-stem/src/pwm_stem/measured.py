"""From a recorded micrograph to a problem: electrons, optics, and what had to be taken for granted."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from pwm_core.errors import BadFile
from pwm_core.problem import Problem

from .electrons import Response, estimate_response
from .modality import ELECTRONS_PER_PC, STEM, micrograph
from .operator import assemble
from .optics import Lens
from .scan import Scan

log = logging.getLogger("pwm.stem")


@dataclass(frozen=True)
class Recording:
    """A micrograph as its file states it; None where it says nothing."""

    image: np.ndarray  # (y, x) grey values, y the slow axis of the scan
    pixel: float  # Å
    voltage: float | None = None  # kV
    convergence: float | None = None  # mrad
    source_size: float | None = None  # Å
    current: float | None = None  # pA
    dwell: float | None = None  # µs
    offset: float | None = None  # grey value without electrons
    gain: float | None = None  # grey values per electron
    name: str = ""


def problem_from(recording: Recording, crop: int | None = None, bins: int = 1) -> Problem:
    """The recorded image as a problem in electrons, its middle ``crop`` pixels added up ``bins`` by ``bins``.

    What the recording lacks of the optics is that of the simulated instrument, which is logged. BadFile
    if the image is not one of electrons counted.
    """
    r = recording
    image = np.asarray(r.image, dtype=np.float64)
    if image.ndim != 2 or min(image.shape) < 32 or not np.isfinite(image).all():
        raise BadFile(
            f"{r.name}: a micrograph has finite values and 32 pixels or more a side, got {image.shape}"
        )
    response = _response(r, image)
    counts = _binned(_middle(response.electrons(image), crop, r.name), bins)
    pixel = r.pixel * bins
    log.info(
        "%d x %d pixels of %.4g Å, %.4g electrons in each (offset %.5g, gain %.4g grey values per electron)",
        *counts.shape, pixel, counts.mean(), response.offset, response.gain,
    )  # fmt: skip
    operator = assemble(
        _lens(r), Scan(name="scan", label="scan", pixel_size=pixel), pixel, dose=_dose(r, bins)
    )
    return micrograph(counts.astype(np.float32), operator, pixel, r.name, ranges=STEM().ranges())


def _response(r: Recording, image: np.ndarray) -> Response:
    if r.offset is not None and r.gain is not None:
        return Response(r.offset, r.gain)
    found = estimate_response(image, r.name)
    log.info("offset and gain of the detector are estimated from the growth of the noise with the signal")
    return Response(found.offset if r.offset is None else r.offset, found.gain if r.gain is None else r.gain)


def _lens(r: Recording) -> Lens:
    """The optics that the file states, the rest as in the simulated instrument."""
    usual = Lens()
    stated = {"voltage": r.voltage, "convergence": r.convergence, "source_size": r.source_size}
    for name, value in stated.items():
        if value is None:
            log.info("%s is not stated: %g is taken (--assume %s=...)", name, getattr(usual, name), name)
    return usual.replace(**{name: value for name, value in stated.items() if value is not None})


def _dose(r: Recording, bins: int) -> float:
    """Electrons of the beam at each pixel, or 1 where unknown: the object is then in electrons counted."""
    if r.current is None or r.dwell is None:
        log.info("beam current or dwell time is not stated: the object is in electrons per pixel")
        return 1.0
    return r.current * r.dwell * ELECTRONS_PER_PC * bins**2


def _middle(image: np.ndarray, crop: int | None, name: str) -> np.ndarray:
    if crop is None:
        return image
    if crop > min(image.shape):
        raise BadFile(f"{name} has {image.shape} pixels; --assume crop={crop} asks for more")
    top, left = ((n - crop) // 2 for n in image.shape)
    return image[top : top + crop, left : left + crop]


def _binned(image: np.ndarray, bins: int) -> np.ndarray:
    ny, nx = (n // bins for n in image.shape)
    return image[: ny * bins, : nx * bins].reshape(ny, bins, nx, bins).sum((1, 3))
