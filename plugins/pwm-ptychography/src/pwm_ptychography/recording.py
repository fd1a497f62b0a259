"""A ptychographic scan as it was recorded: what every reader fills in, whatever the file format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from .readers.stored import StoredFrames


@dataclass(frozen=True)
class Recording:
    """Diffraction frames with what is known about the instrument. Lengths in metres; None = unknown.

    ``frames``           (n, y, x) counts, zero frequency (the direct beam) in the middle of the frame; in
                         memory or, where they would fill it, in their file
    ``positions``        (n, 2) as (y, x): where on the sample the beam was, in ``positions_unit``
    ``probe``            (mode, y, x) complex guess of the illumination at the sample
    ``mask``             (y, x) or (n, y, x), True where a detector element is valid
    ``distance``         sample to detector
    ``focus_to_sample``  for a near-field scan in a diverging beam; None for a parallel one
    """

    frames: np.ndarray | StoredFrames
    positions: np.ndarray
    positions_unit: Literal["m", "px"] = "m"
    geometry: Literal["far", "near"] = "far"
    wavelength: float | None = None
    distance: float | None = None
    detector_pixel: float | None = None
    focus_to_sample: float | None = None
    probe: np.ndarray | None = None
    mask: np.ndarray | None = None
    background: np.ndarray | None = field(default=None)  # (y, x) counts in every frame
    name: str = ""
