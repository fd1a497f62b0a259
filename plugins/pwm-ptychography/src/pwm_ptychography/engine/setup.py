"""Where an engine starts from: the assumed illumination, the patches, and the measured amplitudes."""

from __future__ import annotations

import torch

from pwm_core.errors import Unsuitable

from ..operator import Diffraction
from .modes import orthogonalise

NEGLIGIBLE = 5e-3  # part of the power below which a mode of the assumed illumination is left out


def start_modes(operator: Diffraction, like: torch.Tensor, count: int | None) -> torch.Tensor:
    """The assumed illumination as orthogonal modes; more are seeded as its first derivatives."""
    modes = orthogonalise(operator.modes(like), NEGLIGIBLE)
    if count is None or count == len(modes):
        return modes.clone()
    if count < len(modes):
        kept = modes[:count]
        power, left = (modes.abs() ** 2).sum(), (kept.abs() ** 2).sum()
        return kept * (power / left).sqrt()
    return torch.cat([modes, higher_modes(modes[0], count - len(modes))])


def start_components(probe: torch.Tensor, frames: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same probe (1, y, x) in every frame, and ``count`` weak components that frames may take up.

    Returns the components (1 + count, y, x) and their weights (frame, 1 + count)."""
    weights = torch.zeros(frames, 1 + count, dtype=probe.dtype, device=probe.device)
    weights[:, 0] = 1
    return torch.cat([probe, higher_modes(probe[0], count)]), weights


def start_positions(operator: Diffraction) -> tuple[torch.Tensor, torch.Tensor]:
    """First pixel (frame, 2) of each patch and the fraction of a pixel left over."""
    scan = operator.scan
    return scan.corners(scan.positions, scan.jitter, scan.drift)


def near_field_kernel(operator: Diffraction, like: torch.Tensor) -> torch.Tensor | None:
    """Transfer function of near-field propagation in FFT order; None in the far field."""
    propagate = operator.propagate
    if propagate.method == "fraunhofer":
        return None
    distance = torch.tensor(propagate.distance, dtype=torch.float64, device=like.device)
    return propagate.transfer(operator.scan.window, distance).to(like.dtype)


def amplitudes(counts: torch.Tensor, operator: Diffraction, stabilised: bool) -> torch.Tensor:
    """Measured amplitudes, √quanta; ``stabilised`` ones are (√y + √(y+1))/2.

    Their mean is close to √(mean + 1/4) down to no quanta at all (Freeman & Tukey 1950,
    doi:10.1214/aoms/1177729756), where √y alone is biased.
    """
    y = (counts / operator.detector.gain).clamp(min=0)
    return (y.sqrt() + (y + 1).sqrt()) / 2 if stabilised else y.sqrt_()


def start_flux(operator: Diffraction) -> torch.Tensor:
    """Relative incident intensity (frame) of the assumed illumination, float64."""
    known, frames = operator.probe.flux, len(operator.scan.positions)
    return torch.ones(frames).double() if known is None else torch.as_tensor(known).double().clone()


def start_background(operator: Diffraction) -> torch.Tensor:
    """The assumed background (frame), in quanta, float64; Unsuitable unless each frame has one number."""
    known, frames = torch.tensor(operator.detector.background).double(), len(operator.scan.positions)
    if known.shape not in ((), (1, 1, 1), (frames, 1, 1)):
        raise Unsuitable(
            f"a background must be one number, or one for each frame in an array ({frames}, 1, 1), "
            f"got {tuple(known.shape)}"
        )
    return known.flatten().expand(frames).clone()


def model_shift(stabilised: bool) -> float:
    """What is added to model intensities, in quanta, before their root is compared with the amplitudes."""
    return 0.25 if stabilised else 0.0


def higher_modes(first: torch.Tensor, count: int) -> torch.Tensor:
    """Distinct weak modes to start from: the first one times Hermite-like polynomials in y and x."""
    y = torch.linspace(-1, 1, first.shape[0], device=first.device)[:, None]
    x = torch.linspace(-1, 1, first.shape[1], device=first.device)
    shapes = [(x + 0 * y), (y + 0 * x), x * y, 2 * x**2 - 1 + 0 * y, 2 * y**2 - 1 + 0 * x]
    if count > len(shapes):
        raise Unsuitable(f"at most {len(shapes)} modes can be added to the assumed illumination, got {count}")
    added = torch.stack([first * s for s in shapes[:count]])
    power = (first.abs() ** 2).sum()
    sizes = (added.abs() ** 2).sum((-2, -1), keepdim=True)
    return added * (0.05 * power / sizes).sqrt()
