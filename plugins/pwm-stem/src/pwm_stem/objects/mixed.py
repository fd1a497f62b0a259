"""Classes of specimens that are not just one crystal: surfaces, faults, overlaps, single atoms, glass."""

from __future__ import annotations

import math

import numpy as np

from . import crystal
from .classes import (
    Extent,
    adatoms,
    contamination,
    foil,
    imperfect,
    particle,
    pick,
    separated,
    somewhere,
    through,
)
from .paint import Atoms, join, strength
from .structures import CRYSTALS, LIGHT_LAYERS, Structure

# Those with the lattice of fcc seen along [110]: a rectangle of 1 : √2 with a second point in its middle.
_LAYERED = tuple(s for s in CRYSTALS if math.isclose(s.height, math.sqrt(2) * s.width))
_SUPPORTS = tuple(s for s in CRYSTALS if s.name in ("MgO", "TiO2", "Al", "Si"))


def surface(extent: Extent, rng: np.random.Generator) -> Atoms:
    """The edge of a crystal in an amorphous layer, 0 to 25 Å wide or without end; vacuum is beyond it."""
    structure, inside = pick(CRYSTALS, rng), _side(extent, rng)
    thickness, rise = foil(extent, rng), rng.choice([1.0, 30.0, 100.0])
    width = rng.choice([0.0, rng.uniform(3, 25), np.inf])

    def wedge(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return thickness(y, x) * np.clip((inside(y, x) + 2) / rise, 0.1, 1)

    atoms = crystal.lattice(structure, extent, rng.uniform(0, np.pi), somewhere(extent, rng))
    atoms = atoms.where(inside(atoms.y, atoms.x) > 0)
    atoms = imperfect(crystal.thick(atoms, structure, wedge(atoms.y, atoms.x), rng), rng)
    layer = _amorphous(structure, extent, wedge, rng)
    beyond = -inside(layer.y, layer.x)
    return join(atoms, layer.where((beyond > 0) & (beyond < width)), contamination(extent, 5.0, rng))


def stacking(extent: Extent, rng: np.random.Generator) -> Atoms:
    """Close-packed layers on edge, with twins and stacking faults: fcc metals, zinc blende, rock salt."""
    structure = pick(_LAYERED, rng)
    atoms = layered(structure, extent, rng.choice([0.03, 0.15, 0.5]), rng)
    atoms = crystal.strained(through(atoms, structure, extent, rng), extent, rng.uniform(0, 0.005), rng)
    return join(imperfect(atoms, rng), contamination(extent, rng.uniform(0, 30), rng))


def layered(structure: Structure, extent: Extent, faults: float, rng: np.random.Generator) -> Atoms:
    """Columns of a crystal whose {111} layers stand on edge, turned by any angle.

    Each layer is shifted by a third against the one before, to one side or, in a twin, to the other; with
    the chance ``faults`` the side changes from one layer to the next.
    """
    cell = np.array([structure.height, structure.width]) / 2
    length = float(np.hypot(*cell))  # between columns of a layer
    high, shift = 2 * cell.prod() / length, 2 * cell[1] ** 2 / length
    reach = math.ceil(1.5 * max(extent) / min(high, length)) + 4
    sides = np.cumprod(rng.choice([1, -1], 2 * reach, p=(1 - faults, faults)))
    starts = np.concatenate([[0.0], np.cumsum(sides * shift)[:-1]])
    along = (starts % length)[:, None] + length * np.arange(-reach, reach)
    across = np.broadcast_to(high * np.arange(-reach, reach)[:, None], along.shape)
    parts = []
    for column in structure.columns:
        y, x = np.array([column.y, column.x]) * 2 * cell
        u, v = (y * cell[0] + x * cell[1]) / length, (x * cell[0] - y * cell[1]) / length
        layers = math.floor(
            v / high
        )  # the atom is between two layers, on the side to which the upper one goes
        u, v = u - layers * shift, v - layers * high
        weight, same = float(strength(np.array(column.atoms)).sum()), np.ones(along.size)
        places = (across + v).ravel(), (along + sides[:, None] * u).ravel()
        parts.append(Atoms(*places, same * weight, same * column.motion))
    return _placed(separated(join(*parts), 0.3), extent, rng)


def overlap(extent: Extent, rng: np.random.Generator) -> Atoms:
    """A second crystal in part of the thickness: a precipitate, a moiré, or a grain that is off its axis."""
    structures = [pick(CRYSTALS, rng), pick(CRYSTALS, rng)]
    if rng.random() < 0.4:
        structures[1] = structures[0]
    thickness, inside = foil(extent, rng), _body(extent, rng)
    most, edge = rng.uniform(0.3, 1.0), rng.uniform(1, 15)

    def share(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return most * np.clip(inside(y, x) / edge, 0, 1)

    first, second = (
        crystal.lattice(s, extent, rng.uniform(0, np.pi), somewhere(extent, rng)) for s in structures
    )
    first = crystal.thick(
        first, structures[0], thickness(first.y, first.x) * (1 - share(first.y, first.x)), rng
    )
    if rng.random() < 0.4:  # off its axis a crystal shows no columns
        second = _amorphous(structures[1], extent, thickness, rng)
        second = second.scaled(share(second.y, second.x))
    else:
        grown = thickness(second.y, second.x) * share(second.y, second.x)
        second = crystal.thick(second, structures[1], grown, rng)
    return join(imperfect(first, rng), second, contamination(extent, rng.uniform(0, 30), rng))


def single_atoms(extent: Extent, rng: np.random.Generator) -> Atoms:
    """Single heavy atoms, and rafts of some, on graphene, carbon or a thin light crystal."""
    z = int(rng.choice([28, 46, 50, 57, 77, 78, 79, 83]))
    found = [adatoms(extent, z, 1 + rng.poisson(extent[0] * extent[1] / rng.uniform(30, 400)), rng)]
    for _ in range(rng.integers(0, 5)):
        one, count = somewhere(extent, rng), int(rng.integers(3, 30))
        y, x = (p + rng.normal(0, 0.6 * math.sqrt(count), count) for p in one)
        found.append(adatoms(extent, z, count, rng)._replace(y=y, x=x))
    return join(separated(join(*found), 1.8), _support(extent, rng))


def glass(extent: Extent, rng: np.random.Generator) -> Atoms:
    """An amorphous film, denser here than there, with up to three crystallites."""
    inside, rise = _body(extent, rng), rng.uniform(2, 20)
    contrast = rng.uniform(-0.5, 1.5)
    film = _amorphous(pick(CRYSTALS, rng), extent, foil(extent, rng), rng)
    film = film.scaled(1 + contrast * np.clip(inside(film.y, film.x) / rise, 0, 1))
    crystallites = [
        particle([pick(CRYSTALS, rng)], extent, somewhere(extent, rng), rng.uniform(5, 20), rng)
        for _ in range(rng.integers(0, 4))
    ]
    return join(film, *crystallites)


def _side(extent: Extent, rng: np.random.Generator) -> crystal.Field:
    """The distance (Å) from a wavy line through the field, positive on one side."""
    angle, place = rng.uniform(0, 2 * np.pi), somewhere(extent, rng, 0.2)
    waves = [
        (rng.normal(0, 4.0) / k, rng.uniform(15, 60) / k, rng.uniform(0, 2 * np.pi)) for k in range(1, 4)
    ]

    def at(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        across = (y - place[0]) * math.cos(angle) - (x - place[1]) * math.sin(angle)
        along = (y - place[0]) * math.sin(angle) + (x - place[1]) * math.cos(angle)
        return across + sum(a * np.sin(2 * np.pi * along / wave + phase) for a, wave, phase in waves)

    return at


def _body(extent: Extent, rng: np.random.Generator) -> crystal.Field:
    """The depth (Å) inside an ellipse, or beyond a wavy line."""
    if rng.random() < 0.4:
        return _side(extent, rng)
    centre, turn = somewhere(extent, rng), rng.uniform(0, np.pi)
    one, other = rng.uniform(0.15, 0.6, 2) * max(extent)

    def at(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        dy, dx = y - centre[0], x - centre[1]
        a, b = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
        return min(one, other) * (1 - np.hypot(a / one, b / other))

    return at


def _amorphous(
    structure: Structure, extent: Extent, thickness: crystal.Field, rng: np.random.Generator
) -> Atoms:
    """As much of one of a crystal's elements as the crystal has atoms, at random places."""
    column = structure.columns[rng.integers(len(structure.columns))]
    count = sum(len(c.atoms) for c in structure.columns)
    density = count / (structure.height * structure.width * structure.repeat)
    return crystal.amorphous(extent, thickness, column.atoms[0], density, rng)


def _support(extent: Extent, rng: np.random.Generator) -> Atoms:
    """Graphene or boron nitride of one to four layers, a carbon film, or a thin light crystal."""
    kind, angle, origin = rng.integers(3), rng.uniform(0, np.pi), somewhere(extent, rng)
    if kind == 0:
        layers = crystal.lattice(pick(LIGHT_LAYERS, rng), extent, angle, origin)
        return join(layers.scaled(float(rng.integers(1, 5))), contamination(extent, rng.uniform(0, 5), rng))
    if kind == 1:
        return contamination(extent, rng.uniform(10, 80), rng)
    structure = pick(_SUPPORTS, rng)
    atoms = crystal.lattice(structure, extent, angle, origin)
    return crystal.thick(atoms, structure, rng.uniform(10, 60), rng)


def _placed(atoms: Atoms, extent: Extent, rng: np.random.Generator) -> Atoms:
    """Turned by any angle about a point of the field, and cut to the field and its margin."""
    turn, place = rng.uniform(0, 2 * np.pi), somewhere(extent, rng)
    y = atoms.y * np.cos(turn) + atoms.x * np.sin(turn) + place[0]
    x = atoms.x * np.cos(turn) - atoms.y * np.sin(turn) + place[1]
    near = (np.abs(y - extent[0] / 2) < extent[0] / 2 + crystal.MARGIN) & (
        np.abs(x - extent[1] / 2) < extent[1] / 2 + crystal.MARGIN
    )
    return atoms._replace(y=y, x=x).where(near)
