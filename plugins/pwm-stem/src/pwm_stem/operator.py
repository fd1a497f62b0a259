"""The forward model of HAADF-STEM, y = g N (P * x)(scan positions), as a graph of primitives."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from pwm_core.errors import Unsuitable
from pwm_core.operator import Compose, Operator
from pwm_core.primitives import Convolve, Detect
from pwm_core.primitives.fourier import filter2
from pwm_core.primitives.tensors import Number, cast, require, scalar
from pwm_core.problem import Problem
from pwm_core.settings import param, params

from .columns import probe_size_from_columns
from .optics import Lens
from .scan import Scan
from .symmetry import scan_distortion_from_symmetry

REACH = 5.0  # Å around the image over which the specimen is continued for the probe's tails


class Beam(Operator):
    """P: the electrons of the beam pass the specimen; x (..., y, x) becomes electrons on the detector.

    Of the ``dose`` electrons that visit a scan position the part x is scattered onto the detector.
    """

    symbol = "P"

    dose: float = param(1.0, low=1e-9, unit="electrons", symbol="N", doc="electrons per scan position")

    def apply(self, x: torch.Tensor, dose: Number) -> torch.Tensor:
        return cast(scalar(dose, x), x) * x


class Probe(Convolve):
    """C: incoherent imaging, convolution with the intensity of the focused probe, (..., y, x) -> (..., y, x).

    The probe's intensity sums to 1. The two parameters are errors of what the lens is said to be. Beyond
    its border the specimen is continued by reflection, at least ``REACH`` Å far.
    """

    sigma: float = 0.0  # the source size of the lens takes its place
    voltage: float = 200.0  # kV; these fields are those of Lens
    convergence: float = 22.0  # mrad
    source_size: float = 0.6  # Å
    defocus: float = 0.0  # nm
    c3: float = 0.0  # µm
    c5: float = 0.0  # mm
    focal_spread: float = 0.0  # nm
    size: float = param(
        0.0, low=-0.3, high=5.0, unit="Å", symbol="Δd_p", doc="added to the FWHM of the source"
    )
    angle: float = param(
        0.0, low=-5.0, high=5.0, unit="mrad", symbol="Δα", doc="added to the convergence semi-angle"
    )

    @functools.cached_property
    def lens(self) -> Lens:
        """The optics; BadValue if one of its numbers is out of range."""
        return Lens(**{f.name: getattr(self, f.name) for f in params(Lens)})

    def apply(self, x: torch.Tensor, **theta: Any) -> torch.Tensor:
        require(self, x, y=None, x=None)
        ny, nx = x.shape[-2:]
        top, left = (self._margin(n) for n in (ny, nx))
        wide = _reflected(_reflected(x, -2, top), -1, left)
        shape = (ny + 2 * top, nx + 2 * left)
        if any(isinstance(value, torch.Tensor) for value in theta.values()):  # derivatives may be wanted
            blurred = filter2(wide, cast(self._transfer(shape, x, theta), x))
        else:
            blurred = _Filter.apply(wide, self._kept_transfer(shape, x, theta))
        return blurred[..., top : top + ny, left : left + nx]

    def transfer(self, fy: torch.Tensor, fx: torch.Tensor, *args: Any, **theta: Any) -> torch.Tensor:
        return self.lens.transfer(torch.sqrt(fy**2 + fx**2), theta["size"], theta["angle"])

    def _margin(self, n: int) -> int:
        """Pixels of reflection at each end of an axis, up to a length that Fourier transforms like."""
        from scipy.fft import next_fast_len

        step = self.pixel_size if isinstance(self.pixel_size, float) else min(self.pixel_size)
        wanted = min(math.ceil(REACH / step) + 1, n)
        while wanted < n and next_fast_len(n + 2 * wanted, real=True) != n + 2 * wanted:
            wanted += 1
        return wanted

    def _kept_transfer(self, shape: tuple[int, int], x: torch.Tensor, theta: dict[str, Any]) -> torch.Tensor:
        """The transfer function, kept while shape and parameters stay the same."""
        key = (shape, x.dtype, x.device, *theta.values())
        kept = self.__dict__.setdefault("_kept", {})
        if key not in kept:
            kept.clear()
            with torch.inference_mode(False), torch.no_grad():
                kept[key] = cast(self._transfer(shape, x, theta), x)
        return kept[key]


class Micrograph(Compose):
    """The whole microscope, from specimen to counts."""

    def estimate(self, y: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
        """The scan's distortion from the regularity of crystals, the probe's size from the width of atomic
        columns, with standard errors; nothing of what the image does not show."""
        image, valid = np.asarray(y, dtype=np.float64), np.ones(np.shape(y), bool)
        if mask is not None:
            valid = np.broadcast_to(mask, image.shape)
            image = np.where(valid, image, np.mean(image, where=valid))
        found = {
            "scan.distortion": scan_distortion_from_symmetry(image),
            "probe.size": self._size_from_columns(image, valid),
        }
        known = {name: pair for name, pair in found.items() if pair is not None}
        return {n: p[0] for n, p in known.items()} | {f"std:{n}": p[1] for n, p in known.items()}

    def _size_from_columns(self, image: np.ndarray, valid: np.ndarray) -> tuple[float, float] | None:
        probe, noise = next(node for node in self.nodes() if isinstance(node, Probe)), self.noise()
        if noise is None:
            return None  # how wide columns are is judged by their noise
        variance = noise.variance(torch.as_tensor(gaussian_filter(image, 1.0)).clamp(min=0)).numpy()
        variance = np.where(valid, variance.clip(min=1e-3 * variance.mean()), 1e9 * variance.max())
        lens = probe.lens.replace(convergence=probe.lens.convergence + float(probe.angle))
        return probe_size_from_columns(image, variance, float(np.mean(probe.pixel_size)), lens)


def assemble(
    lens: Lens, scan: Scan, pixel: float, *, dose: float = 1.0, gain: float = 1.0, readout: float = 0.0
) -> Micrograph:
    """The operator of a micrograph; it prints as ``P(e⁻) → C(probe) → D(g, η₁)``.

    ``pixel`` (Å) is the distance of scan positions, ``dose`` the electrons at each of them.
    """
    beam = Beam(name="beam", label="e⁻", dose=dose)
    probe = Probe(name="probe", label="probe", pixel_size=pixel, **lens.values())
    detector = Detect(name="detector", label="g, η₁", mode="linear", gain=gain, readout=readout)
    return Micrograph(outer=detector, inner=(scan @ probe).labelled("C(probe)") @ beam)


def probe_of(problem: Problem) -> Probe:
    """The probe of the problem's operator, which must be that of a micrograph; Unsuitable otherwise."""
    for node in problem.operator.nodes():
        if isinstance(node, Probe):
            return node
    raise Unsuitable(f"a micrograph needs an operator with a Probe, got {problem.operator}")


class _Filter(torch.autograd.Function):
    """``filter2`` by a real, even transfer function, which is its own adjoint.

    Several times faster than what autograd makes of transforms of real images, with the same result.
    """

    @staticmethod
    def forward(x: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
        return filter2(x, transfer)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor], output: torch.Tensor) -> None:
        ctx.transfer = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Filter.apply(gradients[0], ctx.transfer), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> torch.Tensor:
        return filter2(tangents[0], ctx.transfer)


def _reflected(x: torch.Tensor, axis: int, margin: int) -> torch.Tensor:
    """The images with ``margin`` mirrored pixels at both ends of an axis, its border pixels repeated."""
    n = x.shape[axis]
    head = x.narrow(axis, 0, margin).flip(axis)
    tail = x.narrow(axis, n - margin, margin).flip(axis)
    return torch.cat([head, x, tail], axis)
