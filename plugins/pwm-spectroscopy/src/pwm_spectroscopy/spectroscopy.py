"""What the two modalities share: simulation, views and figure of spectrum images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pwm_core.modality import Axis, Modality, View, stream
from pwm_core.problem import Problem, Truth
from pwm_core.stored import blocks

from .assembly import operator_for
from .instruments import Instrument
from .operator import spectrum_image_of
from .scenes import find
from .scenes.assorted import Pool
from .scenes.scene import Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pwm_core.driver import Result
    from pwm_core.scoring import Score


class Spectroscopy(Modality):
    """Element maps by characteristic X-rays: a spectrum on every pixel, linear in the areal densities."""

    object_axes = (Axis("component", "ug/cm^2"), Axis("y", "m"), Axis("x", "m"))
    data_axes = (Axis("energy", "keV"), Axis("y", "m"), Axis("x", "m"))
    main_residual = "reduced chi2"
    samples: ClassVar[tuple[Sample, ...]]
    pool: ClassVar[Pool]
    metre: ClassVar[float]  # of the unit of the pixel

    def simulate(
        self, scene: str | int, *, seed: int = 0, theta: Mapping[str, float] | None = None
    ) -> tuple[Problem, Truth]:
        sample, rng = find(self.samples, self.pool, self.name, scene)
        instrument, shape, channels = self.setting(sample)
        operator = operator_for(
            sample.components,
            instrument,
            channels=channels,
            gain=self.channel_width(),
            scale=sample.full_scale,
        )
        state = {**self.nominal(), **(theta or {})}
        operator = operator.at(state)
        x = sample.window(shape, rng) if isinstance(scene, int) else sample.maps(shape, rng)
        noise = np.random.default_rng(stream("noise", self.name, scene, seed))
        pixel = instrument.pixel * self.metre
        problem = Problem(
            y=operator.sample(x, noise).astype(np.float32),
            operator=operator,
            modality=self.name,
            shape=x.shape,
            axes=("component", "y", "x"),
            pixel_size=(1.0, pixel, pixel),
            units=("", "m", "m"),
            name=str(scene),
        )
        return problem, Truth(x, state)

    def setting(self, sample: Sample) -> tuple[Instrument, tuple[int, int], int]:
        """The instrument before this sample, the shape of the map, the number of channels."""
        raise TypeError(f"{type(self).__name__} does not define setting(sample)")

    def channel_width(self) -> float:
        """keV."""
        raise TypeError(f"{type(self).__name__} does not define channel_width()")

    def view(self, x: np.ndarray, problem: Problem) -> tuple[View, ...]:
        """All elements as parts of their full scale, which is scored, then each in µg/cm².

        The full scale is fixed for a class of samples (``emission.scale``; 1 µg/cm² for a measured file),
        so that a trace counts as much as a major element.
        """
        operator = spectrum_image_of(problem)
        maps = np.asarray(x)[: len(operator.elements)]
        scale = operator.emission.scale[: len(maps), None, None]
        each = (View(e, "ug/cm^2", m[None]) for e, m in zip(operator.elements, maps, strict=True))
        return View("elements", "of full scale", (maps / scale).astype(maps.dtype)), *each

    def residuals(self, mean: np.ndarray, problem: Problem) -> dict[str, float]:
        """``reduced chi2`` of the spectrum summed over the field (Pearson's, in channels of 10 counts or
        more), and ``residual`` ‖y − mean‖/‖y‖ of the whole cube."""
        total, expected = np.zeros((2, len(problem.y)))
        misfits, sizes = [], []
        for box, block in blocks(problem.y):
            y, model = block, np.asarray(mean[box])
            if problem.mask is not None:
                valid = np.broadcast_to(problem.mask, problem.y.shape)[box]
                y, model = y * valid, model * valid
            total[box[0]] += y.sum(axis=(1, 2), dtype=np.float64)
            expected[box[0]] += model.sum(axis=(1, 2), dtype=np.float64)
            misfits.append(np.linalg.norm(y - model))
            sizes.append(np.linalg.norm(y))
        some = expected >= 10
        chi2 = np.sum((total - expected)[some] ** 2 / expected[some]) / max(int(some.sum()), 1)
        apart, size = np.hypot.reduce(misfits), np.hypot.reduce(sizes)
        return {"reduced chi2": float(chi2), "residual": float(apart / size) if size else 0.0}

    def figure(
        self, problem: Problem, result: Result, truth: Truth | None, score: Score | None, heading: str
    ) -> Figure:
        from .figure import panels

        return panels(self, problem, result, truth, heading)
