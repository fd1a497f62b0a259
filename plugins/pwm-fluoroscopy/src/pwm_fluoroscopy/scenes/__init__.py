"""Sequences for simulated fluoroscopy: an endless, seeded variety of several kinds of moving anatomy.

``coronary``   arteries on a beating heart that fill with contrast medium
``vessels``    a branching tree, at rest but for breathing, behind a moving front of contrast medium
``guidewire``  a wire pushed on through a catheter
``diaphragm``  the breathing diaphragm and the vessels of the lung

Numbered sequences show limbs, chambers of the heart, devices and gas as well, and the table may move.

Zero is the most transparent place of a sequence: the uniform tissue before and behind belongs to the beam.
"""

from __future__ import annotations

import numpy as np

from .sequences import coronary, diaphragm, guidewire, vessels
from .stage import Stage
from .varied import anything

__all__ = ["KINDS", "Stage", "draw", "draw_any"]

_PAINTERS = {"coronary": coronary, "vessels": vessels, "guidewire": guidewire, "diaphragm": diaphragm}
KINDS = tuple(_PAINTERS)


def draw(kind: str, stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A random sequence of ``kind`` (one of KINDS): line integrals (frame, y, x), float32, ≥ 0.

    The same state of ``rng`` gives the same sequence. KeyError for another kind.
    """
    return _from_zero(_PAINTERS[kind](stage, rng))


def draw_any(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A random sequence of any kind, with devices, bones and movements that the standard kinds lack."""
    return _from_zero(anything(stage, rng))


def _from_zero(video: np.ndarray) -> np.ndarray:
    return (video - video.min()).astype(np.float32)
