"""How the patient moves: breathing and the heartbeat."""

from __future__ import annotations

import numpy as np

from .stage import Place, Stage, Warp


def breathing(rng: np.random.Generator) -> Warp:
    """Quiet breathing: 10 to 20 mm down and up in 3 to 5 s, so up to about 20 mm/s, and a little sideways."""
    depth, period, phase = rng.uniform(10, 20), rng.uniform(3, 5), rng.uniform(0, 1)
    aside = rng.uniform(-0.15, 0.15)

    def height(time: float) -> float:
        return float(depth / 2 * np.cos(2 * np.pi * (time / period + phase)))

    def warp(time: float, place: Place) -> Place:
        down = height(0) - height(time)
        return place[0] - down, place[1] - aside * down

    return warp


def heartbeat(stage: Stage, rng: np.random.Generator) -> Warp:
    """60 to 100 beats a minute: contraction towards a point of the heart with a twist, and a displacement.

    Displacements of 5 to 10 mm within a systole of 0.2 to 0.35 s make speeds of 50 to 150 mm/s, those of
    coronary arteries (Shechter et al. 2006, doi:10.1109/TMI.2005.862752).
    """
    rate, phase = rng.uniform(1.0, 1.7), rng.uniform(0, 1)
    centre = rng.uniform(-0.2, 1.2, 2) * stage.width
    towards = rng.uniform(0, 2 * np.pi)
    shift = rng.uniform(5, 10) * np.array([np.sin(towards), np.cos(towards)])
    squeeze, twist = rng.uniform(0.08, 0.18), rng.uniform(-0.15, 0.15)

    def warp(time: float, place: Place) -> Place:
        s = contraction(rate * time + phase) - 0.5
        y, x = place[0] - centre[0], place[1] - centre[1]
        return (
            place[0] + s * (squeeze * y + twist * x - shift[0]),
            place[1] + s * (squeeze * x - twist * y - shift[1]),
        )

    return warp


def contraction(beats: float) -> float:
    """How far the heart has contracted, 0 to 1, at a time in beats: systole, relaxation, rest."""
    phase = beats % 1
    angle = phase / 0.7 if phase < 0.35 else 0.5 + (phase - 0.35) / 0.9
    return float(np.sin(np.pi * min(angle, 1.0)) ** 2)


def after(first: Warp, then: Warp) -> Warp:
    """What moves with ``then`` and, upon that, with ``first``: a heart that beats in a breathing chest."""
    return lambda time, place: first(time, then(time, place))


def partly(warp: Warp, part: float) -> Warp:
    """What follows the movement ``warp`` by this part of it."""

    def less(time: float, place: Place) -> Place:
        moved = warp(time, place)
        return place[0] + part * (moved[0] - place[0]), place[1] + part * (moved[1] - place[1])

    return less
