"""What else is metal or polymer in a fluoroscopic image: maps of line integrals of attenuation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .materials import MARKER, POLYMER, STEEL, TITANIUM
from .stage import Stage
from .tubes import Tube, curve, draw


def device(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """One of the devices, somewhere in the window."""
    return _DEVICES[rng.integers(len(_DEVICES))](stage, rng)


def screw(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A titanium screw: its thread of 1 to 2 mm, and a head twice as wide."""
    u, v = _axes(stage, rng)
    radius, pitch, length = rng.uniform(1, 2.5), rng.uniform(1, 2), rng.uniform(12, 35)
    wide = radius * (1 + 0.12 * np.sin(2 * np.pi * v / pitch))
    wide = np.where(v < -length / 2 + 3, 2 * radius, wide)
    return TITANIUM * _chord(wide, u) * (np.abs(v) < length / 2)


def plate(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A bone plate with a row of holes, in some of which a screw is seen end on."""
    u, v = _axes(stage, rng)
    half, thick, step = rng.uniform(3, 6), rng.uniform(1.5, 3.5), rng.uniform(8, 14)
    along = v - step * np.rint(v / step)
    hole = np.hypot(u, along) < rng.uniform(0.4, 0.7) * half
    full = np.rint(v / step).astype(int) % int(rng.integers(2, 5)) == 0
    return TITANIUM * (np.abs(u) < half) * np.where(hole, np.where(full, 8.0, 0.0), thick)


def needle(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A needle or a Kirschner wire: straight, and it may end in the window."""
    u, v = _axes(stage, rng)
    radius, end = rng.uniform(0.3, 1.0), rng.choice([stage.width * rng.uniform(-0.2, 0.3), 1e3])
    bore = rng.choice([0.0, 0.7]) * radius
    return STEEL * (_chord(radius, u) - _chord(bore, u)) * (v < end)


def lead(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """The lead of a pacemaker, or an electrophysiologist's catheter: rings on a cable."""
    line = _winding(stage, rng, rng.uniform(0.5, 0.9))
    along = line.along - line.along[0]
    first, step = rng.uniform(0.2, 0.7) * along[-1], rng.uniform(3, 12)
    behind = along - first
    ring = (behind > 0) & (behind % step < rng.uniform(1.5, 3)) & (behind < step * rng.integers(1, 11))
    cable = rng.uniform(0.15, 0.6) * draw([line], stage).chord
    rings = [_part(line, part) for part in np.split(np.arange(len(ring)), _changes(ring)) if ring[part[0]]]
    return cable + 0.5 * MARKER * draw(rings, stage, wall=0.2).wall


def catheter(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A catheter of 4 to 8 French, maybe filled with contrast medium or with a wire in it."""
    line = _winding(stage, rng, rng.uniform(0.65, 1.35))
    drawn = draw([line], stage, wall=rng.uniform(0.2, 0.35))
    filled = rng.choice([0.0, 0.0, 0.15, 0.3])
    return rng.uniform(0.7, 2.0) * POLYMER * drawn.wall + filled * drawn.lumen


def stent(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A stent: zigzag rings of thin struts about a slightly bent axis."""
    axis = _winding(stage, rng, 1.0)
    radius, strut = rng.uniform(1.2, 4.0), rng.uniform(0.05, 0.12)
    waves, high = int(rng.integers(4, 9)), rng.uniform(0.8, 1.5)
    turn = np.linspace(0, 2 * np.pi, 12 * waves)
    middle = rng.uniform(0.35, 0.65) * axis.along[-1]
    rings = []
    for place in middle + 2.2 * high * np.arange(-int(rng.integers(2, 6)), int(rng.integers(2, 6))):
        centre, ahead = _at(axis, place)
        aside = np.array([ahead[1], -ahead[0]])
        zigzag = high * np.sin(waves * turn)
        rings.append(centre + radius * np.cos(turn)[:, None] * aside + zigzag[:, None] * ahead)
    return STEEL * draw([Tube(r, np.full(len(r), strut)) for r in rings], stage).chord


def coil(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A tangle of platinum wire in an aneurysm or a vessel that was closed."""
    middle, size = _somewhere(stage, rng), rng.uniform(1.5, 6)
    points = middle + size * np.clip(rng.standard_normal((int(rng.integers(10, 40)), 2)), -1.6, 1.6)
    return 0.7 * MARKER * draw([curve(points, rng.uniform(0.12, 0.25), 0.2)], stage).chord


def clips(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Surgical clips and markers: short pieces of metal, one to eight of them."""
    pieces = []
    for _ in range(rng.integers(1, 9)):
        turn, half = rng.uniform(0, np.pi), rng.uniform(0.7, 4)
        ends = half * np.array([[np.sin(turn), np.cos(turn)]]) * np.linspace(-1, 1, 5)[:, None]
        pieces.append(curve(_somewhere(stage, rng) + ends, rng.uniform(0.3, 0.7)))
    return rng.choice([TITANIUM, STEEL]) * draw(pieces, stage).chord


def loop(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A wire that closes the breastbone, or the cable of an electrode: bent to a loop."""
    turn, axes = np.linspace(0, rng.uniform(4, 6.8), 24) + rng.uniform(0, 6), rng.uniform(3, 16, 2)
    points = _somewhere(stage, rng) + np.stack([axes[0] * np.sin(turn), axes[1] * np.cos(turn)], -1)
    return STEEL * draw([curve(points, rng.uniform(0.25, 0.5))], stage).chord


_DEVICES: tuple[Callable[[Stage, np.random.Generator], np.ndarray], ...] = (
    screw, plate, needle, lead, catheter, catheter, stent, coil, clips, loop,
)  # fmt: skip


def _axes(stage: Stage, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Across and along (mm) a straight line through the window."""
    (y, x), middle, turn = stage.around, _somewhere(stage, rng), rng.uniform(0, 2 * np.pi)
    dy, dx = y - middle[0], x - middle[1]
    return dy * np.cos(turn) - dx * np.sin(turn), dy * np.sin(turn) + dx * np.cos(turn)


def _chord(radius: np.ndarray | float, distance: np.ndarray) -> np.ndarray:
    return 2 * np.sqrt(np.maximum(np.square(radius) - distance**2, 0))


def _somewhere(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.1, 0.9, 2) * stage.width


def _winding(stage: Stage, rng: np.random.Generator, radius: float) -> Tube:
    """A bent line through the window; one time in three it ends there."""
    turn = rng.uniform(0, 2 * np.pi)
    ahead, aside = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
    s = np.linspace(-0.9, rng.choice([0.9, 0.9, rng.uniform(0, 0.4)]), 6)
    swing = rng.uniform(-0.2, 0.2, len(s)) + rng.uniform(-0.5, 0.5) * s**2
    return curve(_somewhere(stage, rng) + stage.width * (s[:, None] * ahead + swing[:, None] * aside), radius)


def _at(line: Tube, place: float) -> tuple[np.ndarray, np.ndarray]:
    """The point of a line that is ``place`` (mm) along it, and the direction there."""
    i = int(np.clip(np.searchsorted(line.along, place), 1, len(line.points) - 1))
    ahead = line.points[i] - line.points[i - 1]
    return line.points[i] + 0.0, ahead / np.hypot(*ahead)


def _part(line: Tube, part: np.ndarray) -> Tube:
    """Some consecutive points of a line, a little thicker than it, as a tube of its own."""
    ends = slice(part[0], max(part[-1] + 1, part[0] + 2))
    return Tube(line.points[ends], 1.15 * line.radius[ends])


def _changes(flags: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(flags.astype(int))) + 1
