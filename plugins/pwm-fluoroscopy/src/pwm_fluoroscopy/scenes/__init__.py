"""Sequences for simulated fluoroscopy: an endless, seeded variety of several kinds of moving anatomy.

``coronary``   arteries on a beating heart that fill with contrast medium
``vessels``    a branching tree, at rest but for breathing, behind a moving front of contrast medium
``guidewire``  a wire pushed on through a catheter
``diaphragm``  the breathing diaphragm and the vessels of the lung

Zero is the most transparent place of a sequence: the uniform tissue before and behind belongs to the beam.
"""

from __future__ import annotations

import numpy as np

from .sequences import coronary, diaphragm, guidewire, vessels
from .stage import Stage

__all__ = ["KINDS", "Stage", "draw", "draw_any"]

_PAINTERS = {"coronary": coronary, "vessels": vessels, "guidewire": guidewire, "diaphragm": diaphragm}
KINDS = tuple(_PAINTERS)


def draw(kind: str, stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A random sequence of ``kind`` (one of KINDS): line integrals (frame, y, x), float32, ≥ 0.

    The same state of ``rng`` gives the same sequence. KeyError for another kind.
    """
    return _from_zero(_PAINTERS[kind](stage, rng))


def draw_any(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    """A random sequence of a random kind, one time in four with a guide wire in front of it."""
    kind = str(rng.choice(KINDS))
    video = _PAINTERS[kind](stage, rng)
    if kind != "guidewire" and rng.random() < 0.25:
        video = 0.7 * video + 0.5 * guidewire(stage, rng)
    return _from_zero(video)


def _from_zero(video: np.ndarray) -> np.ndarray:
    return (video - video.min()).astype(np.float32)
