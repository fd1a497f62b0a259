"""Realistic complex objects for simulated X-ray ptychography: an endless, seeded variety of several kinds.

Each kind draws maps of material thickness; the transmission function follows from the materials' optical
constants (:func:`transmission`). Constant factors, such as that of the supporting membrane, are left out.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

from pwm_core.errors import BadValue, UnknownName

from .cells import cells
from .chart import chart
from .circuit import circuit
from .lattice import lattice
from .material import MATERIALS, REFERENCE_ENERGY, exponent, optical_constants, transmission

__all__ = ["KINDS", "MATERIALS", "MAX_PHASE", "draw", "draw_any", "optical_constants", "transmission"]

MAX_PHASE = 2.0  # radians: no object retards the wave by more, so phases lie in [−2, 0] and never wrap
BLUR = 0.45  # px, σ: what a pixel grid can carry of a sharp edge

Thickness = Mapping[
    str, np.ndarray
]  # material → (y, x) map, in pixels, that is in units of the lateral pixel size

_PAINTERS: dict[str, Callable[[tuple[int, int], np.random.Generator], Thickness]] = {
    "circuit": circuit,
    "cells": cells,
    "lattice": lattice,
    "chart": chart,
}
KINDS = tuple(_PAINTERS)


def draw(
    kind: str,
    shape: tuple[int, int],
    pixel_size: float,
    rng: np.random.Generator,
    energy: float = REFERENCE_ENERGY,
) -> np.ndarray:
    """A random object of ``kind`` (one of KINDS): its transmission function (y, x), complex64.

    ``shape`` is in pixels of ``pixel_size`` metres, ``energy`` in eV. Features measure about 2 to 100 pixels,
    and their thickness is in proportion, so the phase contrast grows with ``pixel_size`` until the specimen
    is thinned to retard the wave by at most MAX_PHASE. Phases are −kδt (see :func:`transmission`), in
    [−2, 0]; amplitudes exp(−kβt) in (0.3, 1]. The field is cut out of a larger specimen: nothing ends at its
    edges. The same state of ``rng`` gives the same object.

    Raises UnknownName for another kind, BadValue for a shape, a pixel size or an energy (5 to 20 keV) out of
    range.
    """
    if kind not in _PAINTERS:
        close = difflib.get_close_matches(str(kind), KINDS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(KINDS)}"
        raise UnknownName(f"no kind of object called {kind!r}; {hint}")
    return np.exp(_exponent(kind, shape, pixel_size, rng, energy)).astype(np.complex64)


def draw_any(
    shape: tuple[int, int], pixel_size: float, rng: np.random.Generator, energy: float = REFERENCE_ENERGY
) -> np.ndarray:
    """A random object of a random kind, or, one time in four, of two kinds lying one on the other.

    Arguments, result and errors as for :func:`draw`; call it again with the same ``rng`` for the next one.
    """
    if rng.random() < 0.75:
        return draw(str(rng.choice(KINDS)), shape, pixel_size, rng, energy)
    below, above = rng.choice(KINDS, size=2, replace=False)
    share = rng.uniform(0.3, 0.7)
    total = (1 - share) * _exponent(below, shape, pixel_size, rng, energy)
    total += share * _exponent(above, shape, pixel_size, rng, energy)
    return np.exp(total).astype(np.complex64)


def _exponent(
    kind: str, shape: tuple[int, int], pixel_size: float, rng: np.random.Generator, energy: float
) -> np.ndarray:
    """ln of the object: −k Σ (β + iδ) t over the materials, thinned to the phase that is allowed."""
    if len(shape) != 2 or min(shape) < 1:
        raise BadValue(f"an object's shape is two positive numbers of pixels (y, x), not {shape}")
    if not 0 < pixel_size < np.inf:
        raise BadValue(f"a pixel size is a positive length in metres, not {pixel_size!r}")
    limit = rng.uniform(0.7, 1.0) * MAX_PHASE
    maps = _PAINTERS[kind](shape, rng)
    layers = [exponent(t * pixel_size, material, energy) for material, t in maps.items()]
    total = ndimage.gaussian_filter(np.sum(layers, axis=0), BLUR)
    return total * min(1.0, limit / max(float(-total.imag.min()), 1e-12))
