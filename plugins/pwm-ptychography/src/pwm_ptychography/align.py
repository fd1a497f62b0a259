"""Remove from a ptychographic object what the data cannot determine."""

from __future__ import annotations

import numpy as np
from scipy import fft
from skimage.registration import phase_cross_correlation


def aligned(x: np.ndarray, truth: np.ndarray, region: tuple[slice, slice]) -> np.ndarray:
    """``x`` with the complex scale, phase ramp and sub-pixel shift that bring it closest to ``truth``.

    A shift of the object is undone by one of the probe, a phase ramp by a displacement of the whole
    diffraction pattern, a scale by the probe's, so none of them can be told from the data. The five
    are found by Gauss–Newton on ‖c·e^{i(u·r)} x(r − s) − truth‖² over ``region``, from the shift of the
    largest cross-correlation.
    """
    x = np.asarray(x, dtype=np.complex128)
    want = np.asarray(truth, dtype=np.complex128)[region]
    best, best_error = x, np.inf
    for start in (np.zeros(2), _coarse_shift(x, truth, region)):
        candidate, error = _gauss_newton(x, want, region, start)
        if error < best_error:
            best, best_error = candidate, error
    return best


def _gauss_newton(
    x: np.ndarray, want: np.ndarray, region: tuple[slice, slice], shift: np.ndarray
) -> tuple[np.ndarray, float]:
    ky, kx = fft.fftfreq(x.shape[0])[:, None], fft.fftfreq(x.shape[1])
    y = (np.arange(x.shape[0]) - (x.shape[0] - 1) / 2)[:, None] / x.shape[0]
    xx = (np.arange(x.shape[1]) - (x.shape[1] - 1) / 2) / x.shape[1]
    spectrum = fft.fft2(x)
    shift, ramp = shift.astype(float), _coarse_ramp(x, want, region, shift)
    result, error = x, np.inf
    for _ in range(30):
        moved = spectrum * np.exp(-2j * np.pi * (shift[0] * ky + shift[1] * kx))
        tilt = np.exp(1j * (ramp[0] * y + ramp[1] * xx))
        base = (tilt * fft.ifft2(moved))[region]
        scale = np.vdot(base, want) / np.vdot(base, base)
        residual = want - scale * base
        new = float(np.sum(np.abs(residual) ** 2))
        if new < error:
            result = scale * tilt * fft.ifft2(moved)
        if not new < error * (1 - 1e-9):
            break
        error = new
        down = [(scale * tilt * fft.ifft2(-2j * np.pi * k * moved))[region] for k in (ky, kx)]
        turn = [1j * scale * base * np.broadcast_to(a, x.shape)[region] for a in (y, xx)]
        columns = np.stack([c.ravel() for c in (*down, *turn, base, 1j * base)], axis=1)
        jacobian = np.concatenate([columns.real, columns.imag])
        goal = np.concatenate([residual.real.ravel(), residual.imag.ravel()])
        step = np.linalg.lstsq(jacobian, goal, rcond=None)[0]
        shift, ramp = shift + step[:2], ramp + step[2:4]
    return result, min(error, new)


def _coarse_shift(x: np.ndarray, truth: np.ndarray, region: tuple[slice, slice]) -> np.ndarray:
    """The shift that brings the structure of ``x`` onto the truth's, blind to scale, phase and ramp."""
    return phase_cross_correlation(_edges(truth, region), _edges(x, region), upsample_factor=10)[0]


def _edges(x: np.ndarray, region: tuple[slice, slice]) -> np.ndarray:
    """Magnitude of the change from pixel to pixel; a phase ramp adds a constant, which is removed."""
    part = np.asarray(x, dtype=np.complex128)[region]
    steps = part[1:, 1:] * np.conj(part[:-1, :-1])
    steps = steps / max(float(np.abs(steps).mean()), 1e-300)
    edges = np.abs(steps - np.median(steps.real) - 1j * np.median(steps.imag))
    return edges - edges.mean()


def _coarse_ramp(
    x: np.ndarray, want: np.ndarray, region: tuple[slice, slice], shift: np.ndarray
) -> np.ndarray:
    """The phase ramp (rad over the whole object: y, x) between ``x`` and the truth."""
    rolled = np.roll(x, np.round(shift).astype(int), axis=(0, 1))[region]
    ratio = want * np.conj(rolled)
    padded = [2 * fft.next_fast_len(n) for n in ratio.shape]
    peak = np.unravel_index(np.argmax(np.abs(fft.fft2(ratio, padded))), padded)
    steps = [(p if p < n / 2 else p - n) * 2 * np.pi / n for p, n in zip(peak, padded, strict=True)]
    return np.array([s * n for s, n in zip(steps, x.shape, strict=True)])
