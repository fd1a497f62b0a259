"""A spectrum image as it was recorded: what every reader fills in, whatever the file format."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np

from pwm_core.stored import StoredArray, blocks


@dataclass(frozen=True)
class Recording:
    """Counts with what is known about the instrument. Energies in keV, lengths in µm; None = unknown.

    ``counts``       (energy, y, x) detected X-rays; detector elements are summed, never scaled; in memory or,
                     where they would fill it, in their file
    ``zero, gain``   energy of channel 0 and width of a channel: E = zero + gain · channel
    ``beam_energy``  of the exciting photons or electrons; of a tube, its voltage in kV
    ``anode``        target element of an X-ray tube; None for monochromatic photons and for electrons
    ``pixel_size``   (y, x) steps of the scan
    ``live_time``    (y, x) seconds, the mean over the detector elements
    ``dose``         exciting photons or electrons per pixel
    ``solid_angle``  of all detector elements together, sr
    ``take_off``     angle between the sample's plane at zero tilt and the detector, degrees
    ``tilt``         of the sample towards the detector, degrees
    ``host``         mean composition in which X-rays are absorbed, a chemical formula
    ``mass_thickness``  of the host, mg/cm²
    ``air``          path to the detector through air, mm
    ``elements``     that the user names; none: to be found in the spectrum
    ``likely``       elements that the file lists, which are looked for first
    ``mask``         (y, x), True where there is a measurement; None if everywhere
    ``certified``    areal densities of a reference material by element, µg/cm²
    """

    counts: np.ndarray | StoredArray
    zero: float
    gain: float
    beam_energy: float
    anode: str | None = None
    pixel_size: tuple[float, float] | None = None
    live_time: np.ndarray | None = None
    dose: float | None = None
    solid_angle: float | None = None
    take_off: float | None = None
    tilt: float = 0.0
    host: str | None = None
    mass_thickness: float | None = None
    air: float = 0.0
    elements: tuple[str, ...] = ()
    likely: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    certified: dict[str, float] = field(default_factory=dict)
    name: str = ""

    @property
    def energies(self) -> np.ndarray:
        """Energy of the middle of every channel, keV."""
        return self.zero + self.gain * np.arange(len(self.counts))

    @functools.cached_property
    def spectrum(self) -> np.ndarray:
        """The sum spectrum over the measured pixels, (energy,) counts."""
        total = np.zeros(len(self.counts))
        for (channels, *pixels), block in blocks(self.counts):
            flat = block.reshape(len(block), -1)
            if self.mask is None:
                total[channels] += flat.sum(1, dtype=np.float64)
            else:
                total[channels] += flat @ self.mask[tuple(pixels)].ravel().astype(float)
        return total
