"""Samples of no particular class: some elements in some phases, for what is to be learnt in general."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pwm_core.modality import log_uniform

from .scene import Maps, Sample
from .shapes import Canvas


class Pool(NamedTuple):
    """What assorted samples are made of."""

    amounts: dict[str, float]  # µg/cm² of each element that gives a good signal
    hosts: tuple[str, ...]  # chemical formulas
    mass_thickness: tuple[float, float]  # of the host: mg/cm² (XRF), µg/cm² (EDX)
    matrix: bool  # whether the host is a component


def assorted(pool: Pool, rng: np.random.Generator) -> Sample:
    """A class of three to eight elements, from a tenth to three times the usual amount of each."""
    elements = rng.choice(list(pool.amounts), rng.integers(3, 9), replace=False)
    amounts = {str(e): float(pool.amounts[e] * 10 ** rng.uniform(-1, 0.5)) for e in elements}
    low, high = pool.mass_thickness
    mass = log_uniform(rng, low, high)
    if pool.matrix:
        amounts["matrix"] = mass
    host = str(rng.choice(pool.hosts))
    return Sample(
        "assorted", "elements and phases at random", host, mass, amounts, lambda c: _draw(c, tuple(amounts))
    )


def _draw(c: Canvas, components: tuple[str, ...]) -> Maps:
    """One to five phases, each of its own composition, on or instead of those before, over a thin film."""
    maps = np.zeros((len(components), *c.shape))
    thick = 1 + c.rng.uniform(0, 0.6) * (c.gradient() - 0.5)
    maps += _composition(c, len(components), 0.3)[:, None, None] * c.rng.uniform(0, 0.4)
    for _ in range(c.rng.integers(1, 6)):
        phase = _PHASES[c.rng.integers(len(_PHASES))](c) * c.rng.uniform(0.3, 1.0)
        phase = phase * c.relief(np.exp(c.rng.uniform(-4, -1)), c.rng.uniform(0, 0.4))
        maps *= 1 - c.rng.choice([0.0, 0.5, 1.0]) * phase.clip(0, 1)
        maps += _composition(c, len(components), 0.5)[:, None, None] * phase
    for j in np.flatnonzero(maps.max(axis=(1, 2)) < 0.1):  # no element is left out altogether
        maps[j] += _PHASES[c.rng.integers(len(_PHASES))](c) * c.rng.uniform(0.3, 1.0)
    return dict(zip(components, thick * maps, strict=True))


def _composition(c: Canvas, count: int, chance: float) -> np.ndarray:
    """How much of each component a phase holds; each is there by ``chance``, often as a trace."""
    return (c.rng.random(count) < chance) * c.rng.uniform(0, 1, count) ** 1.5


def _grains(c: Canvas) -> np.ndarray:
    """Some of the grains of a polycrystal or a soil, with or without gaps between them."""
    cell, border = c.grains(int(c.rng.integers(5, 50)), c.rng.uniform(0, 0.05))
    level = c.rng.uniform(0.2, 1, cell.max() + 1) * (c.rng.random(cell.max() + 1) < c.rng.uniform(0.2, 1))
    return level[cell] * c.soft(border - c.rng.choice([-0.1, 0.003, 0.01]))


def _borders(c: Canvas) -> np.ndarray:
    """What gathers at grain boundaries, or fills cracks and veins between them."""
    _, border = c.grains(int(c.rng.integers(3, 20)), c.rng.uniform(0, 0.05))
    width = c.rng.uniform(0.004, 0.03)
    return c.soft(width - border, c.rng.uniform(0, 0.02)) * c.relief(0.2, c.rng.uniform(0, 0.5))


def _islands(c: Canvas) -> np.ndarray:
    """Irregular patches with sharp or diffuse borders."""
    pattern = c.texture(np.exp(c.rng.uniform(-3.5, -0.7)), c.rng.uniform(2.5, 4))
    return c.soft(pattern - c.rng.uniform(-0.5, 1.2), np.exp(c.rng.uniform(-3, 1)))


def _smooth(c: Canvas) -> np.ndarray:
    """An amount that changes slowly: diffusion, a gradient of thickness."""
    return c.gradient() ** c.rng.uniform(0.5, 3) * c.relief(c.rng.uniform(0.1, 0.5), c.rng.uniform(0, 0.5))


def _layers(c: Canvas) -> np.ndarray:
    """One to four straight or rough layers across the field."""
    angle, rough = c.rng.uniform(0, np.pi), c.rng.uniform(0, 0.02) * c.texture(0.2)
    depth = (c.y - 0.5) * np.cos(angle) + (c.x - 0.5) * np.sin(angle) + rough
    layers = np.zeros(c.shape)
    for _ in range(c.rng.integers(1, 5)):
        middle, width = c.rng.uniform(-0.5, 0.5), np.exp(c.rng.uniform(-4.5, -1))
        layer = c.soft(width / 2 - np.abs(depth - middle), c.rng.uniform(0, 0.03))
        layers = np.maximum(layers, layer * c.rng.uniform(0.4, 1))
    return layers


def _lines(c: Canvas) -> np.ndarray:
    """A made pattern: stripes, or crossed stripes as dots or a mesh."""
    turn, period = c.rng.uniform(0, np.pi), c.rng.uniform(0.06, 0.4)
    u, v = (
        np.cos(2 * np.pi / period * (c.y * np.cos(a) + c.x * np.sin(a))) for a in (turn, turn + np.pi / 2)
    )
    wave = (u, np.minimum(u, v), np.maximum(u, v))[c.rng.integers(3)]
    return c.soft((wave - c.rng.uniform(-0.5, 0.5)) * period / 5, 0.01)


def _spots(c: Canvas) -> np.ndarray:
    """Small particles and hot spots, few or many."""
    size = np.exp(c.rng.uniform(-5, -3))
    return c.spots(int(np.exp(c.rng.uniform(1, 4.5))), (size, size * c.rng.uniform(1.5, 5)))


def _bodies(c: Canvas) -> np.ndarray:
    """Rounded or faceted bodies: full, flat or hollow."""
    total, faceted, form = np.zeros(c.shape), c.rng.random() < 0.5, c.rng.integers(3)
    size = c.rng.uniform(0.04, 0.25)
    for centre in c.places(int(c.rng.integers(1, 4 + int(0.6 / size)))):
        radius = size * c.rng.uniform(0.6, 1.2)
        if faceted:
            distance = c.facets(centre, radius, int(c.rng.integers(3, 9)))
        else:
            distance = c.blob(centre, radius, c.rng.uniform(0, 0.4))
        rim = c.soft(distance) - c.soft(distance - 0.2 * radius)
        total += (c.dome(distance, radius), c.soft(distance), rim)[form] * c.rng.uniform(0.5, 1)
    return total.clip(0, 1.5)


def _threads(c: Canvas) -> np.ndarray:
    """Fibres, wires, brush strokes, veins."""
    width = np.exp(c.rng.uniform(-4.5, -1.5))
    threads = [
        c.soft(c.fibre(width * c.rng.uniform(0.5, 1.5), c.rng.uniform(0, 0.3)))
        for _ in range(c.rng.integers(1, 8))
    ]
    return np.max(threads, axis=0)


_PHASES: tuple[Callable[[Canvas], np.ndarray], ...] = (
    _grains, _grains, _borders, _islands, _islands, _smooth, _layers, _lines, _spots, _spots,
    _bodies, _bodies, _threads,
)  # fmt: skip
