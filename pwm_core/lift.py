"""The reconstructor that denoises the data and then inverts the operator, made of any denoiser."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from .channels import CHANNELS, response
from .errors import Unsuitable
from .inverse import element_by_element, invert
from .method import Denoiser, Iterate, Reconstructor
from .noise import Gaussian, Poisson
from .problem import Problem
from .vst import stabilise, unstabilise


class DenoiseThenInvert(Reconstructor):
    """Denoise the data, then undo the operator on what is left.

    Poisson noise is made uniform by the generalised Anscombe transform first. Data with an axis that the
    object has not, such as energy, are first reduced to maps on the object's grid (``Operator.reduce``).
    The inversion does not amplify the errors of the denoised data at will, see ``inverse.invert``.
    """

    denoiser: Denoiser

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        refuse_complex(problem)
        problem = problem.reduced()
        noise = problem.operator.noise()
        if np.ndim(problem.y) < 2:
            raise Unsuitable(
                f"{type(self.denoiser).__name__} denoises images; {problem.modality} has data "
                f"{np.shape(problem.y)}"
            )
        if isinstance(noise, Gaussian) and problem.axes[0] == CHANNELS:
            yield self._channel_by_channel(_filled(problem), problem)
            return
        operator, data, x = problem.operator, problem.tensor(denoised(self.denoiser, problem)), problem.start
        assert noise is not None  # denoised() asked
        weight = 1 / noise.variance(data.clamp(min=0)).clamp(min=1e-12)
        if operator.linear and data.shape == x.shape:
            x = element_by_element(operator, data, weight, x)
        if problem.mask is not None:
            weight = weight * problem.tensor(problem.mask)
        yield Iterate(invert(operator, data, weight, x))

    def _channel_by_channel(self, y: np.ndarray, problem: Problem) -> Iterate:
        """Unmix the reduced data into one map a channel, which is what has edges; denoise; sharpen."""
        mixing = response(problem.operator, problem.like).double().cpu().numpy()
        unmixing = np.linalg.inv(mixing)
        spread = np.linalg.norm(unmixing, axis=1)[:, None, None]  # of each map's noise
        maps = self.denoiser.denoise(np.tensordot(unmixing, y, 1) / spread, 1.0) * spread
        data = problem.tensor(np.tensordot(mixing, maps, 1))
        information = problem.tensor(1 / spread**2)
        return Iterate(
            invert(problem.operator, data, torch.ones_like(data), problem.tensor(maps), information)
        )


def refuse_complex(problem: Problem) -> None:
    if problem.dtype.startswith("complex"):
        raise Unsuitable(f"a denoiser takes real images; the object of {problem.modality} is {problem.dtype}")


def denoised(denoiser: Denoiser, problem: Problem) -> np.ndarray:
    """The data of a (reduced) problem without their noise, and without holes where they are masked.

    Poisson noise is made uniform for the denoiser (``vst``). Unsuitable if the operator's noise is of a kind
    that no denoiser here can be told.
    """
    y, noise = _filled(problem), problem.operator.noise()
    if isinstance(noise, Poisson):
        return unstabilise(denoiser.denoise(stabilise(y, noise), 1.0), noise)
    if isinstance(noise, Gaussian):
        return denoiser.denoise(y, noise.sigma)
    raise Unsuitable(
        f"the operator {problem.operator} does not say that its noise is Gaussian or Poisson; "
        "a denoiser needs to know it"
    )


def _filled(problem: Problem) -> np.ndarray:
    """The data with what lies under the mask replaced by the nearest valid value of the same image."""
    y = np.array(problem.y, dtype=np.float64)
    if problem.mask is None:
        return y
    from scipy.ndimage import distance_transform_edt

    images = y.reshape(-1, *y.shape[-2:])
    masks = np.broadcast_to(problem.mask, y.shape).reshape(images.shape)
    for image, valid in zip(images, masks, strict=True):
        if valid.any() and not valid.all():
            rows, columns = distance_transform_edt(~valid, return_distances=False, return_indices=True)
            image[:] = image[rows, columns]
        elif not valid.any():
            image[:] = 0
    return images.reshape(y.shape)
