"""The classes of specimens: what is drawn at random in each, and how it is built of columns."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pwm_core.modality import log_uniform

from . import crystal
from .paint import Atoms, join, strength
from .structures import CRYSTALS, FCC, MONOLAYERS, PARTICLE_METALS, PEROVSKITES, Structure

CARBON, CARBON_DENSITY = 6, 0.1  # atoms per Å³
Extent = tuple[float, float]
Maker = Callable[[Extent, np.random.Generator], Atoms]


def single_crystal(extent: Extent, rng: np.random.Generator) -> Atoms:
    """One crystal in a wedge of 30–200 Å: any structure, strain to 1 %, vacancies, dopants, dirt."""
    structure = pick(CRYSTALS, rng)
    atoms = crystal.lattice(structure, extent, rng.uniform(0, np.pi), somewhere(extent, rng))
    atoms = through(atoms, structure, extent, rng)
    atoms = crystal.strained(atoms, extent, rng.uniform(0, 0.01), rng)
    return join(imperfect(atoms, rng), contamination(extent, rng.uniform(0, 40), rng))


def dislocation(extent: Extent, rng: np.random.Generator) -> Atoms:
    """One to three edge dislocations in a strained crystal, with atoms gathered at the cores."""
    structure = pick(CRYSTALS, rng)
    angle = rng.uniform(0, np.pi)
    atoms = crystal.lattice(structure, extent, angle, somewhere(extent, rng))
    atoms = through(atoms, structure, extent, rng)
    for _ in range(rng.integers(1, 4)):
        core = somewhere(extent, rng)
        atoms = crystal.dislocated(atoms, core, structure.width * rng.choice([-1, 1]), -angle)
        near = np.exp(-((atoms.y - core[0]) ** 2 + (atoms.x - core[1]) ** 2) / 2 / 6.0**2)
        atoms = atoms.scaled(1 + rng.uniform(-0.2, 0.4) * near)
    atoms = crystal.strained(separated(atoms, 0.8), extent, rng.uniform(0, 0.005), rng)
    return join(imperfect(atoms, rng), contamination(extent, rng.uniform(0, 30), rng))


def heterostructure(extent: Extent, rng: np.random.Generator) -> Atoms:
    """Two coherent perovskites: one interface or a superlattice, one to five cells of intermixing."""
    below, above = rng.choice(len(PEROVSKITES), 2, replace=False)
    first, second = PEROVSKITES[below], PEROVSKITES[above]
    second = second._replace(height=first.height, width=first.width)
    angle, origin = rng.uniform(-0.2, 0.2) + rng.choice([0, np.pi / 2]), somewhere(extent, rng)
    both = [crystal.lattice(s, extent, angle, origin) for s in (first, second)]
    period = rng.uniform(20, 80) if rng.random() < 0.5 else math.inf
    width = first.height * rng.uniform(0.3, 2.5)
    seed = int(rng.integers(1 << 32))

    def in_second(atoms: Atoms) -> np.ndarray:
        along = (atoms.y - origin[0]) * np.cos(angle) + (atoms.x - origin[1]) * np.sin(angle)
        depth = along if math.isinf(period) else period / 2 * np.sin(2 * np.pi * along / period)
        chance = 1 / (1 + np.exp(np.clip(-2 * depth / width, -50, 50)))
        return _noise_at(atoms, seed) < chance

    parts = [both[0].where(~in_second(both[0])), both[1].where(in_second(both[1]))]
    thickness = foil(extent, rng)
    grown = [
        crystal.thick(p, s, thickness(p.y, p.x), rng) for p, s in zip(parts, (first, second), strict=True)
    ]
    atoms = separated(join(*grown), 0.8)
    atoms = crystal.strained(atoms, extent, rng.uniform(0, 0.005), rng)
    return join(imperfect(atoms, rng), contamination(extent, rng.uniform(0, 30), rng))


def grain_boundary(
    extent: Extent, rng: np.random.Generator, structure: Structure | None = None, tilt: float | None = None
) -> Atoms:
    """Two grains tilted by 5–45° against each other, the boundary straight or wavy, with segregated atoms."""
    structure = structure or pick(CRYSTALS, rng)
    tilt = tilt if tilt is not None else np.deg2rad(rng.uniform(5, 45))
    line, place = rng.uniform(0, np.pi), somewhere(extent, rng, 0.3)
    wave, height, phase = rng.uniform(30, 90), rng.uniform(0, 3), rng.uniform(0, 2 * np.pi)

    def side(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        across = (y - place[0]) * math.cos(line) - (x - place[1]) * math.sin(line)
        along = (y - place[0]) * math.sin(line) + (x - place[1]) * math.cos(line)
        return across - height * np.sin(2 * np.pi * along / wave + phase)

    grains = []
    for sign in (-1, 1):
        atoms = crystal.lattice(structure, extent, line + sign * tilt / 2, somewhere(extent, rng))
        grains.append(atoms.where(sign * side(atoms.y, atoms.x) > 0))
    atoms = through(separated(join(*grains), 0.65 * _spacing(structure)), structure, extent, rng)
    extra = rng.uniform(0, 0.4) * np.exp(-(side(atoms.y, atoms.x) ** 2) / 2 / 2.0**2)
    atoms = crystal.strained(atoms.scaled(1 + extra), extent, rng.uniform(0, 0.004), rng)
    return join(imperfect(atoms, rng), contamination(extent, rng.uniform(0, 30), rng))


def polycrystal(extent: Extent, rng: np.random.Generator) -> Atoms:
    """Four to nine grains of a metal film, each on its own zone axis and of its own thickness."""
    name = pick(FCC, rng).name
    variants = [s for s in FCC if s.name == name]
    seeds = [somewhere(extent, rng) for _ in range(rng.integers(4, 10))]
    grains = []
    for k in range(len(seeds)):
        structure = pick(variants, rng)
        atoms = crystal.lattice(structure, extent, rng.uniform(0, np.pi), somewhere(extent, rng))
        distance = [(atoms.y - s[0]) ** 2 + (atoms.x - s[1]) ** 2 for s in seeds]
        own = atoms.where(np.argmin(distance, 0) == k)
        grains.append(crystal.thick(own, structure, rng.uniform(40, 120), rng))
    return join(separated(join(*grains), 1.4), contamination(extent, rng.uniform(10, 40), rng))


def particles(extent: Extent, rng: np.random.Generator) -> Atoms:
    """Faceted metal particles of 5–20 Å radius, each on its own zone axis, on a film of amorphous carbon."""
    name = pick(PARTICLE_METALS, rng).name
    variants = [s for s in PARTICLE_METALS if s.name == name]
    z = variants[0].columns[0].atoms[0]
    made = [particle(variants, extent, place, radius, rng) for place, radius in _discs(extent, rng)]
    film = contamination(extent, rng.uniform(30, 120), rng)
    return join(*made, film, adatoms(extent, z, int(rng.integers(0, 12)), rng))


def monolayer(extent: Extent, rng: np.random.Generator, structure: Structure | None = None) -> Atoms:
    """A transition-metal dichalcogenide: dopants, vacancies, ripples, adatoms, islands of a second layer."""
    structure = structure or pick(MONOLAYERS, rng)
    angle, origin = rng.uniform(0, np.pi), somewhere(extent, rng)
    atoms = crystal.lattice(structure, extent, angle, origin)
    if rng.random() < 0.4:  # an island, shifted as in 2H stacking
        shifted = (origin[0] + structure.height / 3, origin[1])
        island = crystal.lattice(structure, extent, angle + np.pi / 3 * rng.integers(0, 2), shifted)
        centre, size = somewhere(extent, rng), rng.uniform(0.2, 0.5) * max(extent)
        atoms = join(atoms, island.where(np.hypot(island.y - centre[0], island.x - centre[1]) < size))
    metal = atoms.strength > float(np.median(atoms.strength)) - 1e-6
    other = 74 if float(strength(60)) > float(atoms.strength.max()) else 42
    swapped = metal & (rng.random(len(metal)) < rng.uniform(0.01, 0.12))
    atoms = atoms._replace(strength=np.where(swapped, float(strength(other)), atoms.strength))
    lost = ~metal & (rng.random(len(metal)) < rng.uniform(0.005, 0.08))
    atoms = atoms.scaled(np.where(lost, 0.5, 1.0))
    atoms = atoms.scaled(np.where(rng.random(len(metal)) < rng.uniform(0, 0.01), 0.0, 1.0))
    atoms = crystal.strained(atoms, extent, rng.uniform(0, 0.02), rng)
    return join(atoms, _residue(extent, rng))


def contamination(extent: Extent, thickness: float, rng: np.random.Generator) -> Atoms:
    """Amorphous carbon of ``thickness`` (Å) over the whole field, thicker here than there."""
    film = crystal.wedge(extent, thickness, rng.uniform(0, 0.3), rng)
    return crystal.amorphous(extent, film, CARBON, CARBON_DENSITY, rng)


def separated(atoms: Atoms, distance: float) -> Atoms:
    """Without the second of any two columns that are closer than ``distance`` (Å)."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(np.stack([atoms.y, atoms.x], 1)).query_pairs(distance, output_type="ndarray")
    keep = np.ones(len(atoms.y), bool)
    keep[pairs[:, 1]] = False
    return atoms.where(keep)


def _discs(extent: Extent, rng: np.random.Generator) -> list[tuple[tuple[float, float], float]]:
    """Centres and radii of particles, which mostly keep apart."""
    found: list[tuple[tuple[float, float], float]] = []
    for _ in range(2 + rng.poisson(extent[0] * extent[1] / 600)):
        radius = rng.uniform(5, max(6.0, min(20.0, 0.3 * min(extent))))
        for _ in range(10):
            place = somewhere(extent, rng)
            if all(math.dist(place, other) > 0.9 * (radius + size) for other, size in found):
                found.append((place, radius))
                break
    return found


def particle(
    variants: list[Structure],
    extent: Extent,
    place: tuple[float, float],
    radius: float,
    rng: np.random.Generator,
) -> Atoms:
    """A sphere cut by five to eight facets along the beam."""
    structure, turn = pick(variants, rng), rng.uniform(0, np.pi)
    atoms = crystal.lattice(structure, extent, turn, place)
    y, x = atoms.y - place[0], atoms.x - place[1]
    sides = rng.integers(5, 9)
    faces = turn + 2 * np.pi * np.arange(sides) / sides
    reach = radius * rng.uniform(0.75, 1.0, sides)
    inside = np.min([r - (y * np.sin(a) + x * np.cos(a)) for a, r in zip(faces, reach, strict=True)], axis=0)
    depth = 2 * np.sqrt(np.maximum(radius**2 - y**2 - x**2, 0)) * rng.uniform(0.5, 1.0)
    return crystal.thick(atoms, structure, depth, rng).where((inside > 0) & (depth > 0))


def _residue(extent: Extent, rng: np.random.Generator) -> Atoms:
    """Patches of hydrocarbon residue and single heavy adatoms."""
    patch = crystal.amorphous(extent, float(rng.uniform(2, 8)), CARBON, CARBON_DENSITY, rng)
    density = np.zeros_like(patch.y)
    for _ in range(rng.integers(1, 5)):
        y, x = somewhere(extent, rng)
        density += np.exp(-((patch.y - y) ** 2 + (patch.x - x) ** 2) / 2 / rng.uniform(4, 12) ** 2)
    above = adatoms(extent, 40, int(rng.integers(0, 10)), rng)
    return join(patch.scaled(np.minimum(0.15 + 2 * density, 2.0)), above)


def adatoms(extent: Extent, z: int, count: int, rng: np.random.Generator) -> Atoms:
    """Single atoms at random places."""
    y, x = (rng.uniform(0, e, count) for e in extent)
    return Atoms(y, x, np.full(count, float(strength(z))), np.full(count, 0.1))


def through(atoms: Atoms, structure: Structure, extent: Extent, rng: np.random.Generator) -> Atoms:
    """Columns through a wedge of foil, 30 to 200 Å thick."""
    return crystal.thick(atoms, structure, foil(extent, rng)(atoms.y, atoms.x), rng)


def foil(extent: Extent, rng: np.random.Generator) -> crystal.Field:
    return crystal.wedge(extent, log_uniform(rng, 30, 200), rng.uniform(0, 0.5), rng)


def imperfect(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    atoms = crystal.without(atoms, rng.uniform(0, 0.03), rng)
    return crystal.doped(atoms, int(rng.integers(40, 84)), rng.uniform(0, 0.04), rng)


def _noise_at(atoms: Atoms, seed: int) -> np.ndarray:
    """Uniform numbers that two columns at one place share."""
    at = np.rint(atoms.y * 1e3).astype(np.int64) * 2_000_003 + np.rint(atoms.x * 1e3).astype(np.int64)
    mixed = (at + seed) * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407
    return ((mixed >> 33) & 0xFFFFFF) / 0x1000000


def _spacing(structure: Structure) -> float:
    """The distance (Å) of neighbouring columns."""
    places = np.array([[(c.y + i) * structure.height, (c.x + j) * structure.width]
                       for c in structure.columns for i in (-1, 0, 1) for j in (-1, 0, 1)])  # fmt: skip
    gaps = np.hypot(*(places[:, None] - places).transpose(2, 0, 1))
    return float(gaps[gaps > 0.1].min())


def pick(things: tuple[Structure, ...] | list[Structure], rng: np.random.Generator) -> Structure:
    return things[rng.integers(len(things))]


def somewhere(extent: Extent, rng: np.random.Generator, border: float = 0.0) -> tuple[float, float]:
    y, x = (float(rng.uniform(border * e, (1 - border) * e)) for e in extent)
    return y, x
