"""The four kinds of fluoroscopic sequence, as line integrals of attenuation (frame, y, x)."""

from __future__ import annotations

import numpy as np

from . import anatomy
from .materials import CONTRAST, MARKER, POLYMER, STEEL, WATER
from .movement import after, breathing, heartbeat, partly
from .stage import Stage, Warp, still
from .tree import tree as grow
from .tubes import Tube, curve, draw

_FRONT = 8.0  # mm over which the front of the contrast medium is mixed with blood


def coronary(stage: Stage, rng: np.random.Generator, radius: float | None = None) -> np.ndarray:
    """Coronary arteries on a beating heart, filled through a catheter at 100 to 200 mm/s.

    They are at most ``radius`` (mm) wide; by default that goes with the window.
    """
    breath = breathing(rng)
    beat = after(heartbeat(stage, rng), breath)
    radius = radius or float(np.clip(0.04 * stage.width, 0.8, 1.8))
    arteries = _from_the_edge(stage, rng, radius, 2)
    filled = filling(stage, rng, arteries, beat, rng.uniform(100, 200))
    behind = layer(stage, anatomy.tissue(stage, rng), breath) + layer(
        stage, anatomy.heart_shadow(stage, rng), beat
    )
    return filled + behind + layer(stage, _bones(stage, rng), still)


def vessels(stage: Stage, rng: np.random.Generator, radius: float | None = None) -> np.ndarray:
    """A tree of arteries, at rest but for breathing, that fills with contrast medium at 40 to 90 mm/s.

    They are at most ``radius`` (mm) wide; by default that goes with the window.
    """
    breath = breathing(rng)
    radius = radius or float(np.clip(0.05 * stage.width, 0.9, 2.2))
    arteries = _from_the_edge(stage, rng, radius, 1)
    filled = filling(stage, rng, arteries, breath, rng.uniform(40, 90))
    return filled + layer(stage, anatomy.tissue(stage, rng) + anatomy.spine(stage, rng), still)


def guidewire(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A guide wire with a dense tip, pushed on at 20 to 80 mm/s in a catheter that sways with the heart."""
    sway = partly(heartbeat(stage, rng), 0.35)
    line = _across(stage, rng)
    wire = draw([line], stage)
    inside = line.along < rng.uniform(0.25, 0.45) * line.along[-1]
    sheath = Tube(line.points[inside], np.full(int(inside.sum()), 1.0))
    catheter = POLYMER * draw([sheath], stage, wall=0.25).wall
    start, speed = rng.uniform(0.45, 0.6) * line.along[-1], rng.uniform(20, 80)
    video = layer(stage, catheter, sway) + layer(stage, _chest(stage, rng), still)
    for image, time in zip(video, stage.times, strict=True):
        place = sway(time, stage.at(time))
        far = stage.sample(wire.along, place)
        tip = start + speed * time
        dense = STEEL + (MARKER - STEEL) * _step((far - tip + 15) / 2)
        image += dense * stage.sample(wire.chord, place) * _step((tip - far) / stage.pixel)
    return video


def diaphragm(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """The dome of the diaphragm and the vessels of the lung, breathing; ribs and spine stand still."""
    breath = breathing(rng)
    radius, centre = rng.uniform(60, 90), rng.uniform(0.2, 0.8) * stage.width
    top = rng.uniform(0.25, 0.6) * stage.width
    video = layer(stage, anatomy.lung_vessels(stage, rng), breath)
    video += layer(stage, anatomy.tissue(stage, rng) + _bones(stage, rng), still)
    for image, time in zip(video, stage.times, strict=True):
        image += anatomy.dome(breath(time, stage.at(time)), top, centre, radius)
    return video


def filling(
    stage: Stage,
    rng: np.random.Generator,
    branches: list[Tube],
    warp: Warp,
    speed: float,
) -> np.ndarray:
    """Contrast medium running down ``branches`` at ``speed`` mm/s; at first it has just come in."""
    tree = draw(branches, stage)
    first = rng.uniform(0.25, 0.6) * stage.width
    video = np.empty((stage.frames, stage.size, stage.size))
    for image, time in zip(video, stage.times, strict=True):
        place = warp(time, stage.at(time))
        arrived = _step((first + speed * time - stage.sample(tree.along, place)) / _FRONT)
        image[:] = (CONTRAST - WATER) * stage.sample(tree.chord, place) * arrived
    return video


def layer(stage: Stage, drawn: np.ndarray, warp: Warp) -> np.ndarray:
    """The map ``drawn`` as it moves, (frame, y, x)."""
    if warp is still and stage.pan == (0, 0):
        return np.repeat(stage.sample(drawn, stage.place)[None], stage.frames, 0)
    return np.stack([stage.sample(drawn, warp(time, stage.at(time))) for time in stage.times])


def _from_the_edge(stage: Stage, rng: np.random.Generator, radius: float, roots: int) -> list[Tube]:
    """Trees that enter the window from different sides; those that miss its middle are grown anew."""
    first, branches = rng.uniform(0, 2 * np.pi), []
    for k in range(roots):
        angle = first + k * rng.uniform(1.2, 2.2)
        root = stage.width * (0.5 - 0.7 * np.array([np.sin(angle), np.cos(angle)]))
        seen: list[Tube] = []
        while not _in_the_middle(seen, stage):
            heading = angle + rng.uniform(-0.3, 0.3)
            seen = grow(root, heading, radius * (1 - 0.2 * k), rng, length=0.4 * stage.width)
        branches += seen
    return branches


def _in_the_middle(branches: list[Tube], stage: Stage) -> bool:
    """Whether a fifth of the branches' points, at least, lie in the middle half of the window."""
    if not branches:
        return False
    away = np.abs(np.concatenate([t.points for t in branches]) / stage.width - 0.5).max(-1)
    return bool((away < 0.25).mean() > 0.2)


def _across(stage: Stage, rng: np.random.Generator) -> Tube:
    """A winding line from outside the window through it."""
    angle = rng.uniform(0, 2 * np.pi)
    ahead, aside = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    s = np.linspace(-0.8, 0.8, 6)
    swing = rng.uniform(-0.16, 0.16, len(s)) + rng.uniform(-0.3, 0.3) * s**2
    return curve(stage.width * (0.5 + s[:, None] * ahead + swing[:, None] * aside), 0.18)


def _bones(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Ribs, and every other time the edge of the spine."""
    bones = anatomy.ribs(stage, rng)
    return bones + anatomy.spine(stage, rng) if rng.random() < 0.5 else bones


def _chest(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    return anatomy.tissue(stage, rng) + _bones(stage, rng) + 0.5 * anatomy.lung_vessels(stage, rng)


def _step(u: np.ndarray) -> np.ndarray:
    """From 0 to 1 as u goes from −½ to ½, smoothly."""
    u = np.clip(u + 0.5, 0, 1)
    return u * u * (3 - 2 * u)
