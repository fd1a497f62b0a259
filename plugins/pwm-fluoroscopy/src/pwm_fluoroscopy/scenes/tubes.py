"""Tubes: vessels, wires, catheters and ribs as curves with a radius, drawn as chord lengths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from .stage import FINE, Stage


@dataclass(frozen=True)
class Tube:
    """Points (n, 2) of the middle line as (y, x) in mm, with the radius (n) in mm of each.

    ``start`` is how far along the tree (mm) its first point is.
    """

    points: np.ndarray
    radius: np.ndarray
    start: float = 0.0

    @cached_property
    def along(self) -> np.ndarray:
        """How far along the tree each point is, mm."""
        steps = np.hypot(*np.diff(self.points, axis=0).T)
        return self.start + np.concatenate([[0.0], np.cumsum(steps)])


@dataclass(frozen=True)
class Drawn:
    """Maps on ``Stage.around``, mm: the chord through tubes, that through their lumen, and how far along."""

    chord: np.ndarray
    lumen: np.ndarray
    along: np.ndarray

    @property
    def wall(self) -> np.ndarray:
        return self.chord - self.lumen


def draw(tubes: list[Tube], stage: Stage, wall: float = 0.0) -> Drawn:
    """The tubes, whose walls are ``wall`` mm thick; where they join or cross, the longest chord counts."""
    y, x = stage.around
    maps = Drawn(*(np.zeros(y.shape) for _ in range(3)))
    for piece in (p for t in tubes for p in _pieces(t, stage)):
        box = _box(piece, stage)
        if maps.chord[box].size:
            _add(maps, piece, box, np.stack([y[box], x[box]], -1), wall, 3 * stage.pixel)
    return maps


def _add(
    maps: Drawn, piece: Tube, box: tuple[slice, slice], places: np.ndarray, wall: float, near: float
) -> None:
    distance, nearest = cKDTree(piece.points).query(
        places, distance_upper_bound=float(piece.radius.max()) + near
    )
    inside = np.isfinite(distance)
    nearest, distance = np.where(inside, nearest, 0), np.where(inside, distance, 1e6)
    r = piece.radius[nearest]
    length, lumen = (2 * np.sqrt(np.maximum(a**2 - distance**2, 0)) for a in (r, np.maximum(r - wall, 0)))
    # beside a tube it is known, too, how far along it is: maps are sampled between their points
    known = inside & ((length > maps.chord[box]) | (maps.along[box] == 0))
    maps.along[box] = np.where(known, piece.along[nearest], maps.along[box])
    maps.chord[box] = np.maximum(maps.chord[box], length)
    maps.lumen[box] = np.maximum(maps.lumen[box], lumen)


def curve(points: np.ndarray, radius: float | np.ndarray, step: float = 0.5) -> Tube:
    """A smooth tube through ``points`` (n, 2) in mm, sampled every ``step`` mm."""
    from scipy.interpolate import CubicSpline

    knots = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    s = np.linspace(0, knots[-1], max(int(knots[-1] / step), 8))
    width = np.interp(s, knots, np.broadcast_to(radius, len(points)))
    return Tube(CubicSpline(knots, points)(s), width)


def _pieces(tube: Tube, stage: Stage) -> list[Tube]:
    """The tube in lengths of about 8 mm, with points as close as the map's."""
    along = tube.along
    step = max(stage.pixel / FINE, float(tube.radius.min()) / 6)
    s = np.linspace(along[0], along[-1], max(int((along[-1] - along[0]) / step), 2))
    points = np.stack([np.interp(s, along, c) for c in tube.points.T], -1)
    radius, n = np.interp(s, along, tube.radius), max(int(8 / step), 4)
    cuts = [slice(i, i + n + 1) for i in range(0, len(s) - 1, n)]
    return [Tube(points[c], radius[c], float(s[c.start])) for c in cuts]


def _box(tube: Tube, stage: Stage) -> tuple[slice, slice]:
    """The part of a map that the tube can touch."""
    reach = float(tube.radius.max()) + 3 * stage.pixel
    n = FINE * (stage.size + 2 * stage.margin)
    low, high = (
        (c / stage.pixel + stage.margin) * FINE
        for c in (tube.points.min(0) - reach, tube.points.max(0) + reach)
    )
    first, last = np.clip(np.floor(low), 0, n).astype(int), np.clip(np.ceil(high), 0, n).astype(int)
    return slice(first[0], last[0]), slice(first[1], last[1])
