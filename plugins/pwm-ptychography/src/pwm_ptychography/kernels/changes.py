"""Changes of far-field intensities with object and probe, and what is adjoint to them, as compiled loops.

A frame's intensities sum_m |z_m|^2, z_m = F{P_m O} with F orthonormal, change by 2 Re sum_m conj(z_m)
F{P_m dO + dP_m O}.  Waves z_m stay in memory, in spectrum order; so do frames.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba.core import types

from pwm_core.compiling import compiled

from .arrays import Field, Patch, Spectrum
from .butterflies import add, multiply, multiply_conj
from .elements import scaled
from .gather import real_product
from .layout import Layout
from .lowering import intrinsic, lower
from .near import shift_probe, unshift_increment
from .passes import back, front, middle
from .steps import exit_wave
from .sweeps import SOURCES


def _keep(e, layout, tiles, wave):
    wave = Spectrum(e, layout, wave)

    def store(strip, group, values):
        wave.store(strip, group, [scaled(v, 1.0 / layout.n) for v in values])

    middle(e, layout, tiles, store, inverse=False)


@intrinsic
def _keep_wave(typingctx, n, width, tiles, wave):
    """Columns forward: the orthonormal transform of what `exit_wave` left in ``tiles``."""
    return lower(types.none, (n, width), (tiles, wave), _keep)


def _change(e, layout, image, probe, towards, direction, wave, work, frame):
    patch, towards = Patch(e, layout, image), Patch(e, layout, towards)
    probe, direction, wave = Field(e, layout, probe), Field(e, layout, direction), Spectrum(e, layout, wave)

    def load(strip, rows):
        by_object = [multiply(towards.load(strip, row), probe.load(strip, row)) for row in rows]
        by_probe = [multiply(patch.load(strip, row), direction.load(strip, row)) for row in rows]
        return [add(a, b) for a, b in zip(by_object, by_probe, strict=True)]

    def meet(strip, group, values):
        for b, (kept, value) in enumerate(zip(wave.load(strip, group), values, strict=True)):
            place = layout.spectrum(strip, group) + b * layout.width
            e.accumulate(real_product(kept, value) * (2.0 / layout.n), frame, place)

    front(e, layout, load, work)
    middle(e, layout, work[0], meet, inverse=False)


@intrinsic
def _change_frame(typingctx, n, width, image, probe, towards, direction, wave, work, frame):
    """Add to ``frame`` 2 Re conj(wave) F{probe * towards + patch * direction}, for one mode."""
    arguments = (image, probe, towards, direction, wave, work, frame)
    return lower(types.none, (n, width), arguments, _change)


def _spread(e, layout, image, probe, wave, frame, work, object_sums, probe_sums):
    patch, object_sums = Patch(e, layout, image), Patch(e, layout, object_sums)
    probe, probe_sums, wave = Field(e, layout, probe), Field(e, layout, probe_sums), Spectrum(e, layout, wave)

    def load(strip, group, _):
        first = layout.spectrum(strip, group)
        factors = [e.load(frame, first + b * layout.width) * (2.0 / layout.n) for b in range(8)]
        return [scaled(w, f) for w, f in zip(wave.load(strip, group), factors, strict=True)]

    def store(strip, rows, values):
        for row, value in zip(rows, values, strict=True):
            object_sums.add(strip, row, *multiply_conj(value, probe.load(strip, row)))
            probe_sums.add(strip, row, multiply_conj(value, patch.load(strip, row)))

    middle(e, layout, work[0], load, forward=False)
    back(e, layout, work, store)


@intrinsic
def _spread_frame(typingctx, n, width, image, probe, wave, frame, work, object_sums, probe_sums):
    """The adjoint of `_change_frame`: add to the sums of the object and of the probe, for one mode."""
    arguments = (image, probe, wave, frame, work, object_sums, probe_sums)
    return lower(types.none, (n, width), arguments, _spread)


@lru_cache(None)
def make_waves(n: int, width: int, shifted: int) -> Any:
    """The waves at the detector of positions ``span``."""
    size, tiles, version = n * n, Layout(n, width).tiles, SOURCES

    @compiled
    def waves_of_positions(image, modes, spectrum, places, spaces, waves):
        _ = version
        obj, plane, pitch = image
        corners, ramps, span = places
        probe, work = spaces
        for j in range(span[0], span[1]):
            patch = ((obj, corners[j, 0] * pitch + corners[j, 1]), plane, pitch)
            if shifted:
                shift_probe(n, width, spectrum, modes, (ramps, j * 4 * n), work, probe)
            exit_wave(n, width, patch, probe, modes, work)
            for m in range(modes):
                _keep_wave(n, width, (work[0], m * tiles), (waves, (j * modes + m) * 2 * size))

    return waves_of_positions


@lru_cache(None)
def make_changes(n: int, width: int, shifted: int) -> Any:
    """Changes of the frames ``span`` with an object ``towards`` and a probe ``direction``."""
    size, version = n * n, SOURCES

    @compiled
    def changes_of_positions(image, towards, modes, spectra, places, spaces, waves, frames):
        _ = version
        obj, plane, pitch = image
        step, step_plane, step_pitch = towards
        spectrum, direction = spectra
        corners, ramps, span = places
        probe, moved, work = spaces
        for j in range(span[0], span[1]):
            patch = ((obj, corners[j, 0] * pitch + corners[j, 1]), plane, pitch)
            step_patch = ((step, corners[j, 0] * step_pitch + corners[j, 1]), step_plane, step_pitch)
            if shifted:
                shift_probe(n, width, spectrum, modes, (ramps, j * 4 * n), work, probe)
                shift_probe(n, width, direction, modes, (ramps, j * 4 * n), work, moved)
            for m in range(modes):
                field, wave = m * 2 * size, (waves, (j * modes + m) * 2 * size)
                pair, frame = ((probe, field), (moved, field)), (frames, j * size)
                _change_frame(n, width, patch, pair[0], step_patch, pair[1], wave, work, frame)

    return changes_of_positions


@lru_cache(None)
def make_spread(n: int, width: int, shifted: int) -> Any:
    """Sums over the frames ``span`` of what is adjoint to `make_changes`."""
    size, version = n * n, SOURCES

    @compiled
    def spread_positions(image, modes, spectrum, places, spaces, waves, frames, sums):
        _ = version
        obj, plane, pitch = image
        corners, ramps, span = places
        probe, increment, work = spaces
        object_sums, sums_pitch, probe_sums = sums
        for j in range(span[0], span[1]):
            corner, ramp = (corners[j, 0], corners[j, 1]), (ramps, j * 4 * n)
            patch = ((obj, corner[0] * pitch + corner[1]), plane, pitch)
            object_patch = ((object_sums, corner[0] * sums_pitch + corner[1]), plane, sums_pitch)
            if shifted:
                shift_probe(n, width, spectrum, modes, ramp, work, probe)
                increment[:] = 0
            for m in range(modes):
                field, wave = m * 2 * size, (waves, (j * modes + m) * 2 * size)
                target = (increment if shifted else probe_sums, field)
                _spread_frame(
                    n, width, patch, (probe, field), wave, (frames, j * size), work, object_patch, target
                )
            if shifted:
                unshift_increment(n, width, increment, modes, ramp, work, probe_sums)

    return spread_positions
