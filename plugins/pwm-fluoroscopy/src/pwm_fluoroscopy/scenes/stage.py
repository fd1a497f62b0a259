"""The window on the patient that a scene is drawn in: where its pixels are, and when its frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import ndimage

FINE = 2  # points of a drawn map along the side of a pixel

Place = tuple[np.ndarray, np.ndarray]  # y and x of points, mm from the window's upper left corner
Warp = Callable[[float, Place], Place]  # (time in s, place now) -> the place at rest of what is there


@dataclass(frozen=True)
class Stage:
    """``frames`` images of ``size`` × ``size`` pixels of ``pixel`` mm, one every ``interval`` s."""

    frames: int
    size: int
    pixel: float
    interval: float
    pan: tuple[float, float] = (0.0, 0.0)  # mm/s: the patient's table moves under the window along y and x

    @property
    def width(self) -> float:
        """mm."""
        return self.size * self.pixel

    @property
    def margin(self) -> int:
        """Pixels around the window in which maps are drawn as well, for what moves in: a third of it."""
        return self.size // 3

    @property
    def times(self) -> np.ndarray:
        """s."""
        return np.arange(self.frames) * self.interval

    @cached_property
    def place(self) -> Place:
        """Of the middles of the pixels, each (y, x)."""
        y, x = (np.indices((self.size, self.size)) + 0.5) * self.pixel
        return y, x

    def at(self, time: float) -> Place:
        """Where the window's pixels lie on the patient at a time."""
        y, x = self.place
        return y + self.pan[0] * time, x + self.pan[1] * time

    def moving(self, y: float, x: float) -> Stage:
        """The same window over a table that moves (mm/s)."""
        return replace(self, pan=(y, x))

    @cached_property
    def around(self) -> Place:
        """Of the points of a map, which reaches ``margin`` pixels beyond the window."""
        n = FINE * (self.size + 2 * self.margin)
        y, x = (np.indices((n, n)) + 0.5) * (self.pixel / FINE) - self.margin * self.pixel
        return y, x

    def sample(self, drawn: np.ndarray, place: Place) -> np.ndarray:
        """The map ``drawn`` on the points ``around`` at some place, linearly; beyond its edge mirrored."""
        points = [(c / self.pixel + self.margin) * FINE - 0.5 for c in place]
        return ndimage.map_coordinates(drawn, points, order=1, mode="mirror", prefilter=False)


def still(time: float, place: Place) -> Place:
    """The warp of what does not move."""
    return place
