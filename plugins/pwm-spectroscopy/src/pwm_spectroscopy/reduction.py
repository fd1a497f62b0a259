"""Equivalent data of a spectrum image: a few maps with unit white noise instead of a thousand channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from pwm_core.errors import BadValue
from pwm_core.operator import Operator
from pwm_core.primitives import Convolve, Detect, Select
from pwm_core.stored import BlockArray, blocks

_Part = tuple[slice, tuple[slice, ...], torch.Tensor]

_FLOOR = 1e-3  # of the mean count: an empty channel is not infinitely sure
_SMOOTH = 2.0  # pixels over which the noise level is averaged


def reduced(
    columns: np.ndarray,
    convolve: Convolve,
    y: np.ndarray | BlockArray,
    mask: np.ndarray | None,
    smooth: float,
    precision: torch.dtype,
) -> tuple[np.ndarray, Operator] | None:
    """Maps z (component, y, x) and an operator with z ~ operator(x) + N(0, 1).

    With W the inverse of the mean spectrum and GᵀWG = L Lᵀ, the maps L⁻¹GᵀW y hold all that weighted
    least squares takes from the data ``y`` (channel, y, x), and their noise is white with the mean
    spectrum's variance. Brighter pixels have more: there each map is divided by its own noise level, the
    root of Σ (L⁻¹GᵀW)² y over a neighbourhood of a few pixels. Darker ones are left alone, since where
    next to nothing is counted noise is rare events: its variance is one at most, and less in the dark.
    The operator is blur, mixing by Lᵀ and that division. None if the ``mask`` is not the same channels
    in all valid pixels. ``smooth`` is an rms width in channels over which the mean spectrum is averaged.
    Data larger than memory are gone through twice, in blocks.
    """
    valid = _separated(mask, y.shape)
    if valid is None:
        return None
    channels, pixels = valid
    parts: Iterable[_Part] = _Parts(y, pixels)
    if not isinstance(y, BlockArray):
        parts = list(parts)
    weights = _weights(parts, channels, int(pixels.sum()), smooth)
    factor, whitener = whitening(columns, weights)
    level, z = _transformed(parts, whitener, y.shape[1:], precision)
    response = pixels / np.sqrt(_smoothed(level, pixels))
    operator = (
        Detect(name="reduced", mode="linear", statistics="gaussian", readout=1.0, response=response)
        @ Select(name="mixing", matrix=factor.T)
        @ convolve
    )
    return (z * response).astype(z.dtype), operator


def whitening(columns: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L and L⁻¹GᵀW for columns G (channel, component) and weights W (channel,); GᵀWG = L Lᵀ.

    BadValue if the spectra of two components cannot be told apart.
    """
    weighted = (columns * weights[:, None]).T
    normal = weighted @ columns
    size = np.sqrt(np.diag(normal))
    try:
        if not size.all():
            raise np.linalg.LinAlgError
        factor = size[:, None] * np.linalg.cholesky(normal / np.outer(size, size))
    except np.linalg.LinAlgError:
        raise BadValue(
            "the spectra of the components are not independent in the valid channels; leave out an element, "
            "or a free continuum"
        ) from None
    return factor, np.linalg.solve(factor, weighted)


def _separated(mask: np.ndarray | None, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """The valid channels and the valid pixels that together make the mask; None if no two such do."""
    if mask is None:
        return np.ones(shape[0], bool), np.ones(shape[1:], bool)
    full = np.broadcast_to(np.asarray(mask, bool), shape)
    channels, pixels = np.any(full, axis=(1, 2)), np.any(full, axis=0)
    same = all(np.array_equal(plane, pixels & ok) for plane, ok in zip(full, channels, strict=True))
    return (channels, pixels) if same else None


class _Parts:
    """Blocks of the data: channels, pixels, and the spectra there (channel, pixel), 0 where invalid."""

    def __init__(self, y: np.ndarray | BlockArray, pixels: np.ndarray) -> None:
        self.y, self.pixels = y, pixels

    def __iter__(self) -> Iterator[_Part]:
        for (channels, *where), block in blocks(self.y):
            spectra = torch.from_numpy(np.require(block, requirements="W")).flatten(1)
            if not self.pixels.all():
                spectra = spectra * torch.from_numpy(self.pixels[tuple(where)].ravel())
            yield channels, tuple(where), spectra


def _weights(parts: Iterable[_Part], channels: np.ndarray, pixels: int, smooth: float) -> np.ndarray:
    """The inverse of the mean spectrum, smoothed and never below a floor; 0 in channels that do not count."""
    from scipy.ndimage import gaussian_filter1d

    mean = np.zeros(len(channels))
    for rows, _, spectra in parts:
        ones = torch.ones(spectra.shape[1], dtype=spectra.dtype)
        mean[rows] += (spectra @ ones).double().numpy() / max(pixels, 1)
    mean = np.where(channels, mean, 0.0)
    share = np.maximum(gaussian_filter1d(channels.astype(float), smooth), 1e-9)
    expected = gaussian_filter1d(np.maximum(mean, 0.0), smooth) / share
    floor = _FLOOR * expected.mean()
    if floor == 0:
        raise BadValue("the spectrum image has no counts in its valid channels and pixels")
    return channels / np.maximum(expected, floor)


def _transformed(
    parts: Iterable[_Part], whitener: np.ndarray, shape: tuple[int, ...], like: torch.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """The noise level Σ (L⁻¹GᵀW)² y and the maps L⁻¹GᵀW y, in one product: (component, y, x) each."""
    both = torch.from_numpy(np.concatenate([whitener**2, whitener])).to(like)
    maps = torch.zeros(len(both), *shape, dtype=like).numpy()
    for rows, where, spectra in parts:
        product = (both[:, rows] @ spectra.to(like)).numpy()
        inside = maps[(slice(None), *where)]
        inside += product.reshape(inside.shape)
    half = len(whitener)
    return maps[:half], maps[half:]


def _smoothed(level: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The noise level averaged over neighbouring valid pixels, and nowhere below one, the field's mean."""
    from scipy.ndimage import gaussian_filter

    size = (0, _SMOOTH, _SMOOTH)
    share = gaussian_filter(pixels[None].astype(np.float64), size, mode="nearest")
    smooth = gaussian_filter(level.astype(np.float64), size, mode="nearest") / np.maximum(share, 1e-9)
    return np.where(pixels, np.maximum(smooth, 1.0), 1.0)
