"""Scale, rotation and shear of the whole scan, found together with object and probe."""

from __future__ import annotations

import logging
import math

import torch
from pwm_ptychography.engine import Engine

log = logging.getLogger("pwm.epie")


class Affine:
    """Fits an affine map of all scan positions, by Gauss–Newton steps with momentum.

    A wrong step of the stage, a rotated detector or a wrong distance distort the whole scan. The object
    follows such a distortion, so that the displacements of single frames hardly show it; what remains is
    that each frame sees its patch distorted about its own middle. From this the map is found, and object
    and positions are moved together. The shift of the whole scan stays free.

    Smooth objects determine the scale weakly: with exact positions it rises by 0.01 % on a chart, but by
    0.6 % on a circuit and 1.2 % on cells in 100 sweeps (100 patterns of 64², 10⁶ photons each); rotation
    and shear stay within 0.1° and 0.002.
    """

    gain = 4.0  # half of the change is phase, which the data leave free, and object and probe give way
    friction = 0.6
    damping = 1e-3  # of the mean coefficient
    limit = 0.005  # a step
    smallest = 0.02  # pixels at the end of the scan; less waits, as each interpolation costs time

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        given = engine.positions().double().cpu()
        self.places = (given - given.mean(0)) / engine.operator.scan.pixel_size
        self.extent = float(self.places.norm(dim=1).max())
        self.velocity = torch.zeros(2, 2, dtype=torch.float64)
        self.waiting = torch.zeros(2, 2, dtype=torch.float64)
        self.map = torch.eye(2, dtype=torch.float64)
        self.stuck = 0

    def step(self) -> None:
        """One step of the map."""
        right, matrix = (e.cpu() for e in self.engine.distortion_equations())
        damping = self.damping * matrix.diagonal().mean() * torch.eye(4, dtype=torch.float64)
        found = self.gain * torch.linalg.solve(matrix + damping, right).view(2, 2)
        velocity = self.friction * self.velocity + (1 - self.friction) * found
        self.velocity = velocity.clamp(-self.limit, self.limit)
        self.waiting = self.waiting + self.velocity
        if self.extent * float(self.waiting.norm()) > self.smallest:
            self._distort(self.waiting)
            self.waiting = torch.zeros(2, 2, dtype=torch.float64)

    def _distort(self, by: torch.Tensor) -> None:
        stuck = self.engine.distort(by)
        if stuck > self.stuck:
            log.warning("the affine map moves %d frames over the edge of the object; they stay there", stuck)
        self.stuck = max(stuck, self.stuck)
        self.map = self.map + by @ self.map

    def without(self, displacements: torch.Tensor) -> torch.Tensor:
        """The displacements (frame, 2) without the part that is an affine map of the given positions."""
        columns = torch.cat([self.places / self.extent, torch.ones_like(self.places[:, :1])], 1)
        return displacements - columns @ torch.linalg.lstsq(columns, displacements, driver="gelsd").solution

    def parts(self) -> dict[str, float]:
        """The map's `decomposed` parts so far."""
        return decomposed(self.map)


def decomposed(matrix: torch.Tensor) -> dict[str, float]:
    """Parts of a map (2, 2) of (y, x) = R(rotation) · [[1, shear], [0, 1]] · diag(scale_y, scale_x).

    The rotation, in degrees, turns y towards x; the shear moves y by a part of x.
    """
    (a, b), (c, d) = matrix.tolist()
    scale_y = math.hypot(a, c)
    scale_x = (a * d - b * c) / scale_y
    return {
        "scale_y": scale_y,
        "scale_x": scale_x,
        "shear": (a * b + c * d) / scale_y / scale_x,
        "rotation": math.degrees(math.atan2(c, a)),
    }
