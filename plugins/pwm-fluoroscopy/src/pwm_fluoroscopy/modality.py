"""The modality: a simulated fluoroscope, how its sequences are looked at, and how it errs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from pwm_core.errors import BadValue, UnknownName
from pwm_core.modality import Axis, Modality, Spec, View, log_uniform, stream
from pwm_core.problem import Problem, Truth
from pwm_core.settings import param

from .operator import Fluoroscope, fluoroscope
from .scenes import KINDS, Stage, draw, draw_any
from .start import first_estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pwm_core.driver import Result
    from pwm_core.scoring import Score


class Fluoroscopy(Modality):
    """X-ray video: y = D{Σ_t exp(−x)}, pulsed, scattered, blurred, remembered and counted.

    The settings are those of the simulated instrument: a pulsed tube with automatic exposure control, a
    grid, and a flat panel of caesium iodide.
    """

    name = "fluoroscopy"
    title = "Fluoroscopy"
    about = (
        "Pulsed X-rays show moving anatomy and devices live, with so little dose that 10 to 100 quanta make "
        "a pixel of a frame. The object is the video of line integrals of attenuation, projected on the "
        "detector (the projection of the patient itself happens once, at the frame times); zero is the most "
        "transparent place. A frame is the mean transmission over its pulse, with the object between frames "
        "interpolated linearly; to it come scatter, veiling glare and the screen's blur, what the panel "
        "remembers of earlier frames, and a gain that drifts. Exposure control keeps the mean of the "
        "detected quanta at the setting."
    )
    object_axes = (Axis("frame", "s"), Axis("y", "mm"), Axis("x", "mm"))
    data_axes = (Axis("frame", "s"), Axis("y", "mm"), Axis("x", "mm"))
    scenes = KINDS
    main_residual = "reduced chi2"
    aliases: ClassVar[dict[str, str]] = {  # a method's name on the field's public leaderboard
        "tv": "TV-Fluoro",
        "nlm": "NLM-Fluoro",
        "bm3d": "BM3D-Fluoro",
        "dncnn": "DnCNN-Fluoro",
        "red-cnn": "REDCNN-Fluoro",
        "restormer": "TransFluoro",
        "swin-video": "SwinFluoro",
    }
    specs = (
        Spec(
            "motion_blur", "σ_t", "pulse.blur", "ms", 0.0, 5.0,
            (-5.0, 10.0), (-6.0, 9.0), (-3.5, 11.5),
            "added to the length of the X-ray pulse, 8 ms (the setting `pulse`), over whose rectangle about "
            "the frame time the transmission is averaged",
        ),
        Spec(
            "lag", "τ", "detector.lag", "ms", 0.0, 3.0,
            (-3.0, 6.0), (-3.6, 5.4), (-2.1, 6.9),
            "added to the time constant of the panel's memory, 20 ms (the setting `lag`): "
            "sₙ = (1 − a) qₙ + a sₙ₋₁ with a = exp(−frame time/τ)",
        ),
        Spec(
            "gain_drift", "Δg", "detector.gain_drift", "%", 0.0, 0.5,
            (-0.5, 1.0), (-0.6, 0.9), (-0.35, 1.15),
            "change of exposure and gain from frame to frame: frame n is multiplied by 1 + n Δg/100",
        ),
    )  # fmt: skip

    frames: int = param(16, low=2, high=10000, doc="length of the sequence")
    size: int = param(192, low=16, high=4096, unit="px", doc="width and height of the images")
    pixel: float = param(0.2, low=0.05, high=2.0, unit="mm", doc="pixel at the detector, as binned")
    rate: float = param(30.0, low=1.0, high=50.0, unit="1/s", doc="pulses, and frames, a second")
    quanta: float = param(
        20.0, low=0.1, high=1e6, unit="quanta", doc="dose: detected in a pixel of a frame, on average"
    )
    pulse: float = param(8.0, low=7.0, high=20.0, unit="ms", doc="length of the X-ray pulse")
    lag: float = param(20.0, low=4.0, high=200.0, unit="ms", doc="time constant of the panel's memory")
    blur: float = param(0.15, low=0.0, high=2.0, unit="mm", doc="rms blur of the screen")
    scatter: float = param(0.3, low=0.0, high=5.0, doc="scattered over direct quanta, behind the grid")
    glare: float = param(0.03, low=0.0, high=0.3, doc="part of the light that is veiling glare")
    gain: float = param(4.0, low=1e-6, unit="counts/quantum", doc="of the detector")
    readout: float = param(1.5, low=0.0, unit="quanta", doc="rms of the detector's electronic noise")

    @classmethod
    def small(cls) -> Self:
        return cls(frames=6, size=48, pixel=0.4)

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """A fluoroscope at 7.5 to 30 frames/s and 4 to 200 quanta a pixel, of any usual panel."""
        usual = cls(frames=8, size=96)
        if rng.random() < 0.5:  # half of all are the default one but for the dose: it is what most use
            return usual.replace(quanta=usual.quanta * 2 ** rng.uniform(-1, 1))
        return usual.replace(
            pixel=log_uniform(rng, 0.15, 0.4),
            rate=float(rng.choice([7.5, 10, 15, 25, 30])),
            quanta=log_uniform(rng, 4, 200),
            pulse=rng.uniform(7, 15),
            lag=log_uniform(rng, 5, 60),
            blur=rng.uniform(0.05, 0.3),
            scatter=log_uniform(rng, 0.1, 1.0),
            glare=rng.uniform(0, 0.06),
            readout=rng.uniform(0.5, 3),
        )

    def simulate(
        self, scene: str | int, *, seed: int = 0, theta: Mapping[str, float] | None = None
    ) -> tuple[Problem, Truth]:
        rng = np.random.default_rng(stream("noise", self.name, scene, seed))
        x = self._object(scene)
        operator = self._exposed(x)
        state = {**self.nominal(), **(theta or {})}
        operator = operator.at(state)
        y = operator.sample(x, rng).astype(np.float32)
        problem = Problem(
            y=y,
            operator=operator,
            modality=self.name,
            shape=x.shape,
            axes=("frame", "y", "x"),
            pixel_size=(1 / self.rate, self.pixel, self.pixel),
            units=("s", "mm", "mm"),
            initial=first_estimate(y, operator.at(self.nominal())),
            name=str(scene),
        )
        return problem, Truth(x, state)

    def view(self, x: np.ndarray, problem: Problem) -> tuple[View, ...]:
        """All frames of the line integrals; where a collimator covers them, 0."""
        frames = np.asarray(x)
        return (
            View("attenuation", "", frames if problem.mask is None else np.where(problem.mask, frames, 0)),
        )

    def residuals(self, mean: np.ndarray, problem: Problem) -> dict[str, float]:
        """``reduced chi2``, the mean (y − mean)²/variance, and ``residual`` ‖y − mean‖/‖y‖, where valid."""
        valid = np.broadcast_to(True if problem.mask is None else problem.mask, problem.y.shape)
        y, mean = np.asarray(problem.y)[valid].astype(np.float64), mean[valid].astype(np.float64)
        noise = problem.operator.noise()
        assert noise is not None, "a fluoroscope counts quanta"
        return {
            "reduced chi2": float(np.mean((y - mean) ** 2 / np.maximum(noise.variance(mean), 1e-12))),
            "residual": float(np.linalg.norm(y - mean) / np.linalg.norm(y)),
        }

    def figure(
        self, problem: Problem, result: Result, truth: Truth | None, score: Score | None, heading: str
    ) -> Figure:
        from .figure import panels

        return panels(self, problem, result, truth, heading)

    def _exposed(self, x: np.ndarray) -> Fluoroscope:
        """The instrument, its tube set so that the detected quanta are as many as wanted on average."""
        if self.pulse > 500 / self.rate:
            raise BadValue(
                f"a pulse of {self.pulse:g} ms leaves no time to read out at {self.rate:g} frames/s; "
                f"at most {500 / self.rate:g} ms, or a lower rate"
            )
        operator = fluoroscope(
            pixel=self.pixel,
            frame_time=1000 / self.rate,
            quanta=1.0,
            pulse=self.pulse,
            lag=self.lag,
            blur=self.blur,
            glare=self.glare,
            scatter=self.scatter,
            gain=self.gain,
            readout=self.gain * self.readout,
        )
        return operator.at({"beam.flux": self.quanta * self.gain / float(operator(x).mean(dtype=np.float64))})

    def _object(self, scene: str | int) -> np.ndarray:
        stage = Stage(self.frames, self.size, self.pixel, 1 / self.rate)
        if isinstance(scene, int):
            return draw_any(stage, np.random.default_rng(stream("generated", self.name, scene)))
        if scene not in self.scenes:
            raise UnknownName(
                f"fluoroscopy has no scene {scene!r}; it has {', '.join(self.scenes)}, and any number for a "
                "generated one"
            )
        return draw(scene, stage, np.random.default_rng(stream("standard", self.name, scene)))
