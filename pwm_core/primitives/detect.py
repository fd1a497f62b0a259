"""D: the sensor's readout, from a field or an exposure to counts, and its noise."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from ..errors import BadValue
from ..noise import Gaussian, Noise, Poisson
from ..operator import Operator, Theta
from ..settings import param
from .tensors import Number, cast, constant, freeze, require, scalar


class Detect(Operator):
    """Mean counts of a sensor, element by element: y = gain · response · (q + background).

    q, in quanta, is the squared modulus of x with mode ``intensity``, its real part with ``linear``,
    and x itself, complex, with ``quadrature`` (a receiver of both phases, as in MRI). With ``modes``
    the intensities of x (..., mode, y, x) add up over the incoherent modes. ``response`` is the
    relative sensitivity of each pixel. ``background`` may be an array that broadcasts over the quanta, as
    (frame, 1, 1) for one value a frame.

    Noise: ``poisson`` counts of quanta with Gaussian ``readout`` noise (counts, rms), ``gaussian``
    noise of that rms alone, or ``none``. A blur in the sensor is a C before a linear D.
    """

    symbol = "D"

    gain: float = param(1.0, low=1e-12, unit="counts/quantum", symbol="g", doc="counts per quantum")
    background: float | np.ndarray = param(
        0.0, low=0.0, unit="quanta", symbol="b", doc="stray and dark quanta a pixel"
    )
    mode: Literal["intensity", "linear", "quadrature"] = "intensity"
    modes: bool = False
    response: np.ndarray | None = None
    statistics: Literal["poisson", "gaussian", "none"] = "poisson"
    readout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("intensity", "linear", "quadrature"):
            raise BadValue(f"{self}: mode must be intensity, linear or quadrature, got {self.mode!r}")
        if self.statistics not in ("poisson", "gaussian", "none"):
            raise BadValue(f"{self}: statistics must be poisson, gaussian or none, got {self.statistics!r}")
        if not self.readout >= 0 or (self.statistics == "gaussian" and self.readout == 0):
            raise BadValue(
                f"{self}: {self.statistics} noise needs a readout rms in counts, got {self.readout}"
            )
        if self.mode == "quadrature" and self.statistics == "poisson":
            raise BadValue(
                f"{self}: a quadrature receiver counts no quanta; give statistics='gaussian' or 'none'"
            )
        if self.modes and self.mode != "intensity":
            raise BadValue(f"{self}: incoherent modes add up as intensities; mode must be 'intensity'")
        if self.response is not None:
            freeze(self, "response")
        if not np.all((np.asarray(self.background) >= 0) & np.isfinite(self.background)):
            raise BadValue(f"{self}: an array of backgrounds must be finite and not negative")

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Whether the counts are linear in x: no squared modulus, and nothing added by nominal θ."""
        return self.mode != "intensity" and not np.any(self.background)

    def __str__(self) -> str:
        return f"D({self.label or self.name or ('g' if self.statistics == 'none' else 'g, η₁')})"

    def apply(self, x: torch.Tensor, gain: Number, background: Number, **theta: Any) -> torch.Tensor:
        require(self, x, **({"mode": None, "y": None, "x": None} if self.modes else {}))
        quanta = self._quanta(x)
        q = quanta + cast(scalar(background, x), x)
        if q.shape != quanta.shape:
            raise BadValue(
                f"{self} has backgrounds {tuple(np.shape(background))} for quanta {tuple(quanta.shape)}"
            )
        counts = cast(scalar(gain, x), x) * q
        return counts if self.response is None else counts * self._sensitivity(x)

    def noise(self, theta: Theta | None = None) -> Noise | None:
        """The noise model at these parameters."""
        if self.statistics == "none":
            return None
        if self.statistics == "gaussian":
            return Gaussian(sigma=self.readout)
        key = f"{self.name}.gain" if self.name else "gain"
        return Poisson(gain=float((theta or {}).get(key, self.gain)), readout=self.readout)

    def _quanta(self, x: torch.Tensor) -> torch.Tensor:
        if self.mode == "quadrature":
            return x
        if self.mode == "linear":
            return x.real if x.is_complex() else x
        q = x.real**2 + x.imag**2 if x.is_complex() else x**2
        return q.sum(-3) if self.modes else q

    def _sensitivity(self, x: torch.Tensor) -> torch.Tensor:
        assert self.response is not None
        n = self.response.ndim
        if self.response.shape != tuple(x.shape[x.ndim - n :]):
            raise BadValue(
                f"{self} has a response {self.response.shape} for an input of shape {tuple(x.shape)}"
            )
        return constant(self, "response", x)
