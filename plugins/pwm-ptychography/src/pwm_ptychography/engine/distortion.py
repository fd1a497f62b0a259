"""Affine distortion of a whole scan: what the data say about it, and an object that follows it."""

from __future__ import annotations

import torch
from scipy.ndimage import map_coordinates


def central_differences(obj: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of the object along y and x; beyond its edge it goes on as it is there."""
    rows, columns = (torch.arange(-1, n + 1, device=obj.device).clamp(0, n - 1) for n in obj.shape)
    down = (obj[rows[2:]] - obj[rows[:-2]]) / 2
    return down, (obj[:, columns[2:]] - obj[:, columns[:-2]]) / 2


def light_centre(probe: torch.Tensor) -> torch.Tensor:
    """Centre of mass (y, x) of the power of the modes (mode, y, x), in pixels of the window."""
    power = _power(probe)
    y, x = (torch.arange(n, dtype=torch.float64, device=probe.device) for n in power.shape)
    return torch.stack([power.sum(1) @ y, power.sum(0) @ x]) / power.sum()


def equations(
    obj: torch.Tensor,
    probe: torch.Tensor,
    corners: torch.Tensor,
    exact: torch.Tensor,
    pull: torch.Tensor,
    moves: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `Engine.distortion_equations` asks for, from sums over all frames, on the CPU.

    ``corners`` and ``exact`` (frame, 2) are the first pixels of the patches without and with their
    fractions, ``pull`` (y, x) is Σ P*χ on the object, ``moves`` (frame, 2) are Re⟨P ∂O, χ⟩. As

        Σ_j Re⟨P (x − r_j) ∂O, χ_j⟩ = Re⟨x ∂O, Σ P*χ⟩ − Σ_j r_j Re⟨P ∂O, χ_j⟩,

    no frame has to be looked at again. The matrix takes the frames to be at whole pixels.
    """
    inside = light_centre(probe)
    centre = exact.mean(0) + inside
    y, x = (torch.arange(n, dtype=torch.float64) - c for n, c in zip(obj.shape, centre, strict=True))
    slopes = central_differences(obj)
    pulls = [(s.conj() * pull).real.double() for s in slopes]
    of_object = torch.stack([torch.stack([p.sum(1) @ y, p.sum(0) @ x]) for p in pulls])
    right = moves.T.double() @ (exact - exact.mean(0)) - of_object
    spread = _light_moments(probe, inside, corners, obj.shape)
    squares = [(a.conj() * b).real.double() for a in slopes for b in slopes]
    blocks = torch.stack([(q * m).sum() for q in squares for m in spread]).view(2, 2, 2, 2)  # a, a', b, b'
    return right.flatten(), blocks.permute(0, 2, 1, 3).reshape(4, 4)


def distorted(obj: torch.Tensor, by: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """The object (y, x) with what was at centre + r moved to centre + (1 + D) r, by cubic splines.

    ``by`` is D (2, 2), ``centre`` (2) a place in pixels; both on the CPU.
    """
    y, x = (torch.arange(n, dtype=torch.float64) - c for n, c in zip(obj.shape, centre, strict=True))
    back = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + by)
    places = [back[a, 0] * y[:, None] + back[a, 1] * x + centre[a] for a in range(2)]
    moved = map_coordinates(obj.cpu().numpy(), [p.numpy() for p in places], order=3, mode="nearest")
    return torch.from_numpy(moved).to(obj)


def apart(wanted: torch.Tensor, got: torch.Tensor) -> int:
    """How many places (frame, 2), in pixels, are further apart than rounding explains."""
    return int(((wanted - got).abs() > 1e-3).any(1).sum())


def _power(probe: torch.Tensor) -> torch.Tensor:
    return (probe.real**2 + probe.imag**2).sum(0).double()


def _light_moments(
    probe: torch.Tensor, inside: torch.Tensor, corners: torch.Tensor, shape: torch.Size
) -> list[torch.Tensor]:
    """Σ |P|² yy, yx, xy and xx on the object (y, x), with y and x from the middle of each frame's light."""
    power = _power(probe)
    y, x = (torch.arange(n, dtype=torch.float64) - m for n, m in zip(power.shape, inside, strict=True))
    visits = torch.zeros(shape, dtype=torch.float64)
    once = torch.ones(len(corners), dtype=torch.float64)
    visits.index_put_((corners[:, 0], corners[:, 1]), once, accumulate=True)
    seen = torch.fft.rfft2(visits)
    weights = (y[:, None] ** 2 * power, y[:, None] * x * power, x**2 * power)
    yy, yx, xx = (torch.fft.irfft2(seen * torch.fft.rfft2(w, s=shape), s=shape) for w in weights)
    return [yy, yx, yx, xx]
