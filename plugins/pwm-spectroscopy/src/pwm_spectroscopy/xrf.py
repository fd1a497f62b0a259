"""The modality ``xrf``: a simulated synchrotron microprobe and how it errs."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from pwm_core.modality import Spec, log_uniform
from pwm_core.settings import param

from .instruments import SiliconDetector, XRFInstrument
from .scenes.scene import Sample
from .scenes.xrf_samples import POOL, SAMPLES
from .spectroscopy import Spectroscopy


class XRF(Spectroscopy):
    """Scanning X-ray fluorescence imaging: y = G(θ) (h_b ∗ x), counted.

    The settings are those of the simulated instrument: a focused undulator beam on a thin sample at
    45°, and a silicon drift detector at 90° to the beam in the plane of its polarisation.
    """

    name = "xrf"
    title = "X-ray fluorescence imaging"
    about = (
        "A focused X-ray beam visits a sample point by point; at each a detector counts photons by energy. "
        "The spectrum is a sum of the lines of all elements in the beam, of elastic and Compton scatter, and "
        "of a shelf below it. The object has one map a component: elements in ug/cm^2, then the matrix, the "
        "light host that scatters, in mg/cm^2. Cross-sections, yields and absorption are xraylib's; X-rays "
        "are absorbed in the mean host of the sample, which keeps the model linear. Scores compare the "
        "element maps as parts of each one's full scale, so that traces count as much as major elements."
    )
    scenes = tuple(s.name for s in SAMPLES)
    samples = SAMPLES
    pool = POOL
    metre = 1e-6
    aliases: ClassVar[dict[str, str]] = {  # a method's name on the field's public leaderboard
        "fp-quantify": "FP-Quantify",
        "pnp-bm3d": "PnP-BM3D",
        "unet": "XRF-UNet",
        "spectraformer": "SpectraFormer",
    }
    specs = (
        Spec(
            "excitation_energy_drift", "e_e", "beam.energy_drift", "keV", 0.0, 0.01,
            (-0.01, 0.02), (-0.012, 0.018), (-0.007, 0.023),
            "added to the beam's energy, in the fluorescence cross-sections, in the absorption on the way "
            "in, and in the positions of the Rayleigh and Compton lines, which carry nearly all the effect",
        ),
        Spec(
            "detector_resolution", "d_r", "detector.resolution", "eV", 130.0, 134.0,
            (126.0, 138.0), (125.2, 137.2), (127.2, 139.2),
            "FWHM at Mn Kα (5.895 keV): it sets the electronic noise, to which the Fano width adds",
        ),
        Spec(
            "matrix_absorption", "m_a", "emission.matrix_absorption", "", 1.0, 1.03,
            (0.97, 1.06), (0.964, 1.054), (0.979, 1.069),
            "factor on the optical depth χ of the host, way in and out; lines are weakened by (1 − exp −χ)/χ",
        ),
        Spec(
            "beam_spot_size", "b_s", "beam.spot_size", "um", 1.0, 1.2,
            (0.8, 1.4), (0.76, 1.36), (0.86, 1.46),
            "FWHM of the Gaussian footprint that all maps are blurred with",
        ),
    )  # fmt: skip

    size: int = param(128, low=11, high=4096, unit="px", doc="pixels along one side of the map")
    channels: int = param(1024, low=32, high=16384, doc="channels of the spectrum, which reaches 20.48 keV")
    energy: float = param(17.44, low=5.0, high=20.0, unit="keV", doc="photon energy of the beam")
    photons: float = param(2e8, low=1.0, unit="photons", doc="dose: photons on a pixel, flux times live time")
    pixel: float = param(0.5, low=1e-3, high=1e4, unit="um", doc="step of the scan")
    solid_angle: float = param(0.7, low=1e-6, high=6.0, unit="sr", doc="of the detector")
    polarisation: float = param(0.95, low=0.0, high=1.0, doc="linear, in the plane of the detector")

    @classmethod
    def small(cls) -> Self:
        return cls(size=16, channels=256)

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """A microprobe of 16.2 to 19.9 keV, above the lead edges, that counts from 4 to 10⁴ photons a pixel.

        The step of the scan is between a quarter of the beam's size and twice that.
        """
        usual = cls(size=64, channels=512)
        if rng.random() < 0.5:  # half of all are the default one but for the dose: it is what most use
            return usual.replace(photons=usual.photons * 2 ** rng.uniform(-1, 1))
        return usual.replace(
            energy=rng.uniform(16.2, 19.9),
            photons=log_uniform(rng, 4e6, 1e10),
            pixel=log_uniform(rng, 0.25, 2.0),
            solid_angle=log_uniform(rng, 0.2, 1.5),
            polarisation=rng.uniform(0.8, 1.0),
        )

    def setting(self, sample: Sample) -> tuple[XRFInstrument, tuple[int, int], int]:
        instrument = XRFInstrument(
            energy=self.energy,
            photons=self.photons,
            pixel=self.pixel,
            polarisation=self.polarisation,
            host=sample.host,
            mass_thickness=sample.mass_thickness,
            detector=SiliconDetector(solid_angle=self.solid_angle),
        )
        return instrument, (self.size, self.size), self.channels

    def channel_width(self) -> float:
        return 20.48 / self.channels
