"""Atoms as scattering cross-sections, and how they are painted on a grid of pixels."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np
from scipy.special import ndtr

EXPONENT = 1.7  # HAADF scattering goes with Z^1.7 (Pennycook & Nellist, doi:10.1007/978-1-4419-7200-2)


class Atoms(NamedTuple):
    """Columns or single atoms: positions (Å), scattering strength (of one atom: Z^1.7), rms motion (Å)."""

    y: np.ndarray
    x: np.ndarray
    strength: np.ndarray
    motion: np.ndarray

    def where(self, keep: np.ndarray) -> Self:
        """Those of the atoms for which ``keep`` is True."""
        return type(self)(*(a[keep] for a in self))

    def moved(self, dy: np.ndarray | float, dx: np.ndarray | float) -> Self:
        return self._replace(y=self.y + dy, x=self.x + dx)

    def scaled(self, factor: np.ndarray | float) -> Self:
        return self._replace(strength=self.strength * factor)


def strength(z: np.ndarray | int) -> np.ndarray:
    """Scattering onto the annular detector relative to that of hydrogen."""
    return np.asarray(z, dtype=float) ** EXPONENT


def join(*groups: Atoms) -> Atoms:
    """All atoms of several groups."""
    return Atoms(*(np.concatenate(parts) for parts in zip(*groups, strict=True)))


def paint(atoms: Atoms, shape: tuple[int, int], pixel: float) -> np.ndarray:
    """Strength per Å² as a mean over each pixel (y, x), position (0, 0) being the first pixel's middle.

    Thermal motion makes each atom a Gaussian, which is integrated over the pixels: no strength is
    lost and none depends on where in its pixel an atom lies.
    """
    reach = math.ceil(5 * float(atoms.motion.max(initial=0.0)) / pixel + 0.5)
    near = [
        (p > -reach) & (p < n - 1 + reach)
        for p, n in zip((atoms.y / pixel, atoms.x / pixel), shape, strict=True)
    ]
    atoms = atoms.where(near[0] & near[1])
    border = 2 * reach + 1  # atoms around the field reach over it on both sides
    wide = [n + 2 * border for n in shape]
    (i, wy), (j, wx) = (_shares(p / pixel, atoms.motion / pixel, reach) for p in (atoms.y, atoms.x))
    cells = (i + border)[:, :, None] * wide[1] + (j + border)[:, None, :]
    weights = (atoms.strength[:, None] * wy)[:, :, None] * wx[:, None, :]
    image = np.bincount(cells.ravel(), weights.ravel(), wide[0] * wide[1]).reshape(wide)
    return image[border:-border, border:-border] / pixel**2


def _shares(position: np.ndarray, sigma: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (atom, pixel) near each atom along one axis, and the part of the Gaussian in each."""
    near = np.rint(position).astype(int)[:, None] + np.arange(-reach, reach + 1)
    edges = (near[:, :1] + np.arange(2 * reach + 2) - 0.5 - position[:, None]) / sigma[:, None]
    return near, np.diff(ndtr(edges), axis=1)
