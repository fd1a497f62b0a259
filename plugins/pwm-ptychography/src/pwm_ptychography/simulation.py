"""The simulated instrument: zone-plate optics and scan positions."""

from __future__ import annotations

import math

import numpy as np

from pwm_core.modality import stream

HC = 1.239841984e-6  # eV m


def wavelength(energy: float) -> float:
    """Wavelength (m) of photons of ``energy`` (eV)."""
    return HC / energy


def focused_wave(
    window: int, pixel: float, wavelength: float, aperture: float, defocus: float, astigmatism: float
) -> np.ndarray:
    """The wave (y, x), of unit power, at a distance ``defocus`` (m) behind the focus of a lens.

    ``aperture`` is the numerical aperture: there the pupil has fallen to one half, smoothly, as zones
    lose efficiency towards the edge of a zone plate. ``astigmatism`` (m) is the distance between the
    two line foci, which lie vertically and horizontally.
    """
    k = np.fft.fftfreq(window, pixel)
    ky, kx = k[:, None], k[None, :]
    radius = aperture / wavelength
    inside = np.clip((radius - np.hypot(ky, kx)) / (0.4 * radius) + 0.5, 0, 1)
    pupil = inside**2 * (3 - 2 * inside)
    path = (defocus + astigmatism / 2) * ky**2 + (defocus - astigmatism / 2) * kx**2
    wave = np.fft.fftshift(np.fft.ifft2(pupil * np.exp(-1j * math.pi * wavelength * path)))
    return wave / np.linalg.norm(wave)


def raster(side: int, step: float, wobble: float) -> np.ndarray:
    """Beam positions (frame, 2) in m: rows of a square raster, each displaced by up to ±wobble·step.

    The displacement is always the same and known to the method; it avoids the artefacts of a perfectly
    regular grid.
    """
    rng = np.random.default_rng(stream("raster"))
    y, x = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    grid = np.stack([y.ravel(), x.ravel()], axis=1).astype(float)
    return step * (grid + rng.uniform(-wobble, wobble, grid.shape))


def beam_diameter(wave: np.ndarray, pixel: float) -> float:
    """Diameter (m) of the circle about the centre of mass that holds 90 % of the power."""
    power = np.abs(wave) ** 2
    y, x = np.indices(power.shape)
    cy, cx = (power * y).sum() / power.sum(), (power * x).sum() / power.sum()
    radius = np.hypot(y - cy, x - cx).ravel()
    order = np.argsort(radius)
    inside = np.cumsum(power.ravel()[order]) / power.sum()
    return 2 * pixel * float(radius[order][np.searchsorted(inside, 0.9)])
