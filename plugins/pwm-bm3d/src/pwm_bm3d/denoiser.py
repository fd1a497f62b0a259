"""The denoiser: settings, checks of the input, and the choice of who computes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from pwm_core import Denoiser, param
from pwm_core.errors import BadValue
from pwm_core.settings import params

_RESOLUTION = 1e-6  # noise below this part of an image's range is lost in the rounding of float32


class BM3D(Denoiser):
    """Block matching and 3-D filtering (Dabov et al. 2007, doi:10.1109/TIP.2007.901238).

    Patches of 8 x 8 pixels are grouped with those most like them nearby and filtered together: by a hard
    threshold first, then by Wiener's rule with the first estimate as pilot. Both estimates are averages of
    all filtered patches, weighted by their certainty. Every image of a stack is denoised on its own.
    The result does not depend on the number of threads.

    With ``backend=bm3d`` the package of that name by the authors of the method computes, with its own profile
    ``np``. Its licence allows non-commercial use only; it comes with ``pip install 'pwm-bm3d[reference]'``.
    """

    step: int = param(2, low=1, high=8, unit="px", doc="distance of the reference patches")
    search: int = param(
        19, low=1, high=128, unit="px", doc="how far similar patches are sought; 48 suits a periodic lattice"
    )
    group: Literal[2, 4, 8, 16, 32] = param(16, doc="most patches in a group of the first stage")
    group_wiener: Literal[2, 4, 8, 16, 32] = param(32, doc="most patches in a group of the second stage")
    threshold: float = param(2.65, low=0, symbol="λ", doc="hard threshold in units of sigma")
    transform: Literal["bior1.5", "dct"] = param(
        "bior1.5", doc="of the patches in the first stage; dct is better on lattices"
    )
    stages: Literal["both", "hard"] = param("both", doc="hard leaves out the Wiener stage: half the time")
    threads: int = param(1, low=1, doc="how many compute")
    backend: Literal["pwm", "bm3d"] = param("pwm", doc="bm3d: the authors' package, for non-commercial use")

    def __post_init__(self) -> None:
        super().__post_init__()
        own = {
            f.name: f.default for f in params(type(self)) if f.name not in ("stages", "threads", "backend")
        }
        changed = [name for name, default in own.items() if getattr(self, name) != default]
        if self.backend == "bm3d" and changed:
            raise BadValue(
                f"BM3D: {' and '.join(changed)} cannot be set with backend=bm3d, which has its own profile; "
                "leave that out or choose backend=pwm"
            )

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """The image (..., y, x) without its white noise of standard deviation ``sigma``, in its units.

        Floating-point images keep their type, others become float32. BadValue if the image is not real and
        finite, has fewer than two axes or no pixels, or if sigma is not a finite number from zero on.
        """
        image = _checked(np.asarray(image), sigma)
        kind = image.dtype if image.dtype.kind == "f" else np.dtype(np.float32)
        clean = np.empty(image.shape, kind)
        for index in np.ndindex(image.shape[:-2]):
            clean[index] = self._denoise_one(image[index].astype(np.float64), float(sigma))
        return clean

    def _denoise_one(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """In units of the noise about the mean, so that float32 is enough whatever the offset and scale."""
        if sigma <= _RESOLUTION * np.ptp(image):
            return image
        mean = image.mean()
        scaled = ((image - mean) / sigma).astype(np.float32)
        return mean + sigma * self._filtered(scaled).astype(np.float64)

    def _filtered(self, image: np.ndarray) -> np.ndarray:
        if self.backend == "bm3d":
            from .package import filtered

            return filtered(image, self.stages, self.threads)
        from .engine import filtered as own

        return own(image, self)


def _checked(image: np.ndarray, sigma: Any) -> np.ndarray:
    if image.ndim < 2 or not image.size:
        raise BadValue(f"BM3D denoises images (..., y, x) with pixels in them, got the shape {image.shape}")
    if image.dtype.kind not in "fiub":
        raise BadValue(
            f"BM3D denoises real images, got {image.dtype}; denoise amplitude and phase separately"
        )
    bad = image.size - int(np.isfinite(image).sum())
    if bad:
        raise BadValue(
            f"BM3D: {bad} of the image's {image.size} pixels are not finite (NaN or infinite); "
            "replace them first, by the median of their neighbours for example"
        )
    if not (np.isfinite(sigma) and sigma >= 0):
        raise BadValue(f"BM3D: sigma must be a finite number from zero on, got {sigma}")
    return image
