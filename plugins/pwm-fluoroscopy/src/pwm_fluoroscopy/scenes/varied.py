"""Generated sequences, which show more than the standard kinds do: limbs, chambers, gas, devices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from pwm_core.modality import log_uniform

from . import anatomy
from .devices import device
from .materials import CONTRAST, CORTICAL_BONE, SPONGY_BONE, WATER
from .movement import after, breathing, heartbeat, partly
from .sequences import coronary, diaphragm, guidewire, layer, vessels
from .stage import FINE, Place, Stage, Warp, still


def anything(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A random sequence: one of several kinds of anatomy, with up to three devices before it, and gas."""
    if rng.random() < 0.2:  # somebody moves the table
        stage = stage.moving(*(rng.normal(0, 0.15, 2) * stage.width / stage.times[-1]))
    video = rng.uniform(0.6, 1.3) * _KINDS[rng.integers(len(_KINDS))](stage, rng)
    if rng.random() < 0.2:
        video += guidewire(stage, rng) * rng.uniform(0.5, 1.0)
    for _ in range(rng.choice([0, 0, 1, 2, 3])):
        video += layer(stage, rng.uniform(0.5, 1.0) * device(stage, rng), _somehow(stage, rng))
    if rng.random() < 0.2:
        video += layer(stage, gas(stage, rng), _somehow(stage, rng))
    return video


def arteries(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Arteries of any size, on the heart or elsewhere."""
    kind = coronary if rng.random() < 0.5 else vessels
    widest = min(3.0, 0.12 * stage.width)
    return kind(stage, rng, radius=log_uniform(rng, 0.5, widest))


def limb(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """One or two long bones, or a joint, in soft tissue; the limb is held still, turned or shifted."""
    held = _held(stage, rng)
    video = layer(stage, anatomy.tissue(stage, rng), held)
    for _ in range(rng.integers(1, 3)):
        video += layer(stage, long_bone(stage, rng), held)
    return video


def long_bone(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A cortical tube of 3 to 14 mm radius around spongy bone with its trabeculae; it may end at a joint."""
    y, x = stage.around
    middle, turn = rng.uniform(0.1, 0.9, 2) * stage.width, rng.uniform(0, 2 * np.pi)
    dy, dx = y - middle[0], x - middle[1]
    u, v = dy * np.cos(turn) - dx * np.sin(turn), dy * np.sin(turn) + dx * np.cos(turn)
    radius, cortex = rng.uniform(3, 14), rng.uniform(0.12, 0.4)
    outer = radius * (1 + rng.uniform(0, 0.4) * np.tanh(v / 20) + 0.03 * np.sin(v / rng.uniform(2, 8)))
    if rng.random() < 0.5:  # a joint, whose two ends are round
        gap = np.abs(v) - rng.uniform(0.5, 3)
        outer = outer * np.sqrt(np.clip(gap / radius, 0, 1) * (2 - np.clip(gap / radius, 0, 1)))
    inner = outer * (1 - cortex)
    whole, lumen = (2 * np.sqrt(np.maximum(r**2 - u**2, 0)) for r in (outer, inner))
    trabeculae = 1 + rng.uniform(0, 0.5) * _texture(stage, rng, rng.uniform(0.2, 0.8))
    return (CORTICAL_BONE - WATER) * (whole - lumen) + (SPONGY_BONE - WATER) * lumen * trabeculae


def chamber(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A chamber of the heart, or another wide cavity, into which contrast medium is washed."""
    breath = breathing(rng)
    beat = after(heartbeat(stage, rng), breath)
    y, x = stage.around
    centre, axes = rng.uniform(0, 1, 2) * stage.width, rng.uniform(0.3, 1.0, 2) * stage.width
    uneven = 0.15 * _texture(stage, rng, 0.1 * stage.width)
    depth = 1 + uneven - ((y - centre[0]) / axes[0]) ** 2 - ((x - centre[1]) / axes[1]) ** 2
    cavity = rng.uniform(5, 30) * np.sqrt(np.maximum(depth, 0))
    swirl = (1 + 0.4 * _texture(stage, rng, 0.05 * stage.width)).clip(0)
    part = rng.uniform(0.1, 0.5) * np.clip(rng.uniform(0, 1) + stage.times * rng.uniform(-2, 4), 0, 1)
    video = part[:, None, None] * layer(stage, (CONTRAST - WATER) * cavity * swirl, beat)
    video += layer(stage, anatomy.heart_shadow(stage, rng), beat)
    return video + layer(stage, anatomy.tissue(stage, rng) + anatomy.ribs(stage, rng), still)


def soft(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Soft tissue and lung alone, as it is between and beside what one looks at."""
    breath = breathing(rng)
    video = layer(stage, rng.uniform(0.5, 2) * anatomy.tissue(stage, rng), breath)
    if rng.random() < 0.5:
        video += layer(stage, anatomy.lung_vessels(stage, rng), breath)
    return video + layer(stage, anatomy.heart_shadow(stage, rng), after(heartbeat(stage, rng), breath))


def gas(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Bubbles of gas in the bowel: soft tissue, up to 25 mm of it, is missing."""
    return -WATER * rng.uniform(5, 25) * np.clip(_texture(stage, rng, rng.uniform(2, 8)) - 0.5, 0, 1)


_KINDS: tuple[Callable[[Stage, np.random.Generator], np.ndarray], ...] = (
    arteries, arteries, arteries, guidewire, guidewire, diaphragm, diaphragm, limb, limb, chamber, soft,
)  # fmt: skip


def _texture(stage: Stage, rng: np.random.Generator, size: float) -> np.ndarray:
    """A random map of mean 0 and variance 1 with features of ``size`` (mm)."""
    noise = ndimage.gaussian_filter(rng.standard_normal(stage.around[0].shape), FINE * size / stage.pixel)
    return (noise - noise.mean()) / noise.std()


def _somehow(stage: Stage, rng: np.random.Generator) -> Warp:
    """At rest, or with the heart, the breath, or somebody's hand."""
    kind = rng.integers(4)
    if kind == 0:
        return still
    if kind == 1:
        return partly(heartbeat(stage, rng), rng.uniform(0.2, 1))
    return breathing(rng) if kind == 2 else _held(stage, rng)


def _held(stage: Stage, rng: np.random.Generator) -> Warp:
    """A steady shift of up to 30 mm/s and a turn of up to half a radian a second; one time in three none."""
    if rng.random() < 1 / 3:
        return still
    centre = rng.uniform(0, 1, 2) * stage.width
    velocity, turning = rng.uniform(0, 30) * rng.normal(0, 0.5, 2), rng.uniform(-0.5, 0.5)

    def warp(time: float, place: Place) -> Place:
        y, x = place[0] - centre[0] - velocity[0] * time, place[1] - centre[1] - velocity[1] * time
        cos, sin = np.cos(turning * time), np.sin(turning * time)
        return centre[0] + cos * y - sin * x, centre[1] + sin * y + cos * x

    return warp
