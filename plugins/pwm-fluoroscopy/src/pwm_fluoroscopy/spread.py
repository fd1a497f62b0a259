"""C: what spreads X-rays and light in the image plane: scatter, veiling glare and the screen's blur."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from pwm_core.primitives import Convolve
from pwm_core.primitives.fourier import filter2, frequency_grid
from pwm_core.primitives.tensors import cast, require, scalar
from pwm_core.settings import param

_FINE = 8  # coarse pixels in the width of the narrower of the two wide kernels
_REACH = 6  # widths of the Gaussian after which nothing is left of it in single precision


class Blur(Convolve):
    """Gaussian blur of the screen, (..., y, x) -> (..., y, x); the image goes on as its mirror outside.

    A columnar CsI screen of 0.4 to 0.6 mm blurs by 0.1 to 0.2 mm rms.
    """

    sigma: float = param(0.15, low=0.0, high=5.0, unit="mm", symbol="σ", doc="rms width of the screen's blur")

    def apply(self, x: torch.Tensor, **theta: Any) -> torch.Tensor:
        require(self, x, y=None, x=None)
        before, after = zip(
            *(
                _margins(n, math.ceil(_REACH * self.sigma / p))
                for n, p in zip(x.shape[-2:], self._step, strict=True)
            ),
            strict=True,
        )
        padded = _mirror(_mirror(x, -2, before[0], after[0]), -1, before[1], after[1])
        transfer = self._transfer((padded.shape[-2], padded.shape[-1]), x, theta)
        return _cut(filter2(padded, cast(transfer, x)), before, x.shape[-2:])

    @property
    def _step(self) -> tuple[float, float]:
        p = self.pixel_size
        return p if isinstance(p, tuple) else (p, p)


class ScatterGlare(Convolve):
    """Direct and scattered X-rays and veiling glare: B = (1 − ρ) T + ρ h_glare∗T + SPR h_scatter∗T.

    h_glare(r) = exp(−r/κ)/(2πκ²), h_scatter is a Gaussian; both sum to 1, so that a uniform exposure T
    becomes (1 + SPR) T. Outside the image the scene goes on as its mirror; where a collimator covers it,
    T is zero. The two wide kernels act on pixels as coarse as an eighth of their width
    (the Gaussian: Boone, Arnold & Seibert 1986, doi:10.1118/1.595906).
    """

    glare: float = param(0.03, low=0.0, high=0.5, symbol="ρ", doc="part of the light that is veiling glare")
    reach: float = param(10.0, low=0.1, high=200.0, unit="mm", symbol="κ", doc="1/e reach of the glare")
    ratio: float = param(0.3, low=0.0, high=10.0, symbol="SPR", doc="scattered over direct quanta")
    sigma: float = param(20.0, low=0.1, high=500.0, unit="mm", symbol="σ", doc="rms width of the scatter")

    def apply(self, x: torch.Tensor, **theta: Any) -> torch.Tensor:
        require(self, x, y=None, x=None)
        images = x.reshape(-1, 1, *x.shape[-2:])
        ny, nx = self._coarse(x.shape[-2]), self._coarse(x.shape[-1])
        small = functional.adaptive_avg_pool2d(images, (ny, nx))
        whole = _mirror(_mirror(small, -2, 0, ny), -1, 0, nx)  # periodic from here on: mirrored endlessly
        spacing = (self._pixel * x.shape[-2] / ny, self._pixel * x.shape[-1] / nx)
        fy, fx = frequency_grid((2 * ny, 2 * nx), spacing, x.device)
        transfer = self.transfer(fy, fx, **{key: scalar(value, x) for key, value in theta.items()})
        spread = _cut(filter2(whole, cast(transfer, x)), (0, 0), (ny, nx))
        wide = functional.interpolate(spread, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return (1 - cast(scalar(theta["glare"], x), x)) * x + wide.reshape(x.shape)

    def transfer(self, fy: torch.Tensor, fx: torch.Tensor, *args: Any, **theta: Any) -> torch.Tensor:
        """The transfer function of the two wide kernels together; at frequency zero ρ + SPR."""
        k2 = (2 * torch.pi) ** 2 * (fy**2 + fx**2)
        glare = theta["glare"] * (1 + theta["reach"] ** 2 * k2) ** -1.5
        return glare + theta["ratio"] * torch.exp(-(theta["sigma"] ** 2) * k2 / 2)

    @property
    def _pixel(self) -> float:
        return self.pixel_size if isinstance(self.pixel_size, float) else float(max(self.pixel_size))

    def _coarse(self, n: int) -> int:
        """How many coarse pixels stand for n."""
        return max(1, math.ceil(n / max(1, int(min(self.reach, self.sigma) / (_FINE * self._pixel)))))


def _margins(n: int, wanted: int) -> tuple[int, int]:
    """Margins before and after n pixels, at least as wanted, that make a length of quick transforms."""
    from scipy.fft import next_fast_len

    margin = min(n, wanted)
    return margin, min(n, next_fast_len(n + 2 * margin, real=True) - n - margin)


def _mirror(x: torch.Tensor, axis: int, before: int, after: int) -> torch.Tensor:
    """``x`` continued by its mirror images, which repeat the pixels at the border."""
    n = x.shape[axis]
    parts = [x.narrow(axis, 0, before).flip(axis), x, x.narrow(axis, n - after, after).flip(axis)]
    return torch.cat([p for p in parts if p.shape[axis]], axis)


def _cut(x: torch.Tensor, start: Any, size: Any) -> torch.Tensor:
    return x.narrow(-2, start[0], size[0]).narrow(-1, start[1], size[1])
