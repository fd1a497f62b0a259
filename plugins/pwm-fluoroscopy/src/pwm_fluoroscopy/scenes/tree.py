"""Branching trees of vessels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .tubes import Tube

_STEP = 0.5  # mm
_STIFF = 5  # steps over which a vessel bends


def tree(
    root: np.ndarray,
    heading: float,
    radius: float,
    rng: np.random.Generator,
    *,
    length: float,
    smallest: float = 0.25,
    bend: float = 0.18,
) -> list[Tube]:
    """Vessels from ``root`` (y, x) mm on, at first along ``heading`` (rad; 0 is +x), ``radius`` mm wide.

    Branches about ``length`` mm long, shorter where narrower, wind at random (``bend``) and fork in
    two whose radii keep r³ = r₁³ + r₂³ (Murray 1926, doi:10.1073/pnas.12.3.207), down to ``smallest`` mm.
    """
    branches: list[Tube] = []
    ends = [(np.asarray(root, dtype=float), heading, radius, 0.0)]
    while ends and len(branches) < 80:
        start, angle, r, along = ends.pop(0)
        steps = max(4, int(rng.uniform(0.6, 1.4) * length * (r / radius) ** 0.5 / _STEP))
        bends = ndimage.gaussian_filter1d(rng.standard_normal(steps), _STIFF, mode="nearest")
        angles = angle + np.cumsum(bend * bends)
        moves = _STEP * np.stack([np.sin(angles), np.cos(angles)], -1)
        points = np.concatenate([start[None], start + np.cumsum(moves, 0)])
        branches.append(Tube(points, np.linspace(r, 0.92 * r, len(points)), along))
        share = rng.uniform(0.15, 0.5)
        spread = rng.uniform(0.5, 1.2) * rng.choice([-1, 1])
        for part, side in ((1 - share, -share), (share, 1 - share)):
            child = 0.92 * r * part ** (1 / 3)
            if child >= smallest:
                ends.append((points[-1], float(angles[-1]) + side * spread, child, branches[-1].along[-1]))
    return branches
