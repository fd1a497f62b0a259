"""Discrete Fourier transforms as optics uses them: centred, unitary, with frequencies in physical units."""

from __future__ import annotations

import torch


def frequency_grid(
    shape: tuple[int, int], spacing: float | tuple[float, float], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Spatial frequencies (fy, fx) in cycles per unit of ``spacing``, FFT order, shapes (ny, 1), (nx)."""
    dy, dx = spacing if isinstance(spacing, tuple) else (spacing, spacing)
    fy = torch.fft.fftfreq(shape[0], d=dy, dtype=torch.float64, device=device)
    fx = torch.fft.fftfreq(shape[1], d=dx, dtype=torch.float64, device=device)
    return fy[:, None], fx


def centred_fft2(x: torch.Tensor) -> torch.Tensor:
    """Unitary transform of the last two axes with position and frequency zero both at index n//2."""
    ny, nx = x.shape[-2:]
    if ny % 2 == 0 and nx % 2 == 0:  # a shift by half is a change of signs, which takes far less time
        signs = _checkerboard(ny, nx, x.device).to(x.real.dtype if x.is_complex() else x.dtype)
        last = -signs if (ny + nx) // 2 % 2 else signs
        return last * torch.fft.fft2(signs * x, norm="ortho")
    axes = (-2, -1)
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(x, dim=axes), norm="ortho"), dim=axes)


def _checkerboard(ny: int, nx: int, device: torch.device) -> torch.Tensor:
    """(-1)^(y + x), float32."""
    rows, columns = (1 - 2 * (torch.arange(n, device=device) % 2) for n in (ny, nx))
    return (rows[:, None] * columns).float()


def filter2(x: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    """Multiply the spectrum of the last two axes by ``transfer`` (FFT order).

    A real ``x`` gives a real result: ``transfer`` is then taken to be that of a real kernel, and only
    its half of non-negative x frequencies is used.
    """
    if x.is_complex():
        return torch.fft.ifft2(torch.fft.fft2(x) * transfer)
    n = x.shape[-1]
    return torch.fft.irfft2(torch.fft.rfft2(x) * transfer[..., : n // 2 + 1], s=x.shape[-2:])


def shift_last(x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Move ``x`` along its last axis by ``shift`` elements, periodically and exactly if band-limited.

    ``shift`` broadcasts over the leading axes. The Nyquist frequency of an even length has no sign:
    it is multiplied by cos(π·shift), the mean of both, so that real input stays real.
    """
    n = x.shape[-1]
    f = torch.fft.fftfreq(n, dtype=torch.float64, device=x.device)
    angle = -2 * torch.pi * f * shift[..., None]
    imaginary = torch.where(f == -0.5, 0.0, angle.sin())
    phase = torch.complex(angle.cos(), imaginary).to(x.dtype.to_complex())
    if x.is_complex():
        return torch.fft.ifft(torch.fft.fft(x) * phase)
    return torch.fft.irfft(torch.fft.rfft(x) * phase[..., : n // 2 + 1], n=n)
