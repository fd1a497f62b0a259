"""The modality ``stem-edx``: a simulated analytical electron microscope and how it errs."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from pwm_core.modality import Spec, log_uniform
from pwm_core.problem import Problem, Truth
from pwm_core.settings import param

from .instruments import EDXInstrument
from .operator import spectrum_image_of
from .scenes.edx_samples import POOL, SAMPLES
from .scenes.scene import Sample
from .spectroscopy import Spectroscopy

BASE_SOLID_ANGLE = 0.7  # sr: the base value that detector_solid_angle is added to


class StemEDX(Spectroscopy):
    """Energy-dispersive X-ray mapping in the STEM: y = G(θ) (h ∗ x), counted.

    The settings are those of the simulated instrument: a focused probe on a thin sample, and a large
    windowed silicon drift detector above it.
    """

    name = "stem-edx"
    title = "STEM-EDX elemental mapping"
    about = (
        "A focused electron beam visits a thin sample point by point, over many frames; a detector counts "
        "the X-rays by energy. The spectrum is a sum of the lines of all elements in the beam and of their "
        "bremsstrahlung, which goes with Z²/M of each and so needs no map of its own. The object has one map "
        "an element, in ug/cm^2. Ionisation is Casnati's closed form, yields and absorption are xraylib's; "
        "X-rays are absorbed in the mean composition of the sample, which keeps the model linear. Scores "
        "compare the maps as parts of each element's full scale, after one common factor, since dose times "
        "solid angle is a pure scale of the data."
    )
    scenes = tuple(s.name for s in SAMPLES)
    samples = SAMPLES
    pool = POOL
    metre = 1e-9
    aliases: ClassVar[dict[str, str]] = {  # a method's name on the field's public leaderboard
        "mls": "MLS-EDX",
        "tv": "TV-EDX",
        "nmf": "NMF-EDX",
        "dncnn": "DnCNN-EDX",
        "noise2void": "N2V-EDX",
        "restormer": "TransEDX",
        "swinir": "SwinEDX",
    }
    specs = (
        Spec(
            "absorption_correction_error", "a_c", "emission.absorption_error", "", 0.0, 3.0,
            (-3.0, 6.0), (-3.6, 5.4), (-2.1, 6.9),
            "in tenths: the optical depth χ = μ ρt / sin(take-off) of the sample becomes χ (1 + 0.1 a_c); "
            "lines are weakened by (1 − exp −χ)/χ",
        ),
        Spec(
            "detector_solid_angle", "d_s", "detector.solid_angle", "sr", 0.0, 0.0,
            (-0.15, 0.15), (-0.15, 0.15), (-0.15, 0.15),
            f"added to the base value of {BASE_SOLID_ANGLE:g} sr, and all counts with it; scores take one "
            "common factor out of the maps again",
        ),
        Spec(
            "peak_overlap", "p_o", "detector.peak_overlap", "", 0.0, 0.6,
            (-0.6, 1.2), (-0.72, 1.08), (-0.42, 1.38),
            "in tenths: the width of all lines is multiplied by 1 + 0.1 p_o, nominally 130 eV at Mn Kα",
        ),
        Spec(
            "bremsstrahlung_background", "b_b", "emission.bremsstrahlung", "", 0.0, 0.0,
            (-0.15, 0.15), (-0.15, 0.15), (-0.15, 0.15),
            "relative excess of the bremsstrahlung over κ Σ Z²/M m, tied to the element maps",
        ),
    )  # fmt: skip

    size: int = param(128, low=11, high=4096, unit="px", doc="pixels along one side of the map")
    channels: int = param(1024, low=32, high=16384, doc="channels of the spectrum, which reaches 10.24 keV")
    energy: float = param(200.0, low=60.0, high=400.0, unit="keV", doc="accelerating voltage")
    electrons: float = param(
        6e7, low=1.0, unit="electrons", doc="dose: electrons on a pixel, current times dwell times frames"
    )
    pixel: float = param(1.0, low=1e-3, high=1e4, unit="nm", doc="step of the scan")
    probe_size: float = param(
        1.0, low=0.0, high=1e3, unit="nm", doc="FWHM of the probe, broadening in the sample included"
    )
    elevation: float = param(18.0, low=0.5, high=90.0, unit="deg", doc="of the detector above the sample")
    tilt: float = param(0.0, low=-80.0, high=80.0, unit="deg", doc="of the sample towards the detector")

    @classmethod
    def small(cls) -> Self:
        return cls(size=16, channels=256)

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """A microscope of 80 to 300 kV that counts from less than one to some thousand X-rays a pixel."""
        usual = cls(size=64, channels=512)
        if rng.random() < 0.5:  # half of all are the default one but for the dose: it is what most use
            return usual.replace(electrons=usual.electrons * 2 ** rng.uniform(-1, 1))
        pixel = log_uniform(rng, 0.1, 20.0)
        return usual.replace(
            energy=float(rng.choice([80, 100, 120, 200, 300])),
            electrons=log_uniform(rng, 4e5, 2e9),
            pixel=pixel,
            probe_size=pixel * rng.uniform(0.5, 2),
            elevation=rng.uniform(12, 40),
            tilt=rng.uniform(-5, 25),
        )

    def setting(self, sample: Sample) -> tuple[EDXInstrument, tuple[int, int], int]:
        instrument = EDXInstrument(
            energy=self.energy,
            electrons=self.electrons,
            pixel=self.pixel,
            probe_size=self.probe_size,
            elevation=self.elevation,
            tilt=self.tilt,
            host=sample.host,
            mass_thickness=sample.mass_thickness,
        )
        return instrument, (self.size, self.size), self.channels

    def channel_width(self) -> float:
        return 10.24 / self.channels

    def align(self, x: np.ndarray, truth: Truth, problem: Problem) -> np.ndarray:
        """``x`` times the one factor that brings its element maps closest to the truth's."""
        operator = spectrum_image_of(problem)
        scale = operator.emission.scale[: len(operator.elements), None, None]
        mine, true = (np.asarray(a, np.float64)[: len(scale)] / scale for a in (x, truth.x))
        size = float(np.sum(mine**2))
        factor = float(np.sum(mine * true)) / size if size else 1.0
        return (np.asarray(x) * factor).astype(np.asarray(x).dtype) if factor > 0 else x
