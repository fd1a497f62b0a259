"""What all readers of ptychographic scans share: what a user may supply, and the way to a Recording."""

from __future__ import annotations

import logging
import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from pwm_core.errors import BadFile, BadValue
from pwm_core.problem import Problem
from pwm_core.reader import Reader
from pwm_core.settings import param
from pwm_core.stored import too_large

from ..recording import Recording
from .found import Found, cut, fitting_mask, fitting_probe
from .frames import Stack, Window, in_corner, mask_bad
from .hdf5 import EV, LENGTHS
from .motion import Motion, motion, turned
from .stored import StoredFrames

log = logging.getLogger("pwm.ptychography")

HC = 1.986445857e-25  # J m


class PtychoReader(Reader):
    """Base of the readers; a format defines ``contents`` and ``accepts``."""

    geometry: Literal["far", "near"] | None = param(None, doc="field; auto: by how the frames move")
    energy: float | None = param(None, low=1.0, high=1e7, unit="eV", symbol="E", doc="photon energy")
    wavelength: float | None = param(None, low=1e-13, high=1e-4, unit="m", symbol="λ", doc="or energy")
    distance: float | None = param(None, low=1e-9, high=1e3, unit="m", symbol="z", doc="sample to detector")
    detector_pixel: float | None = param(None, low=1e-9, high=1e-2, unit="m", symbol="p", doc="its side")
    focus_to_sample: float | None = param(
        None, low=1e-9, unit="m", symbol="z₁", doc="near field: focus to sample; inf for a parallel beam"
    )
    defocus: float | None = param(None, unit="m", doc="how far behind the probe's focus the sample is")
    positions_unit: Literal["m", "mm", "um", "nm", "px"] | None = param(None, doc="auto: as the file states")
    transpose_positions: bool = param(False, doc="swap y and x of the positions, before flips")
    flip_y: bool = param(False, doc="turn the sign of the positions' y")
    flip_x: bool = param(False, doc="turn the sign of the positions' x")
    shifted: bool | None = param(None, doc="zero frequency is at the frames' corner; auto: look where it is")
    size: int | None = param(None, low=4, doc="cut frames to this many pixels a side around the direct beam")
    center_row: float | None = param(None, low=0.0, unit="px", doc="row of the direct beam, for size")
    center_col: float | None = param(None, low=0.0, unit="px", doc="column of the direct beam, for size")

    def contents(self, path: Path) -> AbstractContextManager[Found]:
        """The file, open, as far as it has been read: ``with self.contents(path) as found``."""
        raise TypeError(f"{type(self).__name__} does not define contents(path)")

    def read(self, path: Path) -> Problem:
        from ..measured import problem_from

        return problem_from(self.record(path), defocus=self.defocus)

    def record(self, path: Path) -> Recording:
        """The scan as it was recorded; BadFile says what is wrong or missing. Facts go to the log."""
        with self.contents(path) as found:
            return self._recording(found, path)

    def photon(self, joules: float | None, name: str, where: str) -> float | None:
        """The wavelength (m) of photons of the energy (J) that a file states, unless settings overrule it.

        Files that keep keV or eV where their format prescribes joules are found out by the number's size.
        """
        if joules is None or self.energy is not None or self.wavelength is not None:
            return None
        if not 1e-19 < joules < 1e-12:
            raise BadFile(
                f"{name}: {where} is {joules:.5g} J, which is no photon energy (perhaps it is in eV or keV); "
                "give it as --assume energy=8.8keV"
            )
        return HC / joules

    def square_pixel(self, y: float | None, x: float | None, name: str) -> float | None:
        """The side (m) of the detector pixel that a file states, unless the setting overrules it."""
        if self.detector_pixel is None and y is not None and x is not None and abs(y - x) > 1e-3 * abs(x):
            raise BadFile(
                f"{name}: detector pixels of {y:.4g} by {x:.4g} m are not square, and only square ones are "
                "read; if that is wrong give the side as --assume detector_pixel=75um"
            )
        return x if x is not None else y

    def _recording(self, found: Found, path: Path) -> Recording:
        name = path.name
        positions, unit = self._positions(found, name)
        wavelength = self._wavelength(found, name)
        distance, pixel = self.distance or found.distance, self.detector_pixel or found.detector_pixel
        if unit == "m" or self._stated(found) == "near":
            _require(name, wavelength, distance, pixel)
        window = self._window(found)
        frames, mask = _frames(found.frames, window, path), None
        if found.mask is not None:
            mask = window.cut(fitting_mask(found.mask, found.frames, name))
        known = np.isfinite(positions).all(1)
        if not known.all():
            log.info("%d frames without a finite position left out", np.count_nonzero(~known))
            chosen = np.flatnonzero(known)
            frames = frames.only(chosen) if isinstance(frames, StoredFrames) else frames[known]
            positions = positions[known]
            mask = mask[known] if mask is not None and mask.ndim == 3 else mask
        mask = mask_bad(frames, mask)
        if isinstance(frames, StoredFrames):
            frames.clean = True
        _log_mask(mask)
        facts = (wavelength, distance, pixel) if unit == "m" else None
        geometry, focus = self._geometry(found, name, frames, positions, facts)
        if geometry == "far" and unit == "px":  # fewer detector pixels are larger pixels at the sample
            positions = positions * (np.array(frames.shape[1:]) / found.frames.shape)
        log.info("%d frames of %dx%d %s, %s field", *frames.shape, frames.dtype, geometry)
        return Recording(
            frames=frames,
            positions=positions,
            positions_unit=unit,
            geometry=geometry,
            wavelength=wavelength,
            distance=distance,
            detector_pixel=pixel,
            focus_to_sample=None if focus == math.inf else focus,
            probe=fitting_probe(found, window, geometry),
            mask=mask,
            background=None if found.background is None else window.cut(found.background),
            name=name,
        )

    def _stated(self, found: Found) -> Literal["far", "near"] | None:
        """The geometry by setting or file; None where neither says."""
        if self.geometry is not None or self.focus_to_sample is not None:
            return self.geometry or "near"
        return found.geometry or ("near" if found.focus_to_sample is not None else None)

    def _geometry(
        self,
        found: Found,
        name: str,
        frames: np.ndarray | StoredFrames,
        positions: np.ndarray,
        facts: tuple | None,
    ) -> tuple[Literal["far", "near"], float | None]:
        """Far or near field, with the distance from focus to sample (inf: a parallel beam) in near field.

        Where nothing is said, the scan is near field if the frames are moving shadows of the sample in a
        beam that is wider there than the field λz/p that a far-field frame holds.
        """
        geometry, moved = self._stated(found), None
        if geometry != "far" and facts is not None:
            wavelength, distance, pixel = facts
            moved = motion(frames, positions)
            if moved is not None and moved.lawful:
                if geometry is None and moved.width / moved.scale > wavelength * distance / pixel:
                    geometry = "near"
                if geometry == "near":
                    _log_motion(moved)
        if geometry != "near":
            return "far", None
        focus = self.focus_to_sample or found.focus_to_sample
        if focus is None:
            raise BadFile(_missing_focus(name, moved, facts))
        if moved is not None and moved.lawful and facts is not None:
            log.info(
                "%.4g px/um follow from distance and focus_to_sample", (1 + distance / focus) / pixel * 1e-6
            )
        return "near", focus

    def _positions(self, found: Found, name: str) -> tuple[np.ndarray, Literal["m", "px"]]:
        if found.positions is None:
            raise BadFile(f"{name} holds {found.frames.count} frames but no positions")
        positions = np.asarray(found.positions, dtype=np.float64)
        if len(positions) != found.frames.count:
            raise BadFile(f"{name} holds {found.frames.count} frames but {len(positions)} positions")
        finite = positions[np.isfinite(positions).all(1)]
        span = float(np.ptp(finite, axis=0).max()) if len(finite) else 0.0
        if span == 0:
            raise BadFile(
                f"{name}: the positions of its {len(positions)} frames are all the same or not finite"
            )
        positions = positions[:, ::-1] if self.transpose_positions else positions
        positions = positions * np.where([self.flip_y, self.flip_x], -1.0, 1.0)
        unit = self.positions_unit or found.positions_unit
        if unit in ("px", "pixel", "pixels"):
            log.info("positions taken as object pixels")
            return positions, "px"
        if unit not in LENGTHS or span * LENGTHS[unit] > 0.1:
            raise BadFile(
                f"{name}: positions that span {span:.4g} {unit} are no scan; "
                "give their unit as --assume positions_unit=um"
            )
        return positions * LENGTHS[unit], "m"

    def _window(self, found: Found) -> Window:
        """Where the direct beam is, and what is kept around it."""
        stack, far = found.frames, self._stated(found) != "near"
        shifted = self.shifted if self.shifted is not None else far and in_corner(stack.sample(32))
        if shifted:
            log.info("zero frequency moved from the corner of the frames to the middle")
        center = found.center if found.center is not None and not shifted else [n // 2 for n in stack.shape]
        row = round(self.center_row if self.center_row is not None else center[0])
        col = round(self.center_col if self.center_col is not None else center[1])
        size = self.size
        if size is None and (self.center_row is not None or self.center_col is not None):
            raise BadValue("center_row and center_col say where to cut: give size too, as --assume size=256")
        if size is None and far and stack.shape[0] != stack.shape[1]:
            size = min(stack.shape)
        if size is None:
            if max(abs(row - stack.shape[0] // 2), abs(col - stack.shape[1] // 2)) > 1:
                log.info("direct beam at row %d, column %d; size=N would cut frames around it", row, col)
            return Window(shifted, slice(0, stack.shape[0]), slice(0, stack.shape[1]))
        log.info("frames cut to %dx%d around row %d, column %d", size, size, row, col)
        return Window(shifted, cut(row, size, stack.shape[0]), cut(col, size, stack.shape[1]))

    def _wavelength(self, found: Found, name: str) -> float | None:
        if self.energy is not None and self.wavelength is not None:
            raise BadValue("give either energy or wavelength, not both")
        wavelength = self.wavelength or (HC / (self.energy * EV) if self.energy else found.wavelength)
        if wavelength is None:
            return None
        if not 1e-13 <= wavelength <= 1e-4:
            raise BadFile(
                f"{name}: a wavelength of {wavelength:.4g} m; give it as --assume wavelength=0.14nm"
            )
        log.info("wavelength %.5g nm (photons of %.5g keV)", wavelength * 1e9, HC / wavelength / EV * 1e-3)
        return wavelength


def _frames(stack: Stack, window: Window, path: Path) -> np.ndarray | StoredFrames:
    """All frames in memory; left in their HDF5 file where they would fill it."""
    in_file = isinstance(stack.parts[0], h5py.Dataset)
    if in_file and too_large((stack.count, *window.shape(stack.shape))):
        log.info("the frames stay in their file and are read in blocks: they would fill the memory")
        return StoredFrames(path, stack, window)
    return stack.load(window)


def _log_mask(mask: np.ndarray | None) -> None:
    if mask is not None and not mask.all():
        bad = mask.size - np.count_nonzero(mask)
        log.info("%d of %d detector elements masked%s", bad, mask.size, " (all frames)" * (mask.ndim == 3))
        if bad > mask.size / 2:
            log.warning("more than half of the detector is masked: is the mask of the opposite sense?")


def _log_motion(moved: Motion) -> None:
    log.info("near field: the frames move with the scan by %.4g px/um", moved.scale * 1e-6)
    if turned(moved.matrix):
        log.warning("the frames move along other axes than the positions; try %s", turned(moved.matrix))


def _require(name: str, wavelength: float | None, distance: float | None, pixel: float | None) -> None:
    """BadFile for the first fact that is missing; only a far-field scan in pixels needs none of them."""
    facts = (
        ("the photon energy", wavelength, "energy=8.8keV"),
        ("the distance from sample to detector", distance, "distance=2m"),
        ("the detector's pixel size", pixel, "detector_pixel=75um"),
    )
    for what, value, example in facts:
        if not value:
            raise BadFile(f"{name} does not say {what}; give it as --assume {example}")
        if not math.isfinite(value) or value < 0:
            raise BadFile(f"{name}: {what} is {value:.4g}; give it as --assume {example}")


def _missing_focus(name: str, moved: Motion | None, facts: tuple | None) -> str:
    """The shadows are enlarged by M = 1 + z/z₁ = scale · pixel, which gives a hint at z₁."""
    hint = ""
    if moved is not None and moved.lawful and facts is not None and moved.scale * facts[2] > 1.02:
        about = facts[1] / (moved.scale * facts[2] - 1)
        hint = f" (the motion of its frames suggests about {about * 1e3:.2g} mm)"
    return (
        f"{name} does not say the focus-to-sample distance of this near-field scan{hint}; "
        "give it as --assume focus_to_sample=3.65mm, or inf for a parallel beam"
    )
