"""A modality: what the instrument measures, how it errs, and how its objects are looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np

from .errors import UnknownName
from .problem import Problem, Truth
from .settings import Settings
from .stored import blocks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .driver import Result
    from .scoring import Score

TIERS = ("public", "dev", "hidden")


class Axis(NamedTuple):
    """A named axis with its unit."""

    name: str
    unit: str


class View(NamedTuple):
    """One quantity of an object as images: ``images`` has axes (image, y, x)."""

    name: str
    unit: str
    images: np.ndarray


@dataclass(frozen=True)
class Spec:
    """One row of a modality's table of model errors."""

    name: str  # "probe_error"
    symbol: str  # "ΔP"
    path: str  # the operator's parameter, "probe.error"
    unit: str
    nominal: float
    perturbed: float
    public: tuple[float, float]
    dev: tuple[float, float]
    hidden: tuple[float, float]
    doc: str  # exactly how it enters the physics, and the base value that it is an offset to

    def range(self, tier: str) -> tuple[float, float]:
        return {"public": self.public, "dev": self.dev, "hidden": self.hidden}[tier]


class Modality(Settings):
    """Base of all modalities. Its settings (``param`` fields) are those of the simulated instrument.

    Subclasses set the class attributes, and define :meth:`simulate`, :meth:`view` and, where the
    physics leaves something undetermined, :meth:`align`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str] = ""  # a paragraph for `pwm info`
    object_axes: ClassVar[tuple[Axis, ...]]
    data_axes: ClassVar[tuple[Axis, ...]]
    specs: ClassVar[tuple[Spec, ...]] = ()
    scenes: ClassVar[tuple[str, ...]]  # the standard scenes, the default one first
    main_residual: ClassVar[str] = "residual"  # which of residuals() a user looks at first
    aliases: ClassVar[Mapping[str, str]] = {}  # our method's name -> its name in the field's own benchmark

    def simulate(
        self, scene: str | int, *, seed: int = 0, theta: Mapping[str, float] | None = None
    ) -> tuple[Problem, Truth]:
        """A measurement of a standard scene (by name) or of the generated object number ``scene``.

        ``theta`` (dotted names) is the true state of the instrument, by default the nominal one. The
        problem's operator is the true one, H(θ*). ``seed`` fixes everything else that is random; the
        object depends on ``scene`` alone. UnknownName if there is no such scene.
        """
        raise TypeError(f"{type(self).__name__} does not define simulate(scene, seed=, theta=)")

    def view(self, x: np.ndarray, problem: Problem) -> tuple[View, ...]:
        """The object as images, cut to the region that is scored; the first view is the scored one."""
        raise TypeError(f"{type(self).__name__} does not define view(x, problem)")

    def align(self, x: np.ndarray, truth: Truth, problem: Problem) -> np.ndarray:
        """Remove from ``x`` what the physics cannot determine, by comparison with the truth."""
        return x

    def residuals(self, mean: np.ndarray, problem: Problem) -> dict[str, float]:
        """How far the model's data ``mean`` are from the measurement, in the field's usual figures.

        Both may be larger than memory; then they are :class:`~pwm_core.stored.BlockArray`.
        """
        apart, size = [], []
        for box, block in blocks(problem.y):
            y = np.asarray(block, dtype=np.float64)
            apart.append(np.linalg.norm(y - mean[box]))
            size.append(np.linalg.norm(y))
        return {"residual": float(np.hypot.reduce(apart) / np.hypot.reduce(size))}

    def figure(
        self, problem: Problem, result: Result, truth: Truth | None, score: Score | None, heading: str
    ) -> Figure:
        """The figure that a run leaves behind."""
        from .figure import overview

        return overview(self, problem, result, truth, heading)

    @classmethod
    def small(cls) -> Self:
        """The modality with settings that make a problem solvable in about a second, for tests."""
        return cls()

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """An instrument as some laboratory might have it, on which a learned method is trained.

        Dose, pixel and what else differs from one instrument to the next are drawn from ``rng``, more
        widely than a benchmark varies them; the field of view is a small one.
        """
        return cls()

    # -- what every modality gets ---------------------------------------------------------------

    def draw_theta(self, scene: str | int, seed: int, tier: str = "public") -> dict[str, float]:
        """A true state of the instrument, uniform inside the tier's ranges, fixed by scene and seed."""
        rng = np.random.default_rng(stream("theta", self.name, scene, seed))
        return {s.path: float(rng.uniform(*s.range(tier))) for s in self.specs}

    def ranges(self, tier: str = "public") -> dict[str, tuple[float, float]]:
        """The allowed range of every parameter, by dotted name."""
        return {s.path: s.range(tier) for s in self.specs}

    def nominal(self) -> dict[str, float]:
        """The nominal value of every parameter, by dotted name."""
        return {s.path: s.nominal for s in self.specs}

    def spec(self, name: str) -> Spec:
        """The row called ``name`` (the page's name or the dotted one); UnknownName otherwise."""
        for s in self.specs:
            if name in (s.name, s.path):
                return s
        raise UnknownName(
            f"{self.name} has no parameter {name!r}; it has {', '.join(s.name for s in self.specs)}"
        )


def stream(*words: str | int) -> np.random.SeedSequence:
    """The seed of an independent random stream named by these words."""
    import hashlib

    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return np.random.SeedSequence(int.from_bytes(digest[:16], "little"))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform between those of ``low`` and ``high``."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
