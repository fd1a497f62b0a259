"""Grey values of a measured micrograph as electrons: the detector's offset and gain from the image itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pwm_core.errors import BadFile

_BAND = 0.35  # cycles per pixel along both axes from where on an oversampled image is noise
_BINS = 32


class Response(NamedTuple):
    """How a detector writes electrons: grey value = offset + gain · electrons."""

    offset: float
    gain: float

    def electrons(self, image: np.ndarray) -> np.ndarray:
        return (np.asarray(image, dtype=np.float64) - self.offset) / self.gain


def estimate_response(image: np.ndarray, name: str = "the image") -> Response:
    """Offset and gain (grey values per electron) of an image (y, x) that is limited by counting noise.

    Counting noise has the variance gain · (mean − offset): a straight line, fitted to the variance in
    classes of equal mean (Foi et al. 2008, doi:10.1109/TIP.2008.2001399). Here the variance is that of the
    highest frequencies along both axes, where an oversampled image of a probe holds only noise, and the
    mean is smoothed over the pixels that the filter reaches, and the slope corrected for the noise left in
    it (regression dilution). Electronic
    noise cannot be told from offset; it is counted as offset, so that electrons have the variance of their
    mean. BadFile where the noise does not grow with the signal.
    """
    mean, variance, left = noise_curve(image)
    weight = 1 / variance
    for _ in range(5):  # the error of a variance is proportional to the variance, here that of the line
        gain, constant = np.polyfit(mean, variance, 1, w=weight)
        weight = 1 / np.maximum(gain * mean + constant, 0.1 * variance.min())
    spread = np.ptp(mean)
    misfit = float(np.sqrt(np.mean((gain * mean + constant - variance) ** 2)))
    if not gain > 0 or gain * spread < 2 * misfit:
        raise BadFile(
            f"{name}: its noise does not grow with the signal as that of counted electrons, so offset and "
            "gain of the detector cannot be estimated; give them as --assume offset=0 --assume gain=1"
        )
    dilution = max(1 - left * float(variance.mean() / np.var(mean)), 0.5)
    true = gain / dilution
    return Response(float(mean.mean() - (gain * mean.mean() + constant) / true), float(true))


def noise_curve(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and noise variance in classes of about equal mean, and the part of the variance left in the mean.

    The square of filtered noise is the variance smoothed by the square of the filter, so the mean is too.
    """
    values = np.asarray(image, dtype=np.float64)
    rows, columns = (np.abs(np.fft.fftfreq(n)) >= _BAND for n in values.shape)
    band = rows[:, None] & columns[: values.shape[1] // 2 + 1]
    share = rows.mean() * columns.mean()
    spectrum = np.fft.rfft2(values)
    noise = np.fft.irfft2(spectrum * band, s=values.shape)
    square = np.fft.irfft2(band, s=values.shape) ** 2 / share
    smooth = np.fft.irfft2(spectrum * np.fft.rfft2(square), s=values.shape).ravel()
    edges = np.quantile(smooth, np.linspace(0, 1, _BINS + 1)[1:-1])
    which = np.searchsorted(edges, smooth)
    count = np.maximum(np.bincount(which, minlength=_BINS), 1)
    mean = np.bincount(which, smooth, _BINS) / count
    variance = np.bincount(which, noise.ravel() ** 2, _BINS) / count / share
    used = (count > 16) & (variance > 0)
    return mean[used], variance[used], float(np.sum(square**2))
