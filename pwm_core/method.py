"""What a plugin author subclasses: Reconstructor, Denoiser, Calibrator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from .problem import Problem
from .settings import Settings


@dataclass
class Iterate:
    """One step of a method.

    ``x``      the object so far, a NumPy array or tensor; the method may go on writing to it
    ``loss``   what the method minimises, a number or 0-d tensor
    ``theta``  parameters that the method estimates along the way, by dotted name
    ``info``   further numbers for the history
    """

    x: Any
    loss: Any = None
    theta: dict[str, Any] | None = None
    info: dict[str, float] = field(default_factory=dict)


class Reconstructor(Settings):
    """Estimates the object from a measurement."""

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        """Yield an :class:`Iterate` per step; a one-shot method yields once.

        The driver decides when to stop reading. All randomness comes from ``rng``. A method with a
        field ``iterations`` gets a progress bar with the time left.
        """
        raise TypeError(f"{type(self).__name__} does not define solve(problem, rng)")

    def held(self) -> Self | None:
        """The same method with all but the object held at what the model says; None if there is none.

        For methods that otherwise retrieve part of the model with the object, such as an illumination.
        """
        return None


class Denoiser(Settings):
    """Removes noise from an image and knows no physics; the core makes reconstructors of it.

    One that is a Reconstructor too, because it can do more with a problem than denoise, keeps its own
    ``solve`` under its own name; plug-and-play is made of its ``denoise``.
    """

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """The image without its white noise of standard deviation ``sigma``.

        ``image`` is a real array (y, x); leading axes, if any, are further images of the same kind.
        """
        raise TypeError(f"{type(self).__name__} does not define denoise(image, sigma)")

    def suited(self, problem: Problem) -> Denoiser:
        """The denoiser for images like the object of ``problem``; one that was trained has several."""
        return self


class Calibrator(Settings):
    """Estimates the parameters θ of the forward model from the data themselves."""

    def solve(
        self, problem: Problem, reconstructor: Reconstructor, rng: np.random.Generator
    ) -> Iterator[Iterate]:
        """Yield iterates whose ``theta`` stays inside ``problem.ranges``; x is the object at that θ.

        The last iterate's ``info`` tells what the data determine: for a parameter ``p`` its standard
        error as ``std:p`` (in p's unit, infinite if p cannot be determined).
        """
        raise TypeError(f"{type(self).__name__} does not define solve(problem, reconstructor, rng)")
