"""Small problems that the kit brings itself, for methods that no installed modality suits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from ..card import Card
from ..errors import UnknownName
from ..method import Iterate, Reconstructor
from ..modality import Axis, Modality, Spec, View, stream
from ..operator import Operator
from ..primitives.convolve import Convolve
from ..primitives.detect import Detect
from ..primitives.fourier import shift_last
from ..problem import Problem, Truth
from ..registry import Entry
from ..settings import param


class Dither(Operator):
    """Several exposures of one image, each displaced by a further step of the stage."""

    symbol = "R"
    frames: int = 3
    step: float = param(
        0.0, low=-4.0, high=4.0, unit="px", symbol="Δx", doc="displacement from frame to frame"
    )

    def apply(self, x: torch.Tensor, step: Any) -> torch.Tensor:
        """Image (y, x) to frames (frame, y, x)."""
        shifts = torch.arange(self.frames, device=x.device) * step
        return shift_last(x.expand(self.frames, *x.shape), shifts[:, None])


class Widefield(Modality):
    """A fluorescence image of disks, blurred by the microscope and counted by a camera."""

    name: ClassVar[str] = "widefield"
    title: ClassVar[str] = "Wide-field fluorescence microscopy"
    object_axes: ClassVar[tuple[Axis, ...]] = (Axis("y", "px"), Axis("x", "px"))
    data_axes: ClassVar[tuple[Axis, ...]] = (Axis("y", "px"), Axis("x", "px"))
    scenes: ClassVar[tuple[str, ...]] = ("disks", "crowd")
    specs: ClassVar[tuple[Spec, ...]] = (
        Spec(
            "blur", "σ", "psf.sigma", "px", 1.2, 1.6, (0.8, 2.0), (0.8, 2.0), (0.8, 2.0), "width of the blur"
        ),
    )

    size: int = param(32, low=16, high=512, unit="px", doc="width of the image")
    photons: float = param(300.0, low=1.0, unit="photons", doc="photons from a pixel of the brightest disk")

    def instrument(self) -> Operator:
        """The forward model at its nominal parameters."""
        return Detect(name="camera", mode="linear", readout=1.0) @ Convolve(name="psf", sigma=1.2)

    def simulate(
        self, scene: str | int, *, seed: int = 0, theta: Mapping[str, float] | None = None
    ) -> tuple[Problem, Truth]:
        x = self._disks(scene)
        operator = self.instrument().at(theta)
        y = operator.sample(x, np.random.default_rng(stream("noise", self.name, scene, seed)))
        problem = Problem(
            y, operator, self.name, x.shape, pixel_size=(1.0, 1.0), units=("px", "px"), name=str(scene)
        )
        return problem.replace(ranges=self.ranges()), Truth(x, operator.theta)

    def view(self, x: np.ndarray, problem: Problem) -> tuple[View, ...]:
        return (View("emission", "photons", np.asarray(x)[None]),)

    def _disks(self, scene: str | int) -> np.ndarray:
        if isinstance(scene, str) and scene not in self.scenes:
            raise UnknownName(f"{self.name} has no scene {scene!r}; it has {', '.join(self.scenes)}")
        rng = np.random.default_rng(stream("object", scene))
        grid = np.arange(self.size)
        x = np.full((self.size, self.size), 0.05)
        for _ in range(14 if scene == "crowd" else 5):
            cy, cx, r = *rng.uniform(0, self.size, 2), rng.uniform(0.08, 0.2) * self.size
            inside = np.hypot(grid[:, None] - cy, grid - cx) < r
            x[inside] = np.maximum(x[inside], rng.uniform(0.3, 1))
        return (self.photons * x).astype(np.float32)


class DitheredWidefield(Widefield):
    """The same microscope, with three exposures displaced by the stage: data and object differ in shape."""

    name: ClassVar[str] = "dithered-widefield"
    title: ClassVar[str] = "Wide-field fluorescence microscopy, dithered"
    data_axes: ClassVar[tuple[Axis, ...]] = (Axis("frame", "1"), Axis("y", "px"), Axis("x", "px"))
    specs: ClassVar[tuple[Spec, ...]] = (
        Spec(
            "drift",
            "Δx",
            "stage.step",
            "px",
            0.0,
            1.5,
            (-3.0, 3.0),
            (-3.0, 3.0),
            (-3.0, 3.0),
            "step per frame",
        ),
    )

    def instrument(self) -> Operator:
        return (
            Detect(name="camera", mode="linear", readout=1.0)
            @ Dither(name="stage")
            @ Convolve(name="psf", sigma=1.2)
        )


class LeastSquares(Reconstructor):
    """Steepest descent on ‖H x − y‖² with the exact step; what calibrators are tried with here."""

    iterations: int = param(20, low=1, doc="steps")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        operator, x = problem.operator, problem.start
        misfit = problem.data - operator(x)
        for _ in range(self.iterations):
            gradient = operator.adjoint(misfit, x)
            change = operator(gradient)
            step = (gradient**2).sum() / (change**2).sum()
            x, misfit = x + step * gradient, misfit - step * change
            yield Iterate(x, loss=(misfit**2).sum())


def own_modalities(role: str) -> list[Entry]:
    """The kit's modalities for what has this role, as entries of a registry that is never shown.

    Calibrators get no blur to estimate: a blurred object and a blurred image of it cannot be told apart.
    """
    classes = (DitheredWidefield,) if role == "calibrator" else (Widefield, DitheredWidefield)
    traits = frozenset({"linear", "image", "nonnegative"})
    return [_entry(c.name, c, "modality", traits) for c in classes]


def own_solver() -> Entry:
    """What a calibrator drives on the kit's modalities."""
    return _entry("least-squares", LeastSquares, "reconstructor", frozenset({"linear"}))


def _entry(name: str, cls: type, role: str, traits: frozenset[str]) -> Entry:
    return Entry(Card(name, f"{__name__}:{cls.__name__}", role, cls.__doc__ or "", traits), "pwm-core", "")
