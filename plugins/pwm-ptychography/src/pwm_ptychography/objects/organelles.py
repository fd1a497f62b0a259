"""What is inside a cell: nucleus, endoplasmic reticulum, filaments, mitochondria, vesicles and granules.

Each function adds to the maps of one cell. ``depth`` is how thick the specimen is; all lengths are in px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .paint import Painter, capsule, coverage, stamp, turn


@dataclass(frozen=True)
class Maps:
    """What is drawn on, thickness (px) of protein and of the stain, with smooth noise of three scales."""

    protein: np.ndarray
    stain: np.ndarray
    fine: np.ndarray  # noise of 2, 5 and 20 px
    medium: np.ndarray
    coarse: np.ndarray

    def window(self, part: tuple[slice, slice]) -> Maps:
        """The same maps, cut to a part of them."""
        return Maps(*(image[part] for image in vars(self).values()))


def ridge(distance: np.ndarray, width: float) -> np.ndarray:
    """Profile of a membrane seen edge on: 1 where ``distance`` (px) is 0, Gaussian with σ = ``width``."""
    return np.exp(-((distance / width) ** 2) / 2)


def nearest(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values at the pixels nearest to ``places``; −inf outside the image, where nothing can be placed."""
    at = np.rint(places).astype(int)
    inside = ((at >= 0) & (at < image.shape)).all(axis=1)
    values = np.full(len(places), -np.inf)
    values[inside] = image[tuple(at[inside].T)]
    return values


def nucleus(
    cell: Maps, out: np.ndarray, place: np.ndarray, radius: float, depth: float, rng: np.random.Generator
) -> None:
    """Nucleus whose edge is where ``out`` is 0: envelope with pores, chromatin dense at the rim, nucleoli."""
    body = coverage(out)
    pores = np.clip(1.2 + 0.8 * cell.medium, 0.15, 1)
    chromatin = cell.medium + 0.5 * cell.fine + 1.2 * np.exp(out / 6) - 0.7
    cell.protein[...] += depth * body * (0.10 + 0.13 * np.clip(chromatin, 0, 1))
    cell.stain[...] += (
        depth * body * (0.006 * pores * ridge(out + 1.5, 1.1) + 0.003 * np.clip(chromatin, 0, 1))
    )
    number = int(rng.integers(1, 4))
    places = place + radius * rng.uniform(-0.55, 0.55, (number, 2))
    size = radius * rng.uniform(0.14, 0.3, number)
    discs = _largest(cell, places, size + 2, lambda dy, dx, i: coverage((np.hypot(dy, dx) - size[i]) / 2.5))
    nucleoli = depth * discs * body * (1 + 0.2 * cell.fine)
    cell.protein[...] += 0.22 * nucleoli
    cell.stain[...] += 0.004 * nucleoli


def reticulum(cell: Maps, away: np.ndarray, room: np.ndarray, depth: float, rng: np.random.Generator) -> None:
    """Sheets of endoplasmic reticulum in stacks about the nucleus, ``away`` px from it, with ribosomes."""
    period = rng.uniform(5, 8)
    level = away + 6 * cell.coarse + 0.8 * cell.medium
    sheet = ridge((level / period - np.rint(level / period)) * period, 0.9)
    patches = np.clip(2 * cell.coarse - 0.4, 0, 1) * np.clip(cell.medium + 1.6, 0, 1)
    where = patches * np.clip((room - 3) / 3, 0, 1) * np.clip((50 - away) / 15, 0, 1)
    beads = np.clip(1 + 0.5 * cell.fine, 0, 2)
    cell.protein[...] += 0.06 * depth * where * sheet * beads
    cell.stain[...] += 0.0035 * depth * where * sheet * beads


def filaments(
    cell: Maps, place: np.ndarray, radius: float, room: np.ndarray, depth: float, rng: np.random.Generator
) -> None:
    """Bundles of filaments that wander from the middle outwards, made of short straight pieces."""
    number, pieces, length = int(rng.integers(10, 34)), int(radius / 5), 7.0
    bundle = rng.uniform(0, 2 * np.pi, 4)[rng.integers(0, 4, number)] + rng.normal(0, 0.25, number)
    bend = np.cumsum(rng.normal(0, 0.12, (number, pieces)), axis=1)
    angle = bundle[:, None] + bend
    steps = length * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    origin = place + rng.uniform(-0.45, 0.45, (number, 1, 2)) * radius
    places = (origin + np.cumsum(steps, axis=1) - steps / 2).reshape(-1, 2)
    angles = angle.ravel().astype(np.float32)
    width = np.repeat(rng.uniform(0.6, 1.3, number), pieces).astype(np.float32)

    def paint(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> np.ndarray:
        return ridge(capsule(*turn(dy, dx, angles[i]), length / 2), width[i])

    lines = _largest(cell, places, np.full(len(places), length / 2 + 4), paint) * np.clip(room / 3, 0, 1)
    cell.protein[...] += 0.09 * depth * lines
    cell.stain[...] += 0.0008 * depth * lines


def mitochondria(
    cell: Maps, places: np.ndarray, room: np.ndarray, depth: float, rng: np.random.Generator
) -> None:
    """Bent rods with a double membrane and cristae across them, where their whole length has room."""
    number = len(places)
    radius, half = rng.uniform(3.5, 7.0, number), rng.uniform(2, 18, number)
    angle, bend = rng.uniform(0, np.pi, number), rng.normal(0, 0.008, number)
    period, wobble = rng.uniform(3.6, 5.5, number), rng.uniform(0, 2 * np.pi, number)
    tip = (half + radius)[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    fits = np.minimum(nearest(room, places + tip), nearest(room, places - tip)) > 2
    places = places[fits]
    radius, half, angle, bend, period, wobble = (a[fits] for a in (radius, half, angle, bend, period, wobble))

    def axes(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, v = turn(dy, dx, angle[i])
        v = v - bend[i] * u**2
        return u, capsule(u, v, half[i]) - radius[i]

    def body(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> np.ndarray:
        return np.sqrt(np.clip(-axes(dy, dx, i)[1] / radius[i], 0, 1))

    def membranes(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> np.ndarray:
        u, out = axes(dy, dx, i)
        cristae = 0.5 + 0.5 * np.cos(2 * np.pi * u / period[i] + 1.5 * np.sin(dy / 3 + wobble[i]))
        return np.maximum(ridge(out + 1, 0.9), 0.75 * cristae * coverage(out + 2))

    reach = half + radius + 3
    cell.protein[...] += 0.16 * depth * _largest(cell, places, reach, body)
    cell.stain[...] += 0.006 * depth * _largest(cell, places, reach, membranes)


def vesicles(
    cell: Maps, places: np.ndarray, room: np.ndarray, depth: float, rng: np.random.Generator
) -> None:
    """Round vesicles: a membrane about contents that are thinner, or denser, than the cytoplasm."""
    radius = np.minimum(rng.uniform(2.5, 5, len(places)) + rng.exponential(2.5, len(places)), 14)
    fits = nearest(room, places) > radius + 2
    places, radius = places[fits], radius[fits]
    content = np.where(rng.random(len(places)) < 0.5, -0.1, rng.uniform(0.1, 0.35, len(places)))

    def fill(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> np.ndarray:
        return content[i] * np.sqrt(np.clip(1 - (dy**2 + dx**2) / radius[i] ** 2, 0, 1))

    def membrane(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> np.ndarray:
        return ridge(np.hypot(dy, dx) - radius[i], 0.9)

    stamp(cell.protein, places, radius + 1, lambda dy, dx, i: depth * fill(dy, dx, i), add=True)
    cell.stain[...] += 0.005 * depth * _largest(cell, places, radius + 3, membrane)


def granules(
    cell: Maps, places: np.ndarray, room: np.ndarray, depth: float, rng: np.random.Generator
) -> None:
    """Clusters of stained granules of 2 to 5 px, most of them about ``places``."""
    around = np.repeat(places, rng.integers(3, 12, len(places)), axis=0)
    around = around + rng.normal(0, 6, around.shape)
    radius = rng.uniform(0.9, 1.6, len(around)) + rng.exponential(0.25, len(around))
    load = rng.uniform(0.003, 0.016, len(around)) * depth

    def paint(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> np.ndarray:
        return load[i] * coverage((np.hypot(dy, dx) - radius[i]) / 1.3)

    cell.stain[...] += _largest(cell, around, radius + 3, paint) * np.clip(room / 2, 0, 1)


def _largest(cell: Maps, places: np.ndarray, reach: np.ndarray, paint: Painter) -> np.ndarray:
    """A fresh map with the features stamped on it; where they overlap, the larger value."""
    canvas = np.zeros(cell.protein.shape, np.float32)
    stamp(canvas, places, reach, paint)
    return canvas
