"""The derivative of a scan's far-field intensities to object and probe, at a point that stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .changes import make_changes, make_spread, make_waves
from .pie import EMPTY
from .plan import PlanarObject, aligned, plan
from .positions import patch_corners, same_modes, shifts
from .threads import run_threads
from .threads import share as part_of


class Tangent:
    """Products with the derivative and its adjoint: each takes one transform for each mode and position,
    or three where positions have fractions.

    Object, probe, ``corners`` and ``fractions`` are those of a `pie.Sweeper`; transforms are orthonormal, and
    frames (positions, n, n) have zero frequency in the middle, at [n // 2, n // 2].  ``gain`` (n, n) and
    ``flux`` (positions) multiply the intensities.  Memory: the waves at the detector, 8 n^2 bytes for each
    mode and position, and half as much for one mode's frames.
    """

    def __init__(
        self,
        obj: np.ndarray,
        probe: np.ndarray,
        corners: Any,
        fractions: np.ndarray | None = None,
        *,
        gain: np.ndarray,
        flux: np.ndarray | None = None,
        threads: int = 1,
    ) -> None:
        self.count, self.threads, (self.modes, n) = len(corners), threads, probe.shape[:2]
        found = plan(n)
        if found is None:
            raise ValueError(f"the kernels know no patterns of {n} x {n} pixels")
        self.plan = found
        self.object = PlanarObject(obj.shape)
        self.object.put(obj)
        self.corners = patch_corners(corners, self.count, obj.shape, (n, n))
        self.shifted = fractions is not None
        self.ramps = found.ramps(shifts(fractions, self.count)).reshape(-1) if self.shifted else EMPTY
        self.spectrum = self._packed(probe)
        self.order = np.fft.fftshift(np.arange(found.size).reshape(n, n)).reshape(-1)[found.order]
        self.place = np.argsort(self.order)
        self.gain = np.take(np.broadcast_to(gain, (n, n)).astype(np.float32).reshape(-1), self.order)
        self.flux = None if flux is None else np.asarray(flux, np.float32)[:, None]
        self.frames = aligned(self.count, found.size)
        self.waves = aligned(self.count * self.modes * 2 * found.size)
        run = make_waves(n, found.width, int(self.shifted))
        image = self.object.flat_image, self.modes, self.spectrum
        self._each(lambda places, space: run(*image, places, (space.probe, space.work), self.waves))

    def forward(self, obj: np.ndarray, probe: np.ndarray) -> np.ndarray:
        """The change of the intensities with those of object and probe: (positions, n, n), float32."""
        towards = PlanarObject(self.object.shape)
        towards.put(obj)
        direction = self._packed(probe)
        self.frames[:] = 0
        run = make_changes(self.plan.n, self.plan.width, int(self.shifted))
        images = self.object.flat_image, towards.flat_image, self.modes

        def work(places: Any, space: _Space) -> None:
            moved = space.moved if self.shifted else direction
            spectra, spaces = (self.spectrum, direction), (space.probe, moved, space.work)
            run(*images, spectra, places, spaces, self.waves, self.frames.reshape(-1))

        self._each(work)
        self._weigh()
        found = np.take(self.frames, self.place, axis=1)
        return found.reshape(self.count, self.plan.n, self.plan.n)

    def backward(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is adjoint to `forward`, for real frames: to the object and to the probe, complex64."""
        flat = np.asarray(frames, np.float32).reshape(self.count, -1)
        np.take(flat, self.order, axis=1, out=self.frames, mode="clip")  # unlike "raise", without a buffer
        self._weigh()
        run = make_spread(self.plan.n, self.plan.width, int(self.shifted))

        def work(places: Any, space: _Space) -> None:
            sums = space.object.flat, space.object.pitch, space.sums
            spaces = space.probe, space.moved, space.work
            image = self.object.flat_image, self.modes, self.spectrum
            run(*image, places, spaces, self.waves, self.frames.reshape(-1), sums)

        first, *others = self._each(work)
        for other in others:
            first.object.data += other.object.data
            first.sums += other.sums
        sums = first.sums.reshape(self.modes, -1)
        if not self.shifted:
            return first.object.get(), self.plan.unpack(sums)
        return first.object.get(), np.fft.ifft2(self.plan.unpack_spectrum(sums)).astype(np.complex64)

    def _weigh(self) -> None:
        self.frames *= self.gain
        if self.flux is not None:
            self.frames *= self.flux

    def _packed(self, probe: np.ndarray) -> np.ndarray:
        """Modes in strip order, or their spectra if positions have fractions."""
        modes = same_modes(probe, (self.modes, self.plan.n, self.plan.n))
        found = self.plan.pack_spectrum(np.fft.fft2(modes)) if self.shifted else self.plan.pack(modes)
        return found.reshape(-1)

    def _each(self, work: Callable[[Any, _Space], None]) -> list[_Space]:
        """Deal the positions out to threads; their sums are to be added in order."""
        spaces = [_Space(self) for _ in range(self.threads)]
        run_threads(
            self.threads,
            lambda t: work((self.corners, self.ramps, part_of(self.count, self.threads, t)), spaces[t]),
        )
        return spaces


class _Space:
    """Work space and sums of one thread."""

    def __init__(self, of: Tangent) -> None:
        fields = of.modes * 2 * of.plan.size
        self.probe = aligned(fields) if of.shifted else of.spectrum
        self.moved = aligned(fields) if of.shifted else EMPTY
        self.work = aligned(of.modes * of.plan.tiles), aligned(of.modes * of.plan.strip)
        self.object, self.sums = PlanarObject(of.object.shape), aligned(fields)
