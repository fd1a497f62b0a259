"""Multiple least squares: the amount of each component in each pixel from its spectrum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pwm_core import Iterate, Problem, Reconstructor, param

from .least_squares import LinearFit, Weights, pixel_fit
from .spectra import names


class MultipleLeastSquares(Reconstructor):
    """x̂ = (GᵀWG)⁻¹GᵀW y in every pixel, G being the spectra of the components, by one matrix product.

    Weighted linear fit of whole spectra, peaks and background together (as in Solé et al. 2007,
    doi:10.1016/j.sab.2006.12.002). Weights are the inverse variance of the fitted mean spectrum: unlike
    those from each pixel's counts they leave the amounts unbiased. Free amounts of a trace scatter about
    the truth, also below zero; non-negative ones are too large on average where there is next to nothing.
    Pixels are fitted one by one: what the instrument blurs stays blurred.
    ``info`` holds ``std:<component>``, the standard deviation in a pixel with the mean spectrum;
    :func:`uncertainty` gives maps.
    """

    weights: Weights = param(
        "mean", doc="of the channels: from the mean spectrum, from each pixel's own fit, or all equal"
    )
    nonnegative: bool = param(False, doc="keep every amount at or above zero")

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        fit = LinearFit.of(problem, weighted=self.weights != "none")
        if self.weights == "pixel" or fit.cube.valid is not None:
            x, variances = pixel_fit(fit, free=not self.nonnegative)
            deviations = variances[:, torch.from_numpy(fit.cube.pixels)].mean(1).sqrt().numpy()
        else:
            x = fit.nonnegative() if self.nonnegative else fit.amounts()
            deviations = np.sqrt(np.diag(fit.mean_covariance()))
        info = {f"std:{name}": float(s) for name, s in zip(names(problem), deviations, strict=True)}
        yield Iterate(x.reshape(problem.shape), info=info)


def uncertainty(problem: Problem, weights: Weights = "mean") -> np.ndarray:
    """Standard deviation of what ``mls`` finds in each pixel, in the object's shape and units.

    By the noise that the operator states, from each pixel's own counts; of the free amounts.
    """
    fit = LinearFit.of(problem, weighted=weights != "none")
    if weights == "pixel" or fit.cube.valid is not None:
        variances = pixel_fit(fit, free=True)[1]
    else:
        variances = torch.diagonal(fit.covariance()).T
    return variances.sqrt().reshape(problem.shape).numpy()
