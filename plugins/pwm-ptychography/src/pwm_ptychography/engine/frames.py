"""What frames differ in besides their positions, from sums over their detector elements."""

from __future__ import annotations

import torch


def fitted_flux(flux: torch.Tensor, sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Relative incident intensities (frame) by least squares of the amplitudes, and their mean.

    ``flux`` is what the data were divided by; ``sums`` (frame, 2) are Σ |Ψ|² and Σ |Ψ| √I over the valid
    elements. The mean of what is returned is 1: the mean flux belongs to the probe.
    """
    model, overlap = sums.double().T
    found = flux * (overlap / model.clamp(min=1e-30)) ** 2
    mean = found.mean()
    return (found / mean).clamp(min=1e-6), mean
