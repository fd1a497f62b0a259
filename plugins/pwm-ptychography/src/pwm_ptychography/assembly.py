"""Put the operator of a scan together from what a simulation or a file knows."""

from __future__ import annotations

import math

import numpy as np

from pwm_core.primitives import Detect, Propagate

from .illumination import Probe
from .operator import Diffraction, Scan

MARGIN = 8  # pixels of object around the scanned field: room for drift and refined positions


def assemble(
    *,
    wave: np.ndarray,
    positions: np.ndarray,
    pixel: float,
    propagate: Propagate,
    wavelength: float | None = None,
    defocus: float | None = None,
    source_width: float = 0.0,
    gain: float = 1.0,
    readout: float = 0.0,
) -> Diffraction:
    """The operator of a scan; it prints as ``P(probe) → D(g, η₁)``.

    ``wave`` (mode, y, x) in √counts is the illumination at the sample, ``positions`` (frame, 2) as
    (y, x) in metres those of the beam on the sample, ``pixel`` the object's. The object is as large
    as the patches around all positions, and a margin.
    """
    window = (wave.shape[-2], wave.shape[-1])
    origin, shape = canvas(positions, pixel, window)
    scan = Scan(
        name="scan",
        label="scan",
        pixel_size=pixel,
        window=window,
        shape=shape,
        origin=origin,
        positions=positions,
    )
    probe = Probe(
        name="probe",
        label="probe",
        wave=wave.astype(np.complex64),
        pixel_size=pixel,
        wavelength=wavelength,
        defocus=defocus,
        source_width=source_width,
    )
    detector = Detect(
        name="detector", label="g, η₁", mode="intensity", modes=True, gain=gain, readout=readout
    )
    return Diffraction(outer=detector, inner=(propagate @ probe @ scan).labelled("P(probe)"))


def canvas(
    positions: np.ndarray, pixel: float, window: tuple[int, int]
) -> tuple[tuple[float, float], tuple[int, int]]:
    """Position (m) that belongs to the object's first pixel, and the object's shape."""
    origin = positions.min(0) - MARGIN * pixel
    extent = (positions.max(0) - positions.min(0)) / pixel
    shape = [math.ceil(e) + w + 2 * MARGIN for e, w in zip(extent, window, strict=True)]
    return (float(origin[0]), float(origin[1])), (shape[0], shape[1])


def far_field() -> Propagate:
    """Fraunhofer diffraction; its scale is in the object's pixel size."""
    return Propagate(name="propagate", label="far field", method="fraunhofer")


def near_field(distance: float, wavelength: float, pixel: float) -> Propagate:
    """Fresnel propagation over ``distance``, the effective one in a diverging beam."""
    return Propagate(
        name="propagate",
        label="near field",
        method="fresnel",
        distance=distance,
        wavelength=wavelength,
        pixel_size=pixel,
    )
