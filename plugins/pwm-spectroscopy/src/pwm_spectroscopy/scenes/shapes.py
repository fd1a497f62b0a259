"""Shapes that samples are made of, drawn as soft masks (y, x) in [0, 1] in units of the field's width."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

Shape = tuple[int, int]


class Canvas:
    """A field of view: its pixel grid (in widths of the field) and the random numbers to draw with."""

    def __init__(self, shape: Shape, rng: np.random.Generator) -> None:
        self.shape, self.rng = shape, rng
        self.unit = 1.0 / max(shape)  # one pixel
        self.y, self.x = ((np.indices(shape) + 0.5) * self.unit).reshape(2, *shape)

    def soft(self, distance: np.ndarray, edge: float = 0.0) -> np.ndarray:
        """1 well inside (positive signed distance), 0 outside, smooth over a pixel or ``edge``."""
        width = max(edge, 0.7 * self.unit)
        return 1 / (1 + np.exp(-np.clip(4 * distance / width, -50, 50)))

    def texture(self, size: float, roughness: float = 3.0) -> np.ndarray:
        """A random field of zero mean and unit variance, with features of ``size`` and finer ones."""
        ny, nx = self.shape
        f = np.hypot(np.fft.fftfreq(ny, self.unit)[:, None], np.fft.rfftfreq(nx, self.unit))
        noise = np.fft.rfft2(self.rng.standard_normal(self.shape))
        field = np.fft.irfft2(noise * (1 + (f * size) ** 2) ** (-roughness / 2), s=self.shape)
        return (field - field.mean()) / (field.std() or 1.0)

    def relief(self, size: float, depth: float, roughness: float = 3.0) -> np.ndarray:
        """A positive factor about 1 that varies by the part ``depth`` (rms)."""
        return np.exp(depth * self.texture(size, roughness) - depth**2 / 2).clip(0, 1 + 3 * depth)

    def gradient(self) -> np.ndarray:
        """A ramp from 0 to 1 in a random direction."""
        angle = self.rng.uniform(0, 2 * np.pi)
        ramp = self.y * np.sin(angle) + self.x * np.cos(angle)
        return (ramp - ramp.min()) / np.ptp(ramp)

    def grains(self, count: int, warp: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
        """Voronoi cells with curved borders: each pixel's cell, and its distance to the nearest border."""
        y, x = (a + warp * self.texture(0.15) for a in (self.y, self.x))
        sites = self.rng.uniform(-0.1, 1.1, (max(count, 2), 2))
        d = np.hypot(y[..., None] - sites[:, 0], x[..., None] - sites[:, 1])
        nearest = np.argsort(d, axis=-1)[..., :2]
        first, second = np.moveaxis(np.take_along_axis(d, nearest, -1), -1, 0)
        return nearest[..., 0], (second - first) / 2

    def blob(self, centre: tuple[float, float], radius: float, irregular: float = 0.2) -> np.ndarray:
        """The signed distance to the rim of a rounded irregular body."""
        return self._within(self._rim(irregular), centre, radius, (slice(None), slice(None)))

    def facets(self, centre: tuple[float, float], radius: float, sides: int) -> np.ndarray:
        """The signed distance to the border of a faceted particle: a polygon with unequal sides."""
        dy, dx = self.y - centre[0], self.x - centre[1]
        angles = self.rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(sides) / sides
        reach = radius * self.rng.uniform(0.8, 1.1, sides)
        planes = [r - dy * np.sin(a) - dx * np.cos(a) for a, r in zip(angles, reach, strict=True)]
        return np.min(planes, axis=0)

    def fibre(self, width: float, bend: float = 0.15) -> np.ndarray:
        """The signed distance to the border of a thread that winds across the whole field."""
        angle = self.rng.uniform(0, np.pi)
        along = (self.x - 0.5) * np.cos(angle) + (self.y - 0.5) * np.sin(angle)
        across = (self.y - 0.5) * np.cos(angle) - (self.x - 0.5) * np.sin(angle)
        middle = self.rng.uniform(-0.35, 0.35)
        for k in range(1, 5):
            phase = self.rng.uniform(0, 2 * np.pi)
            middle = middle + bend / k**1.5 * self.rng.standard_normal() * np.sin(np.pi * k * along + phase)
        return width / 2 - np.abs(across - middle)

    def places(self, count: int, margin: float = 0.0) -> Iterator[tuple[float, float]]:
        """Random points (y, x) of the field, at least ``margin`` inside it."""
        top = (self.shape[0] * self.unit, self.shape[1] * self.unit)
        for _ in range(count):
            y, x = (self.rng.uniform(margin, t - margin) for t in top)
            yield float(y), float(x)

    def spots(self, count: int, radius: tuple[float, float], irregular: float = 0.25) -> np.ndarray:
        """Many small bodies with the projected thickness of spheres, brightest 1."""
        total = np.zeros(self.shape)
        for centre in self.places(count):
            size = np.exp(self.rng.uniform(*np.log(radius)))
            rim = self._rim(irregular)
            near = self._around(centre, size * (1 + sum(abs(a) for _, a, _ in rim)))
            depth = self._within(rim, centre, size, near)
            total[near] = np.maximum(total[near], self.dome(depth, size) * size / radius[1])
        return total

    def dome(self, distance: np.ndarray, radius: float) -> np.ndarray:
        """The projected thickness of a round body, 1 in the middle, from the distance to its rim."""
        inside = np.clip(distance / radius, 0, 1)
        return np.sqrt(inside * (2 - inside)) * self.soft(distance)

    def smooth(self, image: np.ndarray, size: float) -> np.ndarray:
        """The image diffused over ``size``."""
        return ndimage.gaussian_filter(image, size / self.unit, mode="nearest")

    def _rim(self, irregular: float) -> list[tuple[int, float, float]]:
        """Order, amplitude and phase of the waves of a random rim."""
        return [
            (k, irregular / k * self.rng.standard_normal(), self.rng.uniform(0, 2 * np.pi))
            for k in range(2, 7)
        ]

    def _within(
        self,
        rim: list[tuple[int, float, float]],
        centre: tuple[float, float],
        radius: float,
        where: tuple[slice, slice],
    ) -> np.ndarray:
        """The signed distance to the rim of a body, at the pixels ``where``."""
        dy, dx = self.y[where] - centre[0], self.x[where] - centre[1]
        angle, reach = np.arctan2(dy, dx), np.ones(dy.shape)
        for k, amplitude, phase in rim:
            reach += amplitude * np.cos(k * angle + phase)
        return radius * reach.clip(0.3) - np.hypot(dy, dx)

    def _around(self, centre: tuple[float, float], reach: float) -> tuple[slice, slice]:
        """The pixels that are not farther than ``reach`` along either axis, a few more at most."""
        y, x = (
            slice(max(int((c - reach) / self.unit) - 1, 0), max(int((c + reach) / self.unit) + 2, 0))
            for c in centre
        )
        return y, x
