"""From a recorded scan to a problem: geometry in metres, object canvas, and a first guess of the probe."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
import torch

from pwm_core.errors import BadFile
from pwm_core.primitives import Propagate
from pwm_core.problem import Problem
from pwm_core.stored import blocks

from .assembly import assemble, canvas, far_field, near_field
from .readers.stored import StoredFrames
from .recording import Recording

log = logging.getLogger("pwm.ptychography")

_DRIFT = 3.0  # pixels, from the first frame to the last
_DEFOCUS = (-20.0, 20.0)  # %


def problem_from(recording: Recording, defocus: float | None = None) -> Problem:
    """The recorded scan as a problem; BadFile names what the geometry lacks."""
    recording = _without_background(recording)
    frames = recording.frames
    window = (frames.shape[1], frames.shape[2])
    pixel, distance, known = _sampling(recording)
    positions = np.asarray(recording.positions, dtype=np.float64) * (
        1.0 if recording.positions_unit == "m" else pixel
    )
    _, shape = canvas(positions, pixel, window)
    _check_size(recording, shape)
    near = recording.geometry == "near"
    propagate = near_field(distance, recording.wavelength or 0.0, pixel) if near else far_field()
    wave = recording.probe if recording.probe is not None else _first_probe(recording, propagate)
    operator = assemble(
        wave=_powered(wave, recording),
        positions=positions,
        pixel=pixel,
        propagate=propagate,
        wavelength=recording.wavelength,
        defocus=defocus,
    )
    log.info("object of %d x %d pixels of %s", *shape, f"{pixel * 1e9:.4g} nm" if known else "unknown size")
    return Problem(
        y=frames,
        operator=operator,
        modality="ptychography",
        shape=shape,
        dtype="complex64",
        axes=("y", "x"),
        pixel_size=(pixel, pixel),
        units=("m", "m") if known else ("px", "px"),
        initial=np.ones(shape, np.complex64),
        mask=recording.mask,
        name=recording.name,
        ranges=_ranges(pixel, defocus) if known else {},
    )


def _ranges(pixel: float, defocus: float | None) -> dict[str, tuple[float, float]]:
    """Where to look for what a record cannot know: the stage's drift, and the error of a stated defocus."""
    reach = _DRIFT * pixel * 1e9
    found = {"scan.drift": (-reach, reach)}
    return found if defocus is None else found | {"probe.error": _DEFOCUS}


def _without_background(recording: Recording) -> Recording:
    """The recording with its dark frame taken off; counts below zero become zero."""
    if recording.background is None:
        return recording
    log.info("background of %.3g counts a pixel taken off", float(np.mean(recording.background)))
    if isinstance(recording.frames, StoredFrames):
        frames: np.ndarray | StoredFrames = recording.frames.without(recording.background)
    else:
        frames = np.maximum(recording.frames - recording.background.astype(np.float32), 0)
    return replace(recording, frames=frames, background=None)


def _sampling(recording: Recording) -> tuple[float, float, bool]:
    """Object pixel (m, or 1 where unknown), effective propagation distance (m), whether they are known."""
    r = recording
    if r.geometry == "near":
        if r.wavelength is None or r.distance is None or r.detector_pixel is None:
            facts = {"wavelength": r.wavelength, "distance": r.distance, "detector_pixel": r.detector_pixel}
            name = next(n for n, value in facts.items() if value is None)
            raise BadFile(
                f"{r.name} does not say the {name.replace('_', ' ')} of this near-field scan; "
                f"give it as --assume {name}=..."
            )
        cone = 1.0 if r.focus_to_sample is None else (r.focus_to_sample + r.distance) / r.focus_to_sample
        return r.detector_pixel / cone, r.distance / cone, True
    if r.wavelength and r.distance and r.detector_pixel:
        side = max(r.frames.shape[1:])
        return r.wavelength * r.distance / (side * r.detector_pixel), r.distance, True
    if r.positions_unit != "px":
        raise BadFile(
            f"{r.name} gives positions in metres but not the wavelength, distance and detector pixel that "
            "make pixels of them; give what is missing, as --assume energy=8.8keV --assume distance=2m"
        )
    log.info("energy, distance and detector pixel are not in the file: working in object pixels")
    return 1.0, 0.0, False


def _first_probe(recording: Recording, propagate: Propagate) -> np.ndarray:
    """The mean frame's amplitude, taken back to the sample with a flat phase at the detector."""
    log.info("no probe in the file: starting from the mean frame, back-propagated")
    total = sum(block.sum(0, dtype=np.float64) for _, block in blocks(recording.frames))
    amplitude = np.sqrt(np.maximum(total / len(recording.frames), 0))
    if recording.mask is not None:
        amplitude = amplitude * np.broadcast_to(recording.mask, recording.frames.shape).any(0)
    wave = torch.from_numpy(amplitude.astype(np.complex128))
    return propagate.adjoint(wave, wave).numpy()[None]


def _powered(wave: np.ndarray, recording: Recording) -> np.ndarray:
    """The probe scaled so that its power is the brightest frames' counts, as a transparent object gives."""
    wave = np.asarray(wave, dtype=np.complex64)
    wave = wave.reshape(-1, *wave.shape[-2:])
    valid = np.broadcast_to(True if recording.mask is None else recording.mask, recording.frames.shape)
    counts = np.concatenate(
        [
            np.sum(block, axis=(1, 2), where=valid[box], dtype=np.float64)
            for box, block in blocks(recording.frames)
        ]
    )
    bright = float(np.percentile(counts, 95))
    return wave * np.float32(math.sqrt(bright / float(np.sum(np.abs(wave) ** 2))))


def _check_size(recording: Recording, shape: tuple[int, ...]) -> None:
    if math.prod(shape) > 1 << 28:
        raise BadFile(
            f"{recording.name}: the positions span an object of {shape} pixels; "
            "check the units of the positions and of the detector pixel"
        )
