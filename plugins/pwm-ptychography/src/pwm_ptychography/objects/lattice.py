"""Particle lattices: grains of ordered nanoparticles with their defects, and larger facetted crystals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, spatial

from .paint import coverage, noise, scatter, stamp, turn

_MATERIALS = ("gold", "silver", "magnetite", "ceria")
# The form of the particles → (order of the lattice's axes, sides of the particle's outline)
_FORMS = {
    "sphere": (6, 0),
    "octahedron": (6, 6),
    "plate": (6, 3),
    "cube": (4, 4),
    "prism": (6, 6),
    "cuboctahedron": (4, 8),
}


@dataclass(frozen=True)
class Sites:
    """Lattice sites: ``places`` (n, 2) as (y, x) in px, and the orientation of the grain that each is in."""

    places: np.ndarray
    angle: np.ndarray

    def keep(self, which: np.ndarray) -> Sites:
        return Sites(self.places[which], self.angle[which])


def lattice(shape: tuple[int, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Thickness map (px) of a superlattice of nanoparticles, by material.

    Grains of different orientation meet at wavy boundaries; in them are edge dislocations and vacancies, and
    second and third layers lie on the hollows of the first, a stacking that may repeat in depth. Larger
    facetted crystals grow among them.
    """
    form = str(rng.choice(list(_FORMS)))
    axes = _FORMS[form][0]
    spacing = rng.uniform(8, 16) if rng.random() < 0.7 else rng.uniform(16, 26)
    material, other = rng.choice(_MATERIALS, 2, replace=False)
    sites = _grains(shape, spacing, axes, rng)
    terraces = noise(shape, rng.uniform(25, 60), rng) + 0.12 * noise(shape, 6, rng)
    crystals, occupied = _crystals(shape, rng)
    holes = -2.6 if rng.random() < 0.5 else -1.5
    ground = np.where(occupied, -np.inf, terraces)
    thickness = np.zeros(shape, np.float32)
    for layer, above in enumerate((holes, rng.uniform(-1, 1.5), rng.uniform(0, 2.5))):
        shifted = _hollows(sites, layer * spacing, axes)
        present = _sample(ground, shifted.places) > above
        present &= rng.random(len(present)) > 0.02
        _particles(thickness, shifted.keep(present), form, 0.47 * spacing, rng)
    if material in ("magnetite", "ceria") or rng.random() < 0.5:
        other = material
    repeats = int(rng.integers(1, 4)) + (material != "gold")
    maps = {str(other): crystals}
    maps[str(material)] = maps.get(str(material), 0) + repeats * thickness
    return maps


def _grains(shape: tuple[int, int], spacing: float, axes: int, rng: np.random.Generator) -> Sites:
    """The sites of all grains: each site belongs to the grain whose seed is nearest."""
    size = max(7 * spacing, rng.uniform(60, 180))
    margin = size + 2 * spacing
    number = int(np.prod(np.array(shape) + 2 * margin) / size**2 * 1.5) + 1
    seeds, _ = scatter(shape, margin, np.full(number, 0.4 * size), rng, tries=30)
    spread = rng.choice([0.04, 0.15, np.pi])
    angles = rng.uniform(0, np.pi) + rng.uniform(-spread, spread, len(seeds))
    tree = spatial.cKDTree(seeds)
    grains = []
    for grain, (seed, angle) in enumerate(zip(seeds, angles, strict=True)):
        places = seed + _perfect(1.5 * size, spacing, axes, angle)
        places += _dislocations(places, seed, spacing, axes, angle, size, rng)
        places = places[((places > -2 * spacing) & (places < np.array(shape) + 2 * spacing)).all(axis=1)]
        wavy = places + 0.2 * spacing * np.sin(places[:, ::-1] * (2 * np.pi / 37))
        grains.append(places[tree.query(wavy)[1] == grain])
    places = np.concatenate(grains)
    angle = np.repeat(angles, [len(g) for g in grains])
    crowded = spatial.cKDTree(places).query_pairs(0.72 * spacing, output_type="ndarray")
    keep = np.ones(len(places), bool)
    keep[crowded[:, 1]] = False
    places = places + rng.normal(0, rng.uniform(0.01, 0.035) * spacing, places.shape)
    return Sites(places, angle).keep(keep)


def _perfect(reach: float, spacing: float, axes: int, angle: float) -> np.ndarray:
    """Sites (y, x) of a square (``axes`` 4) or hexagonal (6) lattice within ``reach`` px of 0."""
    n = int(1.3 * reach / spacing) + 1
    i, j = np.meshgrid(np.arange(-n, n + 1), np.arange(-n, n + 1))
    opening = 2 * np.pi / axes
    x, y = spacing * (i + np.cos(opening) * j), spacing * np.sin(opening) * j
    x, y = turn(y, x, -angle)
    near = np.hypot(x, y) < reach
    return np.stack([y[near], x[near]], axis=1)


def _dislocations(
    places: np.ndarray,
    seed: np.ndarray,
    spacing: float,
    axes: int,
    angle: float,
    size: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Displacement by a few edge dislocations: b θ / 2π, with the cut along the Burgers vector b."""
    total = np.zeros_like(places)
    for core in seed + rng.uniform(-size / 2, size / 2, (rng.poisson((size / spacing) ** 2 / 150), 2)):
        burgers = angle + 2 * np.pi / axes * rng.integers(axes)
        u, v = turn(places[:, 0] - core[0], places[:, 1] - core[1], burgers)
        slip = spacing * np.arctan2(v, u) / (2 * np.pi)
        total += slip[:, None] * np.array([np.sin(burgers), np.cos(burgers)])
    return total


def _hollows(sites: Sites, distance: float, axes: int) -> Sites:
    """The sites of a layer above, over the hollows of this one; ``distance`` is the spacing × the layer."""
    length, tilt = (1 / np.sqrt(3), np.pi / 6) if axes == 6 else (1 / np.sqrt(2), np.pi / 4)
    step = length * distance * np.stack([np.sin(sites.angle + tilt), np.cos(sites.angle + tilt)], axis=1)
    return Sites(sites.places + step, sites.angle)


def _sample(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values at the pixels nearest to ``places``; beyond the image, those of its edge."""
    row, column = (
        np.clip(np.rint(at), 0, n - 1).astype(int) for at, n in zip(places.T, image.shape, strict=True)
    )
    return image[row, column]


def _outline(
    dy: np.ndarray, dx: np.ndarray, angle: np.ndarray | float, sides: np.ndarray | int
) -> np.ndarray:
    """Radius (px) of the circle inscribed in the regular polygon about 0 on whose outline a point lies."""
    sector = 2 * np.pi / sides
    azimuth = (np.arctan2(dy, dx) - angle) % sector - sector / 2
    return np.hypot(dy, dx) * np.cos(azimuth)


def _particles(canvas: np.ndarray, sites: Sites, form: str, radius: float, rng: np.random.Generator) -> None:
    """Add the thickness of particles, all of one form, a few per cent smaller than what would touch."""
    number = len(sites.places)
    sides = _FORMS[form][1]
    size = rng.normal(0.95, rng.uniform(0.01, 0.05), number).clip(0.6, 1)
    r = (radius * size).astype(np.float32)
    if form == "plate":
        r = r / 1.5  # the corners of a triangle reach out to twice its inscribed radius
    angle = (sites.angle + rng.normal(0, 0.04, number)).astype(np.float32)

    def paint(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> np.ndarray:
        if form == "sphere":
            return 2 * np.sqrt(np.maximum(r[i] ** 2 - dx**2 - dy**2, 0))
        if form == "octahedron":
            return _octahedron(dy, dx, angle[i], r[i])
        depth = r[i] - _outline(dy, dx, angle[i], sides)
        if form == "cuboctahedron":
            return coverage(-depth) * np.clip(0.9 * r[i] + 2 * depth, 0, 1.8 * r[i])
        return coverage(-depth) * (0.8 if form == "plate" else 2) * r[i]

    stamp(canvas, sites.places, r * (2.1 if sides == 3 else 1.5) + 1, paint, add=True)


def _octahedron(dy: np.ndarray, dx: np.ndarray, angle: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Thickness of a regular octahedron on one of its faces; ``r`` of the circle inscribed in its outline."""
    half, inner = 0.816 * r, 0.577 * r  # half the distance of opposite faces; circle inscribed in a face
    top = np.minimum(half, half - 2.83 * (_outline(dy, dx, angle, 3) - inner))
    bottom = np.minimum(half, half - 2.83 * (_outline(dy, dx, angle + np.float32(np.pi / 3), 3) - inner))
    return np.maximum(top + bottom, 0)


def _crystals(shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Thickness (px) of a few larger facetted crystals with growth steps, and where they leave no room."""
    number = int(rng.poisson(np.prod(np.array(shape) + 60) / 130**2 * rng.choice([0.0, 0.5, 1.0])))
    radius = rng.uniform(14, 48, number)
    places, which = scatter(shape, 30, 0.8 * radius, rng)
    number, radius = len(which), radius[which]
    sides, angle = rng.choice([3, 4, 5, 6, 6, 8], number), rng.uniform(0, 2 * np.pi, number)
    radius = np.where(sides == 3, 0.6, 1.0) * radius
    slope, top = rng.uniform(0.5, 1.2, number), rng.uniform(0.3, 0.7, number) * radius
    step = rng.uniform(2, 6, number)

    def paint(dy: np.ndarray, dx: np.ndarray, i: np.ndarray) -> np.ndarray:
        depth = radius[i] - _outline(dy, dx, angle[i], sides[i])
        steps, rest = np.divmod(np.clip(depth, 0, top[i]), step[i])
        terraces = step[i] * (steps + np.clip(rest, 0, 1))  # flat, with risers 1 px wide
        return coverage(-depth) * (4 + slope[i] * terraces)

    crystals = np.zeros(shape, np.float32)
    stamp(crystals, places, 2.1 * radius, paint)
    return crystals, ndimage.binary_dilation(crystals > 0, iterations=3)
