"""The modality: a simulated HAADF-STEM, how its specimens are looked at, and how it errs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from pwm_core.errors import UnknownName
from pwm_core.modality import Axis, Modality, Spec, View, log_uniform, stream
from pwm_core.operator import Compose
from pwm_core.problem import Problem, Truth
from pwm_core.settings import param

from .objects import KINDS, draw, draw_any
from .operator import assemble, probe_of
from .optics import Lens
from .scan import Scan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pwm_core.driver import Result
    from pwm_core.scoring import Score

ELECTRONS_PER_PC = 6.241509074  # 10⁶ electrons: those in one picocoulomb


class STEM(Modality):
    """Incoherent annular dark-field imaging: y = g · Poisson(N (P * x)(scan)) + readout noise.

    The settings are those of the simulated instrument: a probe-corrected microscope at atomic
    resolution.
    """

    name = "stem"
    title = "HAADF-STEM"
    about = (
        "A focused electron probe is scanned over a thin specimen; at each position an annular detector "
        "counts the electrons scattered to high angles, about as Z^1.7 of the atoms below. The object is the "
        "specimen's scattering cross-section per area (Å² per Å², a mean over each pixel): the part of the "
        "beam that an infinitely sharp probe would see scattered onto the detector. The image is its "
        "convolution with the intensity of the probe. No method can find what lies beyond the aperture, so "
        "the scored view is the specimen at the instrument's nominal resolution, undistorted: convolved with "
        "the probe that has no errors. At its borders the specimen is continued by reflection; a rim of "
        "pixels, which a distorted scan may have missed, is not scored."
    )
    object_axes = (Axis("y", "m"), Axis("x", "m"))
    data_axes = (Axis("y", "m"), Axis("x", "m"))
    scenes = KINDS
    aliases: ClassVar[dict[str, str]] = {  # a method's name on the field's public leaderboard
        "wiener": "Wiener Filter",
        "bm3d": "BM3D",
        "noise2void": "Noise2Void",
        "swinir": "SwinIR",
    }
    specs = (
        Spec(
            "probe_size", "Δd_p", "probe.size", "Å", 0.0, 0.1,
            (-0.1, 0.2), (-0.12, 0.18), (-0.07, 0.23),
            "added to the FWHM of the effective source, 0.6 Å (the setting source_size), a Gaussian that "
            "blurs the diffraction-limited probe",
        ),
        Spec(
            "convergence_angle", "Δα", "probe.angle", "mrad", 0.0, 0.5,
            (-0.5, 1.0), (-0.6, 0.9), (-0.35, 1.15),
            "added to the convergence semi-angle, 22 mrad (the setting convergence): aperture and "
            "aberrations of the probe change",
        ),
        Spec(
            "scan_distortion", "Δs", "scan.distortion", "%", 0.0, 0.5,
            (-0.5, 1.0), (-0.6, 0.9), (-0.35, 1.15),
            "the beam's positions are (1 + s) x + s/2 y along the fast axis and (1 − s/2) y along the slow "
            "one, about the middle of the field",
        ),
    )  # fmt: skip

    size: int = param(256, low=32, high=4096, doc="scan positions along one side")
    pixel: float = param(0.15, low=0.05, high=100.0, unit="Å", doc="distance of scan positions")
    voltage: float = param(200.0, low=20.0, high=1000.0, unit="kV", doc="acceleration voltage")
    convergence: float = param(22.0, low=6.0, high=80.0, unit="mrad", doc="convergence semi-angle")
    source_size: float = param(0.6, low=0.3, high=50.0, unit="Å", doc="FWHM of the effective source")
    defocus: float = param(0.0, low=-1e4, high=1e4, unit="nm", doc="underfocus is positive")
    c3: float = param(0.5, low=-1e4, high=1e4, unit="um", doc="spherical aberration, third order")
    c5: float = param(0.0, low=-1e3, high=1e3, unit="mm", doc="spherical aberration, fifth order")
    focal_spread: float = param(0.0, low=0.0, high=100.0, unit="nm", doc="rms spread of focus")
    current: float = param(20.0, low=1e-3, high=1e5, unit="pA", doc="of the beam")
    dwell: float = param(
        4.0, low=1e-3, high=1e6, unit="us", doc="time at each position; dose is current · dwell"
    )
    gain: float = param(1.0, low=1e-6, unit="counts/electron", doc="of the detector")
    readout: float = param(0.3, low=0.0, unit="counts", doc="rms of the detector's electronic noise")
    drift_y: float = param(0.0, unit="Å/s", doc="steady drift of the stage along the slow axis")
    drift_x: float = param(0.0, unit="Å/s", doc="steady drift of the stage along the fast axis")
    line_jitter: float = param(0.0, low=0.0, high=10.0, unit="Å", doc="rms displacement of lines along x")

    @classmethod
    def small(cls) -> Self:
        return cls(size=64, pixel=0.2)

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """An instrument of 60 to 300 kV, mostly probe-corrected, at 20 to 10⁴ electrons a pixel."""
        usual = cls(size=128)
        if rng.random() < 0.5:  # half of all are the default one but for the dose: it is what most use
            return usual.replace(current=usual.current * 2 ** rng.uniform(-1, 1))
        dwell, dose = log_uniform(rng, 1.0, 30.0), log_uniform(rng, 20.0, 1e4)
        return usual.replace(
            pixel=log_uniform(rng, 0.06, 0.3),
            voltage=float(rng.choice([60, 80, 100, 120, 200, 300])),
            convergence=rng.uniform(20, 35),
            source_size=rng.uniform(0.5, 0.9),
            defocus=rng.normal(0, 1.0),
            c3=rng.normal(0, 0.5),
            focal_spread=rng.uniform(0, 3),
            current=dose / dwell / ELECTRONS_PER_PC,
            dwell=dwell,
            readout=rng.uniform(0, 1),
        )

    @property
    def dose(self) -> float:
        """Electrons of the beam at each scan position."""
        return self.current * self.dwell * ELECTRONS_PER_PC

    def simulate(
        self, scene: str | int, *, seed: int = 0, theta: Mapping[str, float] | None = None
    ) -> tuple[Problem, Truth]:
        rng = np.random.default_rng(stream("noise", self.name, scene, seed))
        state = {**self.nominal(), **self._motion(rng), **(theta or {})}
        operator = self._operator().at(state)
        x = self._object(scene)
        y = operator.sample(x, rng).astype(np.float32)
        return micrograph(y, operator, self.pixel, str(scene)), Truth(x, state)

    def nominal(self) -> dict[str, Any]:
        return {**super().nominal(), "scan.drift_y": 0.0, "scan.drift_x": 0.0, "scan.jitter": None}

    def view(self, x: np.ndarray, problem: Problem) -> tuple[View, ...]:
        probe = probe_of(problem)
        image = probe(np.asarray(x), {"probe.size": 0.0, "probe.angle": 0.0})
        part = image[tuple(slice(rim(n), n - rim(n)) for n in image.shape)]
        return (View("specimen", unit_of(problem), part[None]),)

    def residuals(self, mean: np.ndarray, problem: Problem) -> dict[str, float]:
        """``residual`` ‖y − mean‖/‖y‖ and ``chi2``, the mean squared misfit in units of the noise."""
        noise = problem.operator.noise()
        assert noise is not None  # assemble() gives every micrograph a detector
        model = np.asarray(mean, dtype=np.float64)
        floor = 1e-3 * max(float(model.mean()), 1e-12)
        misfit = (np.asarray(problem.y, dtype=np.float64) - model) ** 2
        chi2 = np.mean(misfit / np.maximum(noise.variance(np.maximum(model, 0)), floor))
        return {**super().residuals(mean, problem), "chi2": float(chi2)}

    def figure(
        self, problem: Problem, result: Result, truth: Truth | None, score: Score | None, heading: str
    ) -> Figure:
        from .figure import panels

        return panels(self, problem, result, truth, heading)

    def _operator(self) -> Compose:
        lens = Lens(**{name: value for name, value in self.values().items() if name in Lens().values()})
        scan = Scan(name="scan", label="scan", pixel_size=self.pixel)
        return assemble(lens, scan, self.pixel, dose=self.dose, gain=self.gain, readout=self.readout)

    def _motion(self, rng: np.random.Generator) -> dict[str, Any]:
        """Drift during the frame and jitter of lines, in Å."""
        seconds = self.size**2 * self.dwell * 1e-6
        jitter = rng.standard_normal(self.size) * self.line_jitter if self.line_jitter else None
        return {
            "scan.drift_y": self.drift_y * seconds,
            "scan.drift_x": self.drift_x * seconds,
            "scan.jitter": jitter,
        }

    def _object(self, scene: str | int) -> np.ndarray:
        shape = (self.size, self.size)
        if isinstance(scene, int):
            return draw_any(shape, self.pixel, np.random.default_rng(stream("generated", self.name, scene)))
        if scene not in self.scenes:
            raise UnknownName(
                f"stem has no scene {scene!r}; it has {', '.join(self.scenes)}, and any number for a "
                "generated one"
            )
        return draw(scene, shape, self.pixel, np.random.default_rng(stream("standard", self.name, scene)))


def micrograph(y: np.ndarray, operator: Compose, pixel: float, name: str, **more: Any) -> Problem:
    """Counts (y, x) and the operator that explains them as a problem; ``pixel`` in Å."""
    unit = operator.theta["beam.dose"] * operator.theta["detector.gain"]
    mean = max(float(np.mean(y, dtype=np.float64)), 1e-6) / unit
    return Problem(
        y=y,
        operator=operator,
        modality="stem",
        shape=y.shape,
        dtype="float32",
        axes=("y", "x"),
        pixel_size=(pixel * 1e-10, pixel * 1e-10),
        units=("m", "m"),
        initial=np.full(y.shape, mean, np.float32),
        name=name,
        **more,
    )


def unit_of(problem: Problem) -> str:
    """What the object counts: the part of the beam where the dose is known, otherwise electrons."""
    return "e⁻/px" if problem.operator.theta["beam.dose"] == 1 else "e⁻/e⁻"


def rim(n: int) -> int:
    """Pixels at each end of an axis that the largest distortion of the table may move out of the field."""
    widest = max(abs(end) for tier in ("public", "dev", "hidden") for end in STEM.specs[2].range(tier))
    return math.ceil(1.5 * widest / 100 * n / 2) + 1
