"""A class of samples: which elements they have, how much of each, and how one of them is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .shapes import Canvas

Maps = dict[str, np.ndarray]


@dataclass(frozen=True)
class Sample:
    """One class of samples. ``draw`` gives maps (y, x) by component, 1 being a component's full scale;
    a map that exceeds it is scaled down.

    ``full_scale`` is in µg/cm² for elements and mg/cm² for ``matrix``; the maps of a sample reach it
    or stay somewhat below. It is public knowledge about the class, and what scored maps are divided by.
    """

    name: str
    about: str
    host: str  # chemical formula of what X-rays are absorbed in
    mass_thickness: float  # of the host: mg/cm² (XRF), µg/cm² (EDX)
    full_scale: dict[str, float]
    draw: Callable[[Canvas], Maps] = field(repr=False)

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(self.full_scale)

    def maps(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A sample (component, y, x) of the class, float32, in the units of its components."""
        drawn = self.draw(Canvas(shape, rng))
        assert set(drawn) == set(self.full_scale), f"{self.name} draws {sorted(drawn)}"
        maps = np.stack([np.clip(drawn[c], 0, None) for c in self.components])
        maps /= np.maximum(maps.max(axis=(1, 2), keepdims=True), 1)
        scale = np.array([self.full_scale[c] for c in self.components])
        return (scale[:, None, None] * maps).astype(np.float32)

    def window(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A part, which is not empty, of a sample up to 2.5 times as wide: detail may be coarse or fine."""
        zoom = rng.uniform(1, 2.5)
        maps = self.maps((int(shape[0] * zoom), int(shape[1] * zoom)), rng)
        there = (maps / [[[self.full_scale[c]]] for c in self.components]).sum(0)
        middle = np.unravel_index(rng.choice(there.size, p=there.ravel() / there.sum()), there.shape)
        places = zip(middle, there.shape, shape, strict=True)
        starts = [int(np.clip(m - n * rng.random(), 0, wide - n)) for m, wide, n in places]
        cut = tuple(slice(s, s + n) for s, n in zip(starts, shape, strict=True))
        return np.ascontiguousarray(maps[:, *cut])
