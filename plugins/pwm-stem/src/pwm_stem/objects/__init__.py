"""Specimens as maps of the part of the beam that they scatter: standard scenes and an endless series."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from . import classes, crystal, mixed
from .classes import Extent
from .paint import Atoms, join, paint
from .structures import FCC, MONOLAYERS, STRONTIUM_TITANATE

__all__ = ["GENERATED", "KINDS", "draw", "draw_any", "specimen"]


def perovskite(extent: Extent, rng: np.random.Generator) -> Atoms:
    """SrTiO₃ [001] in a wedge, with some empty and some doped columns, under a little carbon."""
    foil = crystal.wedge(extent, 80.0, 0.3, rng)
    atoms = crystal.lattice(STRONTIUM_TITANATE, extent, 0.05, (1.3, 0.8))
    atoms = crystal.thick(atoms, STRONTIUM_TITANATE, foil(atoms.y, atoms.x), rng)
    atoms = crystal.doped(crystal.without(atoms, 0.02, rng), 57, 0.03, rng)
    return join(atoms, classes.contamination(extent, 20.0, rng))


def boundary(extent: Extent, rng: np.random.Generator) -> Atoms:
    """A grain boundary in platinum [001], tilted by the 36.87° of Σ5."""
    platinum = next(s for s in FCC if s.name == "Pt")
    return classes.grain_boundary(extent, rng, platinum, math.radians(36.87))


def monolayer(extent: Extent, rng: np.random.Generator) -> Atoms:
    """MoS₂ with tungsten dopants and vacancies, and residue of its preparation."""
    return classes.monolayer(extent, rng, MONOLAYERS[0])


# The standard scenes, with the mean part of the beam that the detector collects, and its diffuse part.
_STANDARD: dict[str, tuple[classes.Maker, float, float]] = {
    "perovskite": (perovskite, 0.016, 0.3),
    "particles": (classes.particles, 0.02, 0.15),
    "boundary": (boundary, 0.025, 0.3),
    "monolayer": (monolayer, 0.006, 0.0),
}
GENERATED: dict[str, tuple[classes.Maker, tuple[float, float]]] = {  # with the range of the diffuse part
    "crystal": (classes.single_crystal, (0.1, 0.5)),
    "dislocation": (classes.dislocation, (0.1, 0.5)),
    "heterostructure": (classes.heterostructure, (0.1, 0.5)),
    "boundary": (classes.grain_boundary, (0.1, 0.5)),
    "polycrystal": (classes.polycrystal, (0.1, 0.4)),
    "particles": (classes.particles, (0.0, 0.3)),
    "monolayer": (classes.monolayer, (0.0, 0.05)),
    "surface": (mixed.surface, (0.0, 0.4)),
    "stacking": (mixed.stacking, (0.1, 0.5)),
    "overlap": (mixed.overlap, (0.1, 0.5)),
    "single atoms": (mixed.single_atoms, (0.0, 0.2)),
    "glass": (mixed.glass, (0.0, 0.3)),
}
KINDS = tuple(_STANDARD)
SPREAD = 2.5  # Å, rms: how far electrons stray that have left their column in a thick crystal


def draw(kind: str, shape: tuple[int, int], pixel: float, rng: np.random.Generator) -> np.ndarray:
    """The standard scene ``kind`` on a grid (y, x) of pixels (Å), float32."""
    return specimen(*_STANDARD[kind], shape, pixel, rng)


def draw_any(shape: tuple[int, int], pixel: float, rng: np.random.Generator) -> np.ndarray:
    """A specimen of a class drawn at random, scattering 0.5 to 5 % of the beam, float32."""
    make, diffuse = list(GENERATED.values())[rng.integers(len(GENERATED))]
    part = math.exp(rng.uniform(math.log(0.005), math.log(0.05)))
    return specimen(_window(make), part, rng.uniform(*diffuse), shape, pixel, rng)


def _window(make: classes.Maker) -> classes.Maker:
    """A part, which is not empty, of a specimen that is up to 2.5 times as wide as the field."""

    def made(extent: Extent, rng: np.random.Generator) -> Atoms:
        zoom = rng.uniform(1, 2.5)
        atoms = make((zoom * extent[0], zoom * extent[1]), rng)
        seen = rng.choice(len(atoms.y), p=atoms.strength / atoms.strength.sum())
        y, x = (
            float(np.clip(p[seen] - e * rng.random(), 0, (zoom - 1) * e))
            for p, e in zip((atoms.y, atoms.x), extent, strict=True)
        )
        return atoms.moved(-y, -x)

    return made


def specimen(
    make: classes.Maker,
    part: float,
    diffuse: float,
    shape: tuple[int, int],
    pixel: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Cross-sections per area (y, x), such that the field scatters ``part`` of the beam onto the detector.

    The absolute scale is set by the detector's inner angle, which is chosen for a good signal. In a thick
    crystal the part ``diffuse`` of the electrons is scattered after it has spread to other columns.
    """
    extent = ((shape[0] - 1) * pixel, (shape[1] - 1) * pixel)
    image = paint(make(extent, rng), shape, pixel)
    image = (1 - diffuse) * image + diffuse * gaussian_filter(image, SPREAD / pixel, truncate=3.0)
    return (image * (part / image.mean())).astype(np.float32)
