"""Image metrics and scores, computed from arrays alone.

Images come as (y, x) or (image, y, x). The data range is the truth's own over the whole array, never
the estimate's and never one image's; for a constant truth, which has no range, it is its magnitude.
"""

from __future__ import annotations

import math

import numpy as np

from .errors import BadValue


def data_range(truth: np.ndarray) -> float:
    """The truth's range over the whole array (its magnitude, or 1, where it is constant)."""
    truth = np.asarray(truth, dtype=np.float64)
    return float(truth.max() - truth.min()) or float(np.abs(truth).max()) or 1.0


def psnr(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over the whole array; infinite for a perfect estimate."""
    estimate, truth = _pair(estimate, truth)
    with np.errstate(over="ignore"):  # an error beyond float64 is infinite
        mse = float(np.mean((estimate - truth) ** 2))
    return math.inf if mse == 0 else 20 * math.log10(data_range(truth)) - 10 * math.log10(mse)


def ssim(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity, averaged over images.

    scikit-image's, with Gaussian weights of σ = 1.5 px and no sample covariance (Wang et al. 2004,
    doi:10.1109/TIP.2003.819861). Images must be at least 11 pixels wide.
    """
    from skimage.metrics import structural_similarity

    estimate, truth = _pair(estimate, truth)
    if min(truth.shape[-2:]) < 11:
        raise BadValue(f"SSIM needs images of at least 11 x 11 pixels, got {truth.shape}")
    span = data_range(truth)
    images = zip(_stack(estimate), _stack(truth), strict=True)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": span}
    with np.errstate(over="ignore", invalid="ignore"):  # not a number for an estimate beyond float64
        return float(np.mean([structural_similarity(t, e, **options) for e, t in images]))


def nrmse(estimate: np.ndarray, truth: np.ndarray) -> float:
    """‖estimate − truth‖ / ‖truth‖; complex arrays as they are."""
    return float(np.linalg.norm(np.asarray(estimate) - truth) / np.linalg.norm(truth))


def consistency(y: np.ndarray, mean: np.ndarray, mask: np.ndarray | None = None) -> float:
    """clip(1 − ‖y − H(x̂; θ̂)‖ / ‖y‖, 0, 1) over the valid elements."""
    y, mean = _pair(y, mean)
    if mask is not None:
        y, mean = np.where(mask, y, 0), np.where(mask, mean, 0)
    size = np.linalg.norm(y)
    if size == 0:
        return 1.0 if not mean.any() else 0.0
    if not np.isfinite(mean).all():
        return 0.0
    with np.errstate(over="ignore"):
        return float(np.clip(1 - np.linalg.norm(y - mean) / size, 0, 1))


def standard_score(psnr: float, ssim: float) -> float:
    """0.5·clip((PSNR − 15)/30, 0, 1) + 0.5·SSIM, for a perfectly known forward model."""
    return 0.5 * float(np.clip((psnr - 15) / 30, 0, 1)) + 0.5 * ssim


def blind_score(psnr: float, ssim: float, consistency: float) -> float:
    """0.4·clip((PSNR − 10)/40, 0, 1) + 0.4·SSIM + 0.2·consistency, for a mismatched forward model."""
    return 0.4 * float(np.clip((psnr - 10) / 40, 0, 1)) + 0.4 * ssim + 0.2 * consistency


def recovery_ratio(ideal: float, mismatch: float, calibrated: float) -> float | None:
    """ρ = (III − II)/(I − II) of the PSNRs in dB; None where the gap I − II is at most 0.5 dB."""
    gap = ideal - mismatch
    return (calibrated - mismatch) / gap if gap > 0.5 else None


def _pair(estimate: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    estimate, truth = np.asarray(estimate), np.asarray(truth)
    if estimate.shape != truth.shape:
        raise BadValue(f"the estimate has shape {estimate.shape}, expected {truth.shape}")
    if np.iscomplexobj(estimate) or np.iscomplexobj(truth):
        raise BadValue("metrics are taken on real images; view a complex object as amplitude and phase")
    return estimate.astype(np.float64), truth.astype(np.float64)


def _stack(images: np.ndarray) -> np.ndarray:
    return images.reshape(-1, *images.shape[-2:])
