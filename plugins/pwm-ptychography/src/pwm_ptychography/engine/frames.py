"""What frames may differ in besides their positions: incident intensity and background.

A frame's data are taken for I = c |Ψ|² + b with the relative incident intensity c and the background b, in
quanta, of all its elements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from ..operator import Diffraction

FLOOR = 1.0  # quanta: an element is given no more weight than one that holds so few


def tally(
    light: torch.Tensor,
    measured: torch.Tensor,
    valid: torch.Tensor | None,
    flux: torch.Tensor,
    background: torch.Tensor,
    shift: float,
) -> torch.Tensor:
    """Sums over the valid elements (frame, 4): Σ wu², Σ wu(y − ŷ), Σ w and Σ w(y − ŷ), float64.

    u are the quanta of the waves alone, ``light`` (frame, y, x); ŷ those with the background, y the measured
    ones, all over the ``flux`` (frame); w is 1/(ŷ + FLOOR/c). The amplitudes ``measured`` have the ``shift``.
    """
    shifts, floors = ((value / flux).to(light)[:, None, None] for value in (shift, FLOOR))
    root = measured - shifts / measured.clamp(min=1e-30)  # undoes (√y + √(y+1))/2 where the shift is 1/4
    quanta = light + (background / flux).to(light)[:, None, None]
    weight = 1 / (quanta + floors)
    excess = weight * (root**2 - quanta)
    terms = weight * light**2, excess * light, weight, excess
    return torch.stack([(t if valid is None else t * valid).sum((1, 2)).double() for t in terms], 1)


def fitted_flux(flux: torch.Tensor, sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Relative incident intensities (frame) after one step towards the most likely ones, and their mean.

    The step is that of :func:`fitted_background`, c += c Σ wu(y − ŷ)/Σ wu². The mean of what is returned is
    1: the mean flux belongs to the probe.
    """
    found = (flux * (1 + sums[:, 1] / sums[:, 0].clamp(min=1e-30))).clamp(min=1e-6)
    mean = found.mean()
    return found / mean, mean


def fitted_background(background: torch.Tensor, flux: torch.Tensor, sums: torch.Tensor) -> torch.Tensor:
    """Backgrounds (frame) ≥ 0 after one step towards the most likely ones for counts of quanta.

    The step is Fisher's scoring, b += Σ w(y − ŷ)/Σ w with w = 1/ŷ, of the Poisson likelihood (Thibault &
    Guizar-Sicairos 2012, doi:10.1088/1367-2630/14/6/063004; a background of each frame as in Marchesini et
    al. 2013, doi:10.1088/0266-5611/29/11/115009). Weights are bounded by that of FLOOR quanta, as elements
    where the model happens to vanish would outweigh all others; the estimate stays unbiased.
    """
    weight, excess = sums[:, 2], sums[:, 3]
    return (background + flux * excess / weight.clamp(min=1e-30)).clamp(min=0)


def fitted(operator: Diffraction, flux: torch.Tensor, background: torch.Tensor) -> dict[str, Any]:
    """Those that are no longer what the operator assumes, by dotted name."""
    found: dict[str, Any] = {}
    if bool((flux != 1).any()):
        found["probe.flux"] = flux
    known = torch.tensor(operator.detector.background).to(background).flatten()
    if bool((background != known).any()):
        found["detector.background"] = background[:, None, None]
    return found
