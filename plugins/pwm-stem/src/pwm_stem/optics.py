"""The focused probe of an electron lens: wavelength, aberrations and the optical transfer function."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from pwm_core.settings import Settings, param

PLANCK, ELECTRON_MASS, CHARGE, LIGHT = 6.62607015e-34, 9.1093837015e-31, 1.602176634e-19, 299792458.0
FWHM = 2 * math.sqrt(2 * math.log(2))  # full width at half maximum of a Gaussian of rms 1
_NODES = 257  # of the table of the transfer function between frequency zero and the cut-off
_ACROSS, _ALONG = 20, 32  # quadrature points over the overlap of the two apertures


class Lens(Settings):
    """The probe-forming optics of the microscope."""

    voltage: float = param(200.0, low=20.0, high=1000.0, unit="kV", doc="acceleration voltage")
    convergence: float = param(
        22.0, low=6.0, high=80.0, unit="mrad", doc="convergence semi-angle, base value"
    )
    source_size: float = param(
        0.6, low=0.3, high=50.0, unit="Å", doc="FWHM of the effective source at the specimen, base value"
    )
    defocus: float = param(0.0, low=-1e4, high=1e4, unit="nm", doc="underfocus is positive (C1 = -defocus)")
    c3: float = param(0.5, low=-1e4, high=1e4, unit="um", doc="spherical aberration, third order")
    c5: float = param(0.0, low=-1e3, high=1e3, unit="mm", doc="spherical aberration, fifth order")
    focal_spread: float = param(
        0.0, low=0.0, high=100.0, unit="nm", doc="rms spread of focus, Cc · rms energy spread / energy"
    )

    @property
    def wavelength(self) -> float:
        """Å."""
        return wavelength(self.voltage)

    @functools.cached_property
    def cutoff(self) -> float:
        """The highest spatial frequency that the probe carries, 2 α/λ in 1/Å."""
        return 2e-3 * self.convergence / self.wavelength

    def transfer(self, frequency: torch.Tensor, size: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
        """The probe's transfer function at radial frequencies (1/Å), 1 at zero: the intensity is normalised.

        ``size`` (Å) is added to the source size, ``angle`` (mrad) to the convergence angle. For the
        hard aperture of radius K = α/λ the transfer function at f is the mean over the aperture's disc of
        cos(χ(k + f/2) − χ(k − f/2)) on the overlap of two discs f apart. The overlap is integrated by
        Gauss–Legendre quadrature in coordinates that move with its border, so that derivatives to the
        angle are exact without softening the aperture's edge. A Gaussian spread of focus Δ damps each
        pair of points by exp(−½(2πλΔ k·f)²) and the Gaussian source the whole.
        """
        radius = 1e-3 * (self.convergence + angle) / self.wavelength
        root = torch.sqrt((1 - frequency / (2 * radius)).clamp(min=1e-24))
        inside = frequency < 2 * radius
        lens = torch.where(inside, _lookup(self._table(radius), root), 0.0)
        sigma = (self.source_size + size) / FWHM
        return lens * torch.exp(-2 * (math.pi * sigma * frequency) ** 2)

    def _table(self, radius: torch.Tensor) -> torch.Tensor:
        """The aperture's transfer function at f = 2K(1 − w²) for w in 0…1, where it is smooth in w."""
        w = torch.linspace(0, 1, _NODES, dtype=torch.float64, device=radius.device)[:, None, None]
        half = radius * (1 - w**2)  # f/2
        t, t_weight = _gauss(_ALONG, 0.0, 1.0, radius)
        u, u_weight = _gauss(_ACROSS, 0.0, 1.0, radius)
        # The overlap spans |ky| ≤ K sin β, where cos β = f/2K; with ky = K sin(βt) its half width along kx
        # is K cos(βt) − f/2, and one quadrant stands for all four.
        beta = torch.arccos((1 - w**2).clamp(max=1 - 1e-15))
        ky = radius * torch.sin(beta * t[:, None])
        width = radius * torch.cos(beta * t[:, None]) - half
        kx = width * u
        area = radius * beta * torch.cos(beta * t[:, None]) * width * t_weight[:, None] * u_weight
        wave = self._interference(kx, ky, half)
        return 4 * (wave * area).sum((1, 2)) / (math.pi * radius**2)

    def _interference(self, kx: torch.Tensor, ky: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
        """cos(χ(k + f/2) − χ(k − f/2)), averaged over the spread of focus; f lies along kx."""
        lam = self.wavelength
        plus, minus = (lam**2 * ((kx + s * half) ** 2 + ky**2) for s in (1, -1))  # angles squared
        path = (
            -0.5 * 10 * self.defocus * (plus - minus)
            + 0.25 * 1e4 * self.c3 * (plus**2 - minus**2)
            + 1e7 * self.c5 * (plus**3 - minus**3) / 6
        )
        damping = torch.exp(-0.5 * (math.pi / lam * 10 * self.focal_spread * (plus - minus)) ** 2)
        return torch.cos(2 * math.pi / lam * path) * damping


def wavelength(voltage: float) -> float:
    """The relativistic wavelength (Å) of electrons accelerated by ``voltage`` (kV)."""
    energy = CHARGE * 1e3 * voltage
    momentum = math.sqrt(2 * ELECTRON_MASS * energy * (1 + energy / (2 * ELECTRON_MASS * LIGHT**2)))
    return 1e10 * PLANCK / momentum


def probe_profile(lens: Lens, radius: np.ndarray, size: float = 0.0, angle: float = 0.0) -> np.ndarray:
    """The probe's intensity per Å² at distances ``radius`` (Å) from its centre.

    The Hankel transform of order zero of the transfer function; its integral over the plane is 1.
    """
    from scipy.special import j0

    offsets = [torch.tensor(v, dtype=torch.float64) for v in (size, angle)]
    f, weight = _gauss(400, 0.0, lens.cutoff * (1 + angle / lens.convergence), offsets[0])
    otf = lens.transfer(f, *offsets).numpy()
    kernel = j0(2 * np.pi * np.asarray(radius, dtype=float)[..., None] * f.numpy())
    return 2 * np.pi * kernel @ (otf * f.numpy() * weight.numpy())


def probe_width(lens: Lens, size: float = 0.0, angle: float = 0.0) -> float:
    """Full width at half maximum (Å) of the probe, where its intensity first falls to half its centre's."""
    radius = np.linspace(0, 3 / lens.cutoff + 2 * (lens.source_size + size), 2000)
    profile = probe_profile(lens, radius, size, angle)
    first = int(np.argmax(profile < profile[0] / 2))
    low, high = profile[first - 1 : first + 1]
    return 2 * float(radius[first - 1] + (low - profile[0] / 2) / (low - high) * (radius[1] - radius[0]))


def _gauss(n: int, low: float, high: float, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    nodes, weights = np.polynomial.legendre.leggauss(n)
    scale = (high - low) / 2
    return (
        torch.as_tensor(low + scale * (nodes + 1), device=like.device),
        torch.as_tensor(scale * weights, device=like.device),
    )


def _lookup(table: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """The table over 0…1 at ``w`` by cubic convolution (Keys 1981, doi:10.1109/TASSP.1981.1163711)."""
    ends = [3 * (table[0] - table[1]) + table[2], 3 * (table[-1] - table[-2]) + table[-3]]
    wide = torch.cat([ends[0][None], table, ends[1][None]])
    position = w * (len(table) - 1)
    first = position.detach().floor().clamp(max=len(table) - 2)
    t, i = position - first, first.long()
    p0, p1, p2, p3 = (wide[i + k] for k in range(4))
    return p1 + t / 2 * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
