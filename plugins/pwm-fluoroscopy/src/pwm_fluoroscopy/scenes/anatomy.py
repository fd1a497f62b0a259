"""What stands behind vessels and devices: soft tissue, lung, ribs, spine, heart and diaphragm.

Each function gives a map of line integrals of attenuation beyond the tissue or lung that it replaces.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .materials import CORTICAL_BONE, LUNG, SPONGY_BONE, WATER
from .stage import Place, Stage
from .tree import tree
from .tubes import Tube, curve, draw

_CORTEX = 0.9  # mm


def tissue(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Soft tissue: random layers with the 1/f³ power spectrum of anatomy, some 3 mm rms, and a slope.

    (Burgess 1999, doi:10.1364/JOSAA.16.000633).
    """
    y, x = stage.around
    n = y.shape[0]
    noise = np.fft.rfft2(rng.standard_normal((2 * n, 2 * n))) / _steepness(n)
    layers = np.fft.irfft2(noise, s=(2 * n, 2 * n))[:n, :n]  # half a period, so that nothing repeats
    slope = np.cos(rng.uniform(0, 2 * np.pi) + np.hypot(y, x) / (2.5 * stage.width))
    return WATER * (3.5 * layers / layers.std() + 8 * slope)


def ribs(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Ribs 26 to 32 mm apart, aslant and bent: a cortical shell around spongy bone."""
    width, gap = 5 / 3 * stage.width, rng.uniform(26, 32)
    slant, bow = rng.uniform(-0.5, 0.5), rng.uniform(-0.15, 0.15)
    x = np.linspace(-width / 2, width / 2, 12)
    tubes = []
    for height in np.arange(-width, width, gap) + rng.uniform(0, gap):
        y = height + slant * x + bow * x**2 / width + rng.uniform(-1, 1)
        middle = stage.width / 2
        tubes.append(curve(np.stack([y + middle, x + middle], -1), rng.uniform(4.5, 6.0)))
    return 0.6 * _bone(tubes, stage)  # ribs are flatter than round


def spine(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Vertebral bodies 34 to 42 mm wide and about 25 mm high, 30 mm thick, with dense end plates."""
    y, x = stage.around
    wide, high, disc = rng.uniform(34, 42), rng.uniform(22, 27), rng.uniform(5, 8)
    middle = rng.choice([-0.2, 1.2]) * stage.width + rng.uniform(-4, 4)
    lean = rng.uniform(-0.12, 0.12)
    u = x - middle - lean * y
    v = (y + rng.uniform(0, high + disc)) % (high + disc) - disc - high / 2
    waist = wide / 2 * (0.9 + 0.1 * (2 * v / high) ** 2)
    inside = _edge(waist - np.abs(u)) * _edge(high / 2 - np.abs(v))
    shell = inside - _edge(waist - 1.2 - np.abs(u)) * _edge(high / 2 - 1.2 - np.abs(v))
    column = 22 * WATER * 0.25 * _edge((wide / 2 - np.abs(u)) / 3)  # discs, ligaments and arches
    return column + 28 * (SPONGY_BONE - WATER) * inside + 3 * (CORTICAL_BONE - SPONGY_BONE) * shell


def lung_vessels(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """Pulmonary vessels: soft tissue in lung, several trees deep."""
    total = np.zeros(())
    for _ in range(4):
        angle = rng.uniform(0, 2 * np.pi)
        root = stage.width * (0.5 + 0.75 * np.array([-np.sin(angle), -np.cos(angle)]))
        root = root + rng.uniform(-0.2, 0.2, 2) * stage.width
        branches = tree(root, angle, rng.uniform(1.2, 2.2), rng, length=stage.width / 3, smallest=0.4)
        total = total + (WATER - LUNG) * draw(branches, stage).chord
    return total


def dome(place: Place, top: float, centre: float, radius: float, deepest: float = 90.0) -> np.ndarray:
    """The diaphragm: a dome of soft tissue that rises to ``top`` (mm) into the lung at x = ``centre``."""
    inside = radius**2 - (place[0] - top - radius) ** 2 - (place[1] - centre) ** 2
    chord = np.where(place[0] > top + radius, deepest, 2 * np.sqrt(np.maximum(inside, 0)))
    return (WATER - LUNG) * deepest * np.tanh(chord / deepest)  # it ends in front and behind


def heart_shadow(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """The border of the heart against the lung: an ellipsoid of blood and muscle."""
    y, x = stage.around
    angle = rng.uniform(0, 2 * np.pi)
    centre = stage.width * (0.5 + rng.uniform(0.7, 1.0) * np.array([np.sin(angle), np.cos(angle)]))
    axes = rng.uniform(0.7, 1.0, 2) * max(stage.width, 40)
    depth = 1 - ((y - centre[0]) / axes[0]) ** 2 - ((x - centre[1]) / axes[1]) ** 2
    return (WATER - LUNG) * 50 * np.sqrt(np.maximum(depth, 0))


@lru_cache(maxsize=1)
def _steepness(n: int) -> np.ndarray:
    """What white noise of 2n × 2n points is divided by to get the spectrum of tissue, on rfft2's grid."""
    f = np.hypot(np.fft.fftfreq(2 * n)[:, None], np.fft.rfftfreq(2 * n))
    f[0, 0] = np.inf
    return np.maximum(f, 1 / n) ** 1.5


def _bone(tubes: list[Tube], stage: Stage) -> np.ndarray:
    bone = draw(tubes, stage, wall=_CORTEX)
    return (CORTICAL_BONE - WATER) * bone.wall + (SPONGY_BONE - WATER) * bone.lumen


def _edge(distance: np.ndarray) -> np.ndarray:
    """0 outside (negative), 1 inside, over about a millimetre."""
    return 0.5 * (1 + np.tanh(2 * distance))
