"""The modality: a simulated X-ray ptychograph, how its objects are looked at, and how it errs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from pwm_core.errors import UnknownName
from pwm_core.modality import Axis, Modality, Spec, View, stream
from pwm_core.problem import Problem, Truth
from pwm_core.settings import param

from .align import aligned
from .assembly import assemble, far_field
from .objects import KINDS, draw, draw_any
from .operator import Diffraction, diffraction_of
from .simulation import beam_diameter, focused_wave, raster, wavelength

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pwm_core.driver import Result
    from pwm_core.scoring import Score

SOURCE_WIDTH = 10e-9  # m, rms: the base value that partial_coherence is added to


class Ptychography(Modality):
    """Scanning coherent X-ray diffraction: I_j = Σ_m |F{P_m(r − r_j) O(r)}|².

    The settings are those of the simulated instrument: a zone plate, a sample stage behind its focus
    and a photon-counting detector.
    """

    name = "ptychography"
    title = "Ptychography"
    about = (
        "A coherent beam visits overlapping places of a thin sample; at each a diffraction pattern is "
        "recorded. The overlap makes it possible to recover the complex transmission of the sample together "
        "with the illumination. Phases are in rad, more negative where material is thicker or denser. The "
        "diffraction limit, not the lens, sets the pixel: wavelength · distance / (window · detector pixel)."
    )
    object_axes = (Axis("y", "m"), Axis("x", "m"))
    data_axes = (Axis("frame", ""), Axis("y", "detector pixel"), Axis("x", "detector pixel"))
    scenes = KINDS
    aliases: ClassVar[dict[str, str]] = {  # a method's name on the field's public leaderboard
        "epie": "ePIE",
        "sdr": "sDR",
    }
    specs = (
        Spec(
            "probe_error", "ΔP", "probe.error", "%", 0.0, 5.0,
            (-5.0, 10.0), (-6.0, 9.0), (-3.5, 11.5),
            "relative error of the defocus, the distance from focus to sample: the illumination is "
            "propagated by defocus · error, which changes its curvature and its size",
        ),
        Spec(
            "position_error", "Δr", "scan.drift", "nm", 0.0, 10.0,
            (-10.0, 20.0), (-12.0, 18.0), (-7.0, 23.0),
            "steady drift of the stage along the diagonal, nothing at the first frame and the whole of it "
            "at the last one (random displacement of each frame is the setting `jitter` of the simulation)",
        ),
        Spec(
            "partial_coherence", "σ_c", "probe.coherence", "nm", 0.0, 5.0,
            (-5.0, 10.0), (-6.0, 9.0), (-3.5, 11.5),
            f"added to the rms width of the effective source at the sample, {SOURCE_WIDTH * 1e9:g} nm: "
            "displaced illuminations add incoherently",
        ),
    )  # fmt: skip

    energy: float = param(8.8, low=5.0, high=20.0, unit="keV", doc="photon energy")
    distance: float = param(1.0, low=1e-3, high=100.0, unit="m", doc="sample to detector")
    detector_pixel: float = param(150.0, low=1.0, high=1e4, unit="um", doc="pixel of the detector, as binned")
    window: int = param(64, low=16, high=2048, doc="detector pixels along one side")
    side: int = param(20, low=2, high=1000, doc="scan positions along one side of the raster")
    overlap: float = param(
        0.65, low=0.0, high=0.95, doc="linear overlap of neighbouring beams (90 % diameter)"
    )
    wobble: float = param(0.25, low=0.0, high=0.5, doc="known displacement of raster points, part of a step")
    jitter: float = param(0.0, low=0.0, high=1000.0, unit="nm", doc="rms of unknown displacements of frames")
    photons: float = param(1e6, low=1.0, high=1e12, doc="dose: photons in one pattern without the sample")
    aperture: float = param(
        1.41e-3, low=1e-6, high=1.0, doc="numerical aperture of the zone plate (50 nm zones)"
    )
    defocus: float = param(130.0, low=-1e6, high=1e6, unit="um", doc="from focus to sample")
    astigmatism: float = param(15.0, low=-1e6, high=1e6, unit="um", doc="distance between the line foci")
    gain: float = param(1.0, low=1e-6, unit="counts/photon", doc="of the detector")
    readout: float = param(0.0, low=0.0, unit="counts", doc="rms of the detector's electronic noise")

    @classmethod
    def small(cls) -> Self:
        return cls(side=8, window=32, detector_pixel=300.0, defocus=60.0)

    def simulate(
        self, scene: str | int, *, seed: int = 0, theta: Mapping[str, float] | None = None
    ) -> tuple[Problem, Truth]:
        rng = np.random.default_rng(stream("noise", self.name, scene, seed))
        operator = self._operator()
        shift = rng.standard_normal(operator.scan.positions.shape) * self.jitter
        state = {**self.nominal(), **(theta or {}), "scan.jitter": shift if self.jitter else None}
        operator = operator.at(state)
        x = self._object(scene, operator)
        y = operator.sample(x, rng).astype(np.float32)
        pixel = operator.scan.pixel_size
        problem = Problem(
            y=y,
            operator=operator,
            modality=self.name,
            shape=x.shape,
            dtype="complex64",
            axes=("y", "x"),
            pixel_size=(pixel, pixel),
            units=("m", "m"),
            initial=np.ones(x.shape, np.complex64),
            name=str(scene),
        )
        return problem, Truth(x, state)

    def nominal(self) -> dict[str, float]:
        return {**super().nominal(), "scan.jitter": None}  # type: ignore[dict-item]

    def view(self, x: np.ndarray, problem: Problem) -> tuple[View, ...]:
        part = np.asarray(x)[(None, *illuminated(diffraction_of(problem)))]
        return View("phase", "rad", np.angle(part)), View("amplitude", "", np.abs(part))

    def align(self, x: np.ndarray, truth: Truth, problem: Problem) -> np.ndarray:
        return aligned(x, truth.x, illuminated(diffraction_of(problem)))

    def residuals(self, mean: np.ndarray, problem: Problem) -> dict[str, float]:
        """``residual`` Σ(|Ψ| − √I)²/ΣI and ``R`` Σ||Ψ| − √I|/Σ√I over the valid detector elements."""
        squares = differences = counts = roots = 0.0
        for j, (model, frame) in enumerate(zip(mean, problem.y, strict=True)):  # data may fill the memory
            valid = True if problem.mask is None else np.broadcast_to(problem.mask, mean.shape)[j]
            y = np.maximum(np.asarray(frame, dtype=np.float64), 0)
            apart = np.sqrt(np.maximum(model, 0)) - np.sqrt(y)
            squares += np.sum(apart**2, where=valid)
            differences += np.sum(np.abs(apart), where=valid)
            counts += np.sum(y, where=valid)
            roots += np.sum(np.sqrt(y), where=valid)
        return {"residual": float(squares / counts), "R": float(differences / roots)}

    def figure(
        self, problem: Problem, result: Result, truth: Truth | None, score: Score | None, heading: str
    ) -> Figure:
        from .figure import panels

        return panels(self, problem, result, truth, heading)

    def _operator(self) -> Diffraction:
        lam = wavelength(1e3 * self.energy)
        pixel = lam * self.distance / (self.window * 1e-6 * self.detector_pixel)
        wave = focused_wave(
            self.window, pixel, lam, self.aperture, 1e-6 * self.defocus, 1e-6 * self.astigmatism
        )
        step = (1 - self.overlap) * beam_diameter(wave, pixel)
        return assemble(
            wave=wave[None] * math.sqrt(self.photons),
            positions=raster(self.side, step, self.wobble),
            pixel=pixel,
            propagate=far_field(),
            wavelength=lam,
            defocus=1e-6 * self.defocus,
            source_width=SOURCE_WIDTH,
            gain=self.gain,
            readout=self.readout,
        )

    def _object(self, scene: str | int, operator: Diffraction) -> np.ndarray:
        shape, pixel, energy = operator.scan.shape, operator.scan.pixel_size, 1e3 * self.energy
        if isinstance(scene, int):
            return draw_any(
                shape, pixel, np.random.default_rng(stream("generated", self.name, scene)), energy
            )
        if scene not in self.scenes:
            raise UnknownName(
                f"ptychography has no scene {scene!r}; it has {', '.join(self.scenes)}, and any number for a "
                "generated one"
            )
        return draw(scene, shape, pixel, np.random.default_rng(stream("standard", self.name, scene)), energy)


def illuminated(operator: Diffraction) -> tuple[slice, slice]:
    """The rectangle of the object that the centres of the beam have visited."""
    scan = operator.scan
    corners, _ = scan.corners(scan.positions)
    first = corners.min(0).values.tolist()
    last = corners.max(0).values.tolist()
    start = [f + w // 2 for f, w in zip(first, scan.window, strict=True)]
    stop = [s + w // 2 + 1 for s, w in zip(last, scan.window, strict=True)]
    return slice(start[0], stop[0]), slice(start[1], stop[1])
