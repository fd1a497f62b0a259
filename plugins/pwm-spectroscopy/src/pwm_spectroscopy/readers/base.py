"""What all readers of spectrum images share: what a user may supply, and the way to a Recording."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pwm_core.errors import BadFile, BadValue
from pwm_core.problem import Problem
from pwm_core.reader import Reader
from pwm_core.settings import param
from pwm_core.stored import BLOCK, StoredArray, available

from ..recording import Recording
from .combine import combined
from .found import Found
from .symbols import symbols_in

log = logging.getLogger("pwm.spectroscopy")

NOISE = 0.02  # of the strongest channel: a spectrum below it at an end is taken as the detector's own


class SpectrumReader(Reader):
    """Base of the readers of both modalities; a format defines ``contents`` and ``accepts``."""

    modality: ClassVar[str]
    lowest: ClassVar[float]  # keV, where the fitted range begins unless file or user say otherwise

    elements: str | None = param(None, doc="what is in the sample, as Ca,Fe,Cu; auto: found in the spectrum")
    energy: float | None = param(None, low=0.1, high=1e4, unit="keV", symbol="E₀", doc="of the beam or tube")
    zero: float | None = param(None, low=-1e4, high=1e4, unit="eV", doc="energy of channel 0")
    gain: float | None = param(None, low=0.1, high=1e3, unit="eV", doc="width of a channel")
    refine: bool = param(True, doc="fit zero, gain and resolution to the sum spectrum")
    low: float | None = param(None, low=0.0, unit="keV", doc="lowest energy that is used")
    high: float | None = param(None, low=0.0, unit="keV", doc="highest energy that is used")
    bin: int = param(1, low=1, high=64, doc="sum bin × bin pixels into one")
    bin_energy: int = param(1, low=1, high=16, doc="sum channels into one")
    detectors: str = param("all", doc="detector elements to sum: all, or numbers as 1,2")
    pixel_size: float | None = param(None, low=1e-6, unit="um", doc="step of the scan")
    solid_angle: float | None = param(
        None, low=1e-9, high=12.57, unit="sr", symbol="Ω", doc="of all elements"
    )
    host: str | None = param(None, doc="what mainly absorbs X-rays in the sample, a formula as CaSO4")
    mass_thickness: float | None = param(None, low=0.0, unit="mg/cm^2", doc="of the host; thin without")
    take_off: float | None = param(None, low=-90.0, high=90.0, unit="deg", doc="angle of sample to detector")

    def contents(self, path: Path) -> Found:
        """What the file holds; BadFile if it is malformed."""
        raise TypeError(f"{type(self).__name__} does not define contents(path)")

    def read(self, path: Path) -> Problem:
        from ..measured import problem_from

        return problem_from(self.record(path), self.modality, self.refine)

    def record(self, path: Path) -> Recording:
        """The spectrum image as it was recorded, cut and binned as asked for; facts go to the log."""
        found = self._chosen(self.contents(path), path.name)
        zero = found.zero if self.zero is None else 1e-3 * self.zero
        gain = found.gain if self.gain is None else 1e-3 * self.gain
        energy = self.energy or found.beam_energy
        if gain is None or gain <= 0:
            raise BadFile(f"{path.name} does not say its energy axis; give it as --assume gain=10eV zero=0eV")
        if energy is None:
            raise BadFile(
                f"{path.name} does not say the energy of the beam; give it as --assume energy=10keV"
            )
        counts = found.counts[0]
        if len(found.counts) > 1:
            if not isinstance(found.counts, np.ndarray):
                raise BadFile(
                    f"{path.name}: its {len(found.counts)} detector elements do not fit into memory; "
                    "give one of them, as --assume detectors=1"
                )
            counts = combined(found.counts)
        recording = Recording(
            counts=counts,
            zero=zero or 0.0,
            gain=gain,
            beam_energy=energy,
            pixel_size=found.pixel_size if self.pixel_size is None else (self.pixel_size,) * 2,
            live_time=None if found.live_time is None else found.live_time.mean(0),
            solid_angle=self.solid_angle,
            take_off=found.take_off if self.take_off is None else self.take_off,
            host=self.host,
            mass_thickness=self.mass_thickness,
            elements=() if self.elements is None else symbols_in(self.elements),
            likely=found.elements,
            mask=found.mask,
            certified=found.certified,
            name=path.name,
            **self.exciting(found),
        )
        recording = self._binned(self._cropped(recording, found))
        log.info(
            "%d channels of %.5g eV from %.4g keV, %d×%d pixels, %.4g counts",
            len(recording.counts), 1e3 * recording.gain, recording.zero, *recording.counts.shape[1:],
            recording.spectrum.sum(),
        )  # fmt: skip
        return recording

    def exciting(self, found: Found) -> dict[str, Any]:
        """What the modality knows besides about the exciting beam, as fields of a Recording."""
        return {}

    def highest(self, energy: float) -> float:
        """Where the fitted range ends unless file or user say otherwise, keV."""
        raise TypeError(f"{type(self).__name__} does not define highest(energy)")

    def _chosen(self, found: Found, name: str) -> Found:
        if self.detectors == "all":
            return found
        count = len(found.counts)
        try:
            chosen = [int(w) - 1 for w in self.detectors.split(",")]
        except ValueError:
            chosen = [-1]
        if not all(0 <= k < count for k in chosen) or len(set(chosen)) < len(chosen):
            raise BadValue(
                f"{name} has detector elements 1 to {count}; detectors={self.detectors!r} is no choice"
            )
        live = found.live_time
        if live is not None and len(live) == count:
            live = live[chosen]
        counts = (
            found.counts[chosen]
            if isinstance(found.counts, np.ndarray)
            else [found.counts[k] for k in chosen]
        )
        return replace(found, counts=counts, live_time=live)

    def _cropped(self, recording: Recording, found: Found) -> Recording:
        """Channels between the lowest and highest energy worth fitting."""
        low = self.low if self.low is not None else found.low if found.low is not None else self.lowest
        high = self.high or min(found.high or np.inf, self.highest(recording.beam_energy))
        keep = (recording.energies >= low) & (recording.energies <= high)
        if keep.sum() < 32:
            raise BadFile(
                f"{recording.name}: its energy axis from {recording.energies[0]:.4g} to "
                f"{recording.energies[-1]:.4g} keV has no spectrum between {low:g} and {high:g} keV; "
                "check gain, zero, low and high"
            )
        first, last = (int(k) for k in np.flatnonzero(keep)[[0, -1]])
        counts = recording.counts
        if isinstance(counts, StoredArray):
            counts = counts.cut(slice(first, last + 1), slice(None), slice(None))
        else:
            counts = counts[keep]
        return replace(recording, counts=counts, zero=float(recording.energies[first]))

    def _binned(self, recording: Recording) -> Recording:
        """Sums of neighbouring pixels and channels; what does not fill a bin is cut off."""
        b, e = self.bin, self.bin_energy
        if b == e == 1:
            return recording
        channels, rows, columns = (n // k for n, k in zip(recording.counts.shape, (e, b, b), strict=True))
        if min(channels, rows, columns) == 0:
            raise BadValue(
                f"{recording.name}: {recording.counts.shape} is too small for bin={b}, bin_energy={e}"
            )
        counts = _binned_blocks(recording.counts, (e, b, b))
        mask, live = recording.mask, recording.live_time
        return replace(
            recording,
            counts=counts,
            zero=recording.zero + recording.gain * (e - 1) / 2,
            gain=recording.gain * e,
            pixel_size=None
            if recording.pixel_size is None
            else (b * recording.pixel_size[0], b * recording.pixel_size[1]),
            live_time=None if live is None else _sums(live, (b, b)),
            mask=None if mask is None else _sums(mask.astype(np.int32), (b, b)) == b * b,
            dose=None if recording.dose is None else recording.dose * b * b,
        )


class XRFReader(SpectrumReader):
    """Base of the readers of X-ray fluorescence maps."""

    modality = "xrf"
    lowest = 0.8

    anode: str | None = param(None, doc="target of an X-ray tube, as Rh; auto: monochromatic unless a tube's")
    flux: float | None = param(None, low=0.0, unit="1/s", doc="photons per second on the sample")

    air: float = param(0.0, low=0.0, high=1e4, unit="mm", doc="path through air from sample to detector")

    def exciting(self, found: Found) -> dict[str, Any]:
        facts: dict[str, Any] = {"air": self.air}
        if self.anode is not None:
            facts["anode"] = symbols_in(self.anode)[0]
        elif found.tube:
            log.warning(
                "the tube's anode is not in the file, taken to be Rh; else give it as --assume anode=W"
            )
            facts["anode"] = "Rh"
        if self.flux is not None:
            if found.live_time is None:
                raise BadFile("a flux needs the live time of a pixel, which the file does not say")
            facts["dose"] = self.flux * float(np.mean(found.live_time[found.live_time > 0]))
        return facts

    def highest(self, energy: float) -> float:
        return energy + 0.5


class EDXReader(SpectrumReader):
    """Base of the readers of energy-dispersive X-ray maps of the electron microscope."""

    modality = "stem-edx"
    lowest = 0.2

    dose: float | None = param(None, low=0.0, doc="electrons per pixel")
    tilt: float | None = param(None, low=-90.0, high=90.0, unit="deg", doc="of the sample to the detector")

    def exciting(self, found: Found) -> dict[str, Any]:
        return {"dose": self.dose, "tilt": found.tilt if self.tilt is None else self.tilt}

    def highest(self, energy: float) -> float:
        return min(energy, 20.0)


def _binned_blocks(counts: np.ndarray | StoredArray, bins: tuple[int, ...]) -> np.ndarray:
    """Sums over blocks, which are few enough for memory; BadValue if not."""
    if not isinstance(counts, StoredArray):
        return _sums(counts, bins)
    bin_, axis = bins[counts.axis], counts.axis
    size = counts.size // math.prod(bins) * 4
    if 3 * size > available():
        raise BadValue(
            f"{counts.name}: {size / 1e9:.3g} GB are left of it after binning; bin more, or not at all"
        )
    step = bin_ * max(1, BLOCK // (4 * counts.size // counts.shape[axis] * bin_ or 1))
    parts = []
    for start in range(0, counts.shape[axis] // bin_ * bin_, step):
        box = [slice(None)] * counts.ndim
        box[axis] = slice(start, start + step)
        parts.append(_sums(counts[tuple(box)], bins))
    return np.concatenate(parts, axis)


def _sums(array: np.ndarray, bins: tuple[int, ...]) -> np.ndarray:
    """Sums over blocks; small integers are widened so that they cannot overflow."""
    cut = array[tuple(slice(0, n // b * b) for n, b in zip(array.shape, bins, strict=True))]
    kind = np.uint16 if array.dtype == np.uint8 else np.uint32 if array.dtype == np.uint16 else array.dtype
    shape = [k for n, b in zip(cut.shape, bins, strict=True) for k in (n // b, b)]
    axes = tuple(range(1, 2 * array.ndim, 2))
    return cut.reshape(shape).sum(axes, dtype=kind)
