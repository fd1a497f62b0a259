"""Simulated samples: standard scenes of each class, and endless others, half of them of no class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pwm_core.errors import UnknownName
from pwm_core.modality import stream

from .assorted import Pool, assorted
from .scene import Sample


def find(
    samples: Sequence[Sample], pool: Pool, modality: str, scene: str | int
) -> tuple[Sample, np.random.Generator]:
    """The class of a scene and the random numbers that its sample is drawn with.

    A name is a standard scene, a number a generated one: half of those are of one of the classes, half are
    assorted from ``pool``. Their random streams are apart, so no generated sample is a standard one.
    UnknownName if there is no such scene.
    """
    if isinstance(scene, int):
        rng = np.random.default_rng(stream("generated", modality, scene))
        of_no_class = rng.random() < 0.5
        return assorted(pool, rng) if of_no_class else samples[int(rng.integers(len(samples)))], rng
    for sample in samples:
        if sample.name == scene:
            return sample, np.random.default_rng(stream("standard", modality, scene))
    names = ", ".join(s.name for s in samples)
    raise UnknownName(
        f"{modality} has no scene {scene!r}; it has {names}, and any number for a generated one"
    )
