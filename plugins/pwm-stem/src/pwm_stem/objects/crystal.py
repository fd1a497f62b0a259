"""Lattices of atomic columns over the field of view: orientation, thickness, strain and defects."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .paint import Atoms, strength
from .structures import Structure

MARGIN = 6.0  # Å around the field in which columns are kept: strain may move them in
Field = Callable[[np.ndarray, np.ndarray], np.ndarray]  # a value at each position (y, x), Å


def lattice(
    structure: Structure,
    extent: tuple[float, float],
    angle: float = 0.0,
    origin: tuple[float, float] = (0, 0),
) -> Atoms:
    """The columns of one repeat along the beam, over a field of ``extent`` (Å: y, x) and a margin.

    ``angle`` (rad) turns the cell counter-clockwise about ``origin`` (y, x), where a cell starts.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])  # of (y, x), y downwards
    vectors = structure.cell @ turn.T
    corners = np.array([[y, x] for y in (-MARGIN, extent[0] + MARGIN) for x in (-MARGIN, extent[1] + MARGIN)])
    reached = (corners - origin) @ np.linalg.inv(vectors)
    ranges = [
        np.arange(math.floor(a) - 1, math.ceil(b) + 1)
        for a, b in zip(reached.min(0), reached.max(0), strict=True)
    ]
    cells = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 1, 2)
    places = np.array([[c.y, c.x] for c in structure.columns])
    weights = np.array([sum(float(strength(z)) for z in c.atoms) for c in structure.columns])
    motions = np.array([c.motion for c in structure.columns])
    y, x = np.moveaxis((cells + places) @ vectors + np.asarray(origin), -1, 0)
    atoms = Atoms(y.ravel(), x.ravel(), np.tile(weights, len(cells)), np.tile(motions, len(cells)))
    return atoms.where(_inside(atoms, extent))


def thick(
    atoms: Atoms, structure: Structure, thickness: np.ndarray | float, rng: np.random.Generator
) -> Atoms:
    """Columns through ``thickness`` (Å): whole atoms, so that neighbours differ by steps at the surfaces."""
    repeats = np.maximum(np.broadcast_to(thickness, atoms.y.shape) / structure.repeat, 0)
    return atoms.scaled(np.floor(repeats + rng.random(atoms.y.shape)))


def wedge(extent: tuple[float, float], thickness: float, part: float, rng: np.random.Generator) -> Field:
    """Thickness (Å) that changes by ±``part`` across the field, and by a tenth of that in long waves."""
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    size, wave = max(extent), rng.uniform(0.7, 1.5) * max(extent)

    def at(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        along = ((y - extent[0] / 2) * np.sin(angle) + (x - extent[1] / 2) * np.cos(angle)) * 2 / size
        across = np.sin(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / wave + phase)
        return thickness * np.maximum(1 + part * along + 0.1 * part * across, 0.1)

    return at


def strained(atoms: Atoms, extent: tuple[float, float], size: float, rng: np.random.Generator) -> Atoms:
    """Displaced by a smooth random field whose strain is about ``size`` (0.01: one per cent)."""
    dy, dx = np.zeros_like(atoms.y), np.zeros_like(atoms.x)
    for _ in range(4):
        wave = rng.uniform(0.5, 1.5) * max(extent)
        angle, phase, turn = rng.uniform(0, 2 * np.pi, 3)
        u = (
            size
            * wave
            / (4 * np.pi)
            * np.sin(2 * np.pi * (atoms.y * np.sin(angle) + atoms.x * np.cos(angle)) / wave + phase)
        )
        dy, dx = dy + u * np.sin(turn), dx + u * np.cos(turn)
    return atoms.moved(dy, dx)


def dislocated(atoms: Atoms, core: tuple[float, float], burgers: float, angle: float) -> Atoms:
    """Displaced by an edge dislocation along the beam at ``core`` (y, x), in an isotropic medium.

    Hirth & Lothe, Theory of Dislocations, eq. 3-45, with Poisson's ratio 0.3. ``burgers`` (Å) is the
    length of the Burgers vector, ``angle`` (rad) its direction from x towards y.
    """
    nu = 0.3
    cos, sin = math.cos(angle), math.sin(angle)
    ry, rx = atoms.y - core[0], atoms.x - core[1]
    a, b = rx * cos + ry * sin, ry * cos - rx * sin
    r2 = a**2 + b**2 + 0.5  # Å²: the core is not singular
    along = burgers / (2 * np.pi) * (np.arctan2(b, a) + a * b / (2 * (1 - nu) * r2))
    across = -burgers / (8 * np.pi * (1 - nu)) * ((1 - 2 * nu) * np.log(r2) + (a**2 - b**2) / r2)
    return atoms.moved(along * sin + across * cos, along * cos - across * sin)


def without(atoms: Atoms, share: float, rng: np.random.Generator) -> Atoms:
    """Vacancies: this share of the columns is partly or wholly empty."""
    left = np.where(rng.random(atoms.y.shape) < share, rng.uniform(0, 0.6, atoms.y.shape), 1.0)
    return atoms.scaled(left)


def doped(atoms: Atoms, z: int, share: float, rng: np.random.Generator) -> Atoms:
    """Dopants: this share of the columns holds one to three more atoms of atomic number ``z``."""
    count = np.where(rng.random(atoms.y.shape) < share, rng.integers(1, 4, atoms.y.shape), 0)
    return atoms._replace(strength=atoms.strength + count * float(strength(z)))


def amorphous(
    extent: tuple[float, float], thickness: Field | float, z: int, density: float, rng: np.random.Generator
) -> Atoms:
    """A film of atoms at random places, ``density`` per Å³: carbon 0.1, with its natural mottling."""
    size = [e + 2 * MARGIN for e in extent]
    peak = thickness if isinstance(thickness, float) else float(np.max(thickness(*_corners(extent)))) * 1.3
    count = min(int(rng.poisson(density * peak * size[0] * size[1])), 40_000)
    y, x = (rng.uniform(-MARGIN, e + MARGIN, count) for e in extent)
    share = 1.0 if isinstance(thickness, float) else np.clip(thickness(y, x) / peak, 0, 1)
    weight = density * peak * size[0] * size[1] / max(count, 1) * float(strength(z)) * share
    return Atoms(y, x, np.broadcast_to(weight, y.shape).astype(float), np.full(count, 0.1))


def _corners(extent: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(np.linspace(0, extent[0], 5), np.linspace(0, extent[1], 5))
    return y.ravel(), x.ravel()


def _inside(atoms: Atoms, extent: tuple[float, float]) -> np.ndarray:
    ok = [(p >= -MARGIN) & (p <= e + MARGIN) for p, e in zip((atoms.y, atoms.x), extent, strict=True)]
    return ok[0] & ok[1]
