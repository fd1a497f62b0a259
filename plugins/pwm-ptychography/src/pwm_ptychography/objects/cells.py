"""Freeze-dried, osmium-stained cells: membranes, nuclei, organelles, filaments and granules."""

from __future__ import annotations

import numpy as np

from . import organelles
from .organelles import Maps, ridge
from .paint import coverage, grid, noise, scatter

_MARGIN = 24  # px drawn around the field and cut off again, for organelles that reach in from outside


def cells(shape: tuple[int, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Thickness maps (px) of protein and of osmium dioxide, the stain of membranes, by material.

    A layer of cells, a few hundred px deep, in a loose matrix with fibres. Each has an uneven outline, a
    nucleus with chromatin and nucleoli, sheets of endoplasmic reticulum about it, mitochondria with cristae,
    vesicles, filaments and granules.
    """
    field, shape = shape, (shape[0] + 2 * _MARGIN, shape[1] + 2 * _MARGIN)
    depth = rng.uniform(220, 420)
    whole = _matrix(shape, depth, rng)
    size = rng.uniform(45, 110)
    number = int(2 * np.prod(np.array(shape) + 2 * size) / size**2) + 1
    radius = size * rng.uniform(0.65, 1.2, number)
    places, which = scatter(shape, size, 0.88 * radius, rng, tries=12)
    for place, r in zip(places, radius[which], strict=True):
        top, left = np.maximum(np.floor(place - 1.6 * r), 0)
        bottom, right = np.minimum(np.ceil(place + 1.6 * r), shape)
        if bottom - top > 1 and right - left > 1:
            window = np.s_[int(top) : int(bottom), int(left) : int(right)]
            _cell(whole.window(window), place - (top, left), r, depth, rng)
    cut = np.s_[_MARGIN : _MARGIN + field[0], _MARGIN : _MARGIN + field[1]]
    return {"protein": whole.protein[cut], "osmium dioxide": whole.stain[cut]}


def _matrix(shape: tuple[int, int], depth: float, rng: np.random.Generator) -> Maps:
    """What is between the cells: uneven ground with a few bundles of fibres and granules."""
    fine, medium, coarse = (noise(shape, scale, rng) for scale in (1.8, 5.0, 20.0))
    ground = 1.2 + 0.5 * noise(shape, 40.0, rng) + 0.2 * medium + 0.12 * fine
    empty = np.zeros(shape, np.float32)
    maps = Maps(0.05 * depth * np.maximum(ground, 0), empty, fine, medium, coarse)
    room = np.full(shape, 10.0)
    for place in rng.uniform(0, shape, (int(rng.poisson(np.prod(shape) / 200**2)), 2)):
        organelles.filaments(maps, place, rng.uniform(60, 160), room, 0.5 * depth, rng)
    specks = rng.uniform(0, shape, (int(rng.poisson(np.prod(shape) / 70**2)), 2))
    organelles.granules(maps, specks, room, 0.6 * depth, rng)
    return maps


def _cell(maps: Maps, place: np.ndarray, radius: float, depth: float, rng: np.random.Generator) -> None:
    shape = maps.protein.shape
    y, x = grid(shape)
    out, within = _blob(y - place[0], x - place[1], radius, 0.13, rng)
    body = coverage(out)
    dome = np.sqrt(np.maximum(1 - 0.75 * within**2, 0)) * body
    texture = 1 + 0.12 * maps.coarse + 0.09 * maps.medium + 0.08 * maps.fine
    protein, stain = 0.42 * depth * dome * texture, 0.012 * depth * ridge(out + 1.5, 1.0) * body
    cell = Maps(protein, stain, maps.fine, maps.medium, maps.coarse)

    toward = rng.uniform(0, 2 * np.pi)
    core = place + rng.uniform(0, 0.22) * radius * np.array([np.sin(toward), np.cos(toward)])
    away, _ = _blob(y - core[0], x - core[1], radius * rng.uniform(0.32, 0.46), 0.06, rng)
    organelles.nucleus(cell, away, core, radius / 3, depth, rng)
    room = np.minimum(away, -out)  # how far a point of the cytoplasm is from the nucleus and the membrane
    organelles.reticulum(cell, away, room, depth, rng)
    organelles.filaments(cell, place, radius, room, depth, rng)
    sites = place + radius * 1.1 * rng.uniform(-1, 1, (int(rng.uniform(60, 110) * (radius / 80) ** 2) + 4, 2))
    sites = sites[organelles.nearest(room, sites) > 5]
    kinds = rng.choice(3, len(sites), p=[0.4, 0.25, 0.35])
    organelles.mitochondria(cell, sites[kinds == 0], room, depth, rng)
    organelles.vesicles(cell, sites[kinds == 1], room, depth, rng)
    organelles.granules(cell, sites[kinds == 2], room, depth, rng)
    maps.protein[...] += cell.protein
    maps.stain[...] += cell.stain


def _blob(
    y: np.ndarray, x: np.ndarray, radius: float, unevenness: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Distance (px, negative inside) to the edge of an uneven disc about 0, and radius as a share of it."""
    rho, theta = np.hypot(y, x), np.arctan2(y, x)
    table = np.linspace(-np.pi, np.pi, 2048)
    harmonics = np.arange(2, 8)
    heights = unevenness * rng.normal(size=6) / harmonics**0.8
    waves = np.cos(harmonics * table[:, None] + rng.uniform(0, 2 * np.pi, 6)) @ heights
    edges = (radius * np.clip(1 + waves, 0.5, 1.5)).astype(np.float32)
    edge = edges[np.rint((theta / np.pi + 1) * 1023.5).astype(int)]
    return rho - edge, rho / edge
