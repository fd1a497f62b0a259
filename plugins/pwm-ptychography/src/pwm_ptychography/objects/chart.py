"""A resolution chart in gold: a Siemens star among groups of lines, dots and rings of many pitches."""

from __future__ import annotations

import numpy as np

from .paint import box, coverage, grid, noise, scatter, turn

_PITCHES = (3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 13.0, 16.0, 20.0)  # px, of lines and dots


def chart(shape: tuple[int, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Thickness map (px) of the gold of a plated resolution chart, by material.

    A Siemens star, its spokes broken by rings, with groups of lines, dots, rings and squares about it, all
    turned by a common angle. Spokes and gaps are of equal width; where they are finer than the pixels they
    blend. The plating varies by a few per cent, as plated gold does.
    """
    y, x = grid(shape)
    angle = rng.normal(0, 0.05) if rng.random() < 0.6 else rng.uniform(0, np.pi)
    radius = max(24.0, min(shape) * rng.uniform(0.28, 0.6))
    centre = np.array(shape) * rng.uniform(0, 1, 2)
    gold = _star(y - centre[0], x - centre[1], radius, angle, rng)
    for place, half in _sites(shape, centre, radius, rng):
        top, left = np.maximum(np.floor(place - 1.5 * half - 2), 0).astype(int)
        bottom, right = np.maximum(np.ceil(place + 1.5 * half + 2), 0).astype(int)
        u, v = turn(y[top:bottom] - place[0], x[:, left:right] - place[1], angle)
        if u.size:
            window = gold[top:bottom, left:right]
            pattern = _PATTERNS[rng.integers(len(_PATTERNS))]
            np.maximum(window, pattern(u, v, half, rng), out=window)
    plating = 1 + 0.02 * noise(shape, 20, rng) + 0.015 * noise(shape, 2, rng)
    return {"gold": rng.uniform(40, 80) * gold * plating}


def _star(y: np.ndarray, x: np.ndarray, radius: float, angle: float, rng: np.random.Generator) -> np.ndarray:
    spokes = int(rng.choice([16, 24, 32, 36, 48]))
    rho = np.hypot(y, x)
    period = 2 * np.pi / spokes
    azimuth = (np.arctan2(y, x) - angle) % period
    resolved = np.clip(rho * period - 1.5, 0, 1)  # spokes finer than the pixels blend into half the gold
    gold = 0.5 + resolved * (coverage(rho * (np.abs(azimuth - period / 2) - period / 4)) - 0.5)
    gold *= coverage(rho - radius)
    for ring in radius * np.array([0.25, 0.5, 0.75])[: rng.integers(1, 4)]:
        gold *= 1 - coverage(np.abs(rho - ring) - max(1.0, 0.02 * radius))
    if rng.random() < 0.5:
        gold = np.maximum(gold, coverage(np.abs(rho - 1.08 * radius) - max(1.0, 0.02 * radius)))
    return gold


def _sites(
    shape: tuple[int, int], centre: np.ndarray, radius: float, rng: np.random.Generator
) -> list[tuple[np.ndarray, float]]:
    """Places (y, x) and half sizes (px) of groups that touch neither one another nor the star."""
    number = int((shape[0] + 40) * (shape[1] + 40) / 80)
    half = np.sort(np.clip(rng.exponential(12, number), 6, 40))[::-1]
    places, which = scatter(shape, 20, 1.42 * half + 1, rng, tries=12)
    half = half[which]
    clear = np.linalg.norm(places - centre, axis=1) > 1.12 * radius + 1.42 * half + 3
    return list(zip(places[clear], half[clear], strict=True))


def _lines(u: np.ndarray, v: np.ndarray, half: float, rng: np.random.Generator) -> np.ndarray:
    """Bars of one pitch, upright or lying."""
    if rng.random() < 0.5:
        u, v = v, u
    pitch = rng.choice([p for p in _PITCHES if p <= 0.7 * half])
    number = int(2 * half / pitch)
    offset = u + (number - 1) / 2 * pitch
    bar = np.clip(np.rint(offset / pitch), 0, number - 1)
    return coverage(box(offset - bar * pitch, v, pitch / 4, half, 0.1 * pitch))


def _ladder(u: np.ndarray, v: np.ndarray, half: float, rng: np.random.Generator) -> np.ndarray:
    """Bars of pitches that grow from one side to the other."""
    if rng.random() < 0.5:
        u, v = v, -u
    gold = np.zeros(u.shape)
    width, edge = 1.0, -half
    while edge + width < half:
        gold = np.maximum(gold, coverage(box(u - edge - width / 2, v, width / 2, 0.8 * half, 0.2 * width)))
        edge, width = edge + 2 * width, 1.25 * width
    return gold


def _dots(u: np.ndarray, v: np.ndarray, half: float, rng: np.random.Generator) -> np.ndarray:
    """A square array of discs of one pitch."""
    pitch = rng.choice([p for p in _PITCHES if p <= 0.7 * half])
    reach = int(half / pitch - 0.3) * pitch
    du, dv = (w - np.clip(np.rint(w / pitch) * pitch, -reach, reach) for w in (u, v))
    return coverage(np.hypot(du, dv) - rng.uniform(0.25, 0.35) * pitch)


def _rings(u: np.ndarray, v: np.ndarray, half: float, rng: np.random.Generator) -> np.ndarray:
    """Concentric rings of one pitch about a disc."""
    pitch = rng.choice([p for p in _PITCHES if p <= half])
    rho = np.hypot(u, v)
    nearest = np.minimum(np.rint(rho / pitch), int(half / pitch - 0.25)) * pitch
    return coverage(np.abs(rho - nearest) - pitch / 4)


def _checks(u: np.ndarray, v: np.ndarray, half: float, rng: np.random.Generator) -> np.ndarray:
    """A checkerboard."""
    side = half / rng.integers(2, 5)
    du, dv = (np.abs(w / side - np.floor(w / side) - 0.5) * side for w in (u, v))
    edge = side / 2 - np.maximum(du, dv)  # how far it is to the next square
    odd = (np.floor(u / side) + np.floor(v / side)) % 2 == 1
    return coverage(np.where(odd, -edge, edge)) * coverage(np.maximum(np.abs(u), np.abs(v)) - half)


def _corner(u: np.ndarray, v: np.ndarray, half: float, rng: np.random.Generator) -> np.ndarray:
    """Nested right angles, as on an alignment mark."""
    pitch = rng.choice([p for p in _PITCHES if 3.5 < p <= half])
    depth = np.maximum(u, v) if rng.random() < 0.5 else -np.minimum(u, v)
    number = int(2 * half / pitch)
    bar = np.clip(np.rint((depth + half) / pitch), 1, number) * pitch - half
    return coverage(np.maximum(np.abs(depth - bar) - pitch / 4, np.maximum(np.abs(u), np.abs(v)) - half))


_PATTERNS = (_lines, _lines, _lines, _ladder, _dots, _dots, _rings, _checks, _corner)
