"""Where a factorisation starts: least-squares maps, how many phases they hold, and a first guess of these."""

from __future__ import annotations

import numpy as np
from pwm_mls.least_squares import LinearFit

_ABOVE = 1.02  # times the largest eigenvalue that noise alone would have


def unit_noise_maps(fit: LinearFit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps z (component, valid pixel) of about unit white noise, the factor L, and pixel weights.

    z = Lᵀ x̂ / √m, with x̂ the least-squares amounts, GᵀWG = L Lᵀ and m (pixel,) the counts of a pixel over
    the mean: the scaling of Keenan & Kotula (2004, doi:10.1002/sia.1657).
    """
    factor = np.linalg.cholesky(fit.normal)
    amounts = fit.amounts().double().numpy()[:, fit.cube.pixels]
    valid = fit.cube.channels.astype(float)[None]
    totals = fit.cube.product(valid).double().numpy()[0, fit.cube.pixels]
    level = np.sqrt(np.maximum(totals / totals.mean(), 0.1))
    return factor.T @ amounts / level, factor, level


def count_phases(z: np.ndarray) -> int:
    """How many directions of ``z`` (component, pixel) hold more than unit noise (Marčenko & Pastur 1967)."""
    k, n = z.shape
    edge = _ABOVE * (1 + np.sqrt(k / n)) ** 2
    return max(1, int(np.sum(np.linalg.eigvalsh(z @ z.T / n) > edge)))


def nndsvda(maps: np.ndarray, phases: int) -> tuple[np.ndarray, np.ndarray]:
    """W (component, phase) and H (phase, pixel), positive, with W H ≈ ``maps`` (component, pixel).

    Non-negative double singular value decomposition, zeros filled with the mean (Boutsidis & Gallopoulos
    2008, doi:10.1016/j.patcog.2007.09.010). The maps are few, so that their Gram matrix gives the SVD.
    """
    values, left = np.linalg.eigh(maps @ maps.T)
    order = np.argsort(values)[::-1][:phases]
    w, h = np.zeros((len(maps), phases)), np.zeros((phases, maps.shape[1]))
    for j, i in enumerate(order):
        size = np.sqrt(max(values[i], 0.0))
        u = left[:, i] * (1 if left[:, i].sum() >= 0 else -1)
        v = u @ maps / max(size, 1e-300)
        if j == 0:
            w[:, 0], h[0] = np.sqrt(size) * np.abs(u), np.sqrt(size) * np.abs(v)
            continue
        sides = [(np.maximum(s * u, 0), np.maximum(s * v, 0)) for s in (1, -1)]
        a, b = max(sides, key=lambda s: float(np.linalg.norm(s[0]) * np.linalg.norm(s[1])))
        na, nb = np.linalg.norm(a), np.linalg.norm(b)
        scale = np.sqrt(size * na * nb)
        w[:, j], h[j] = scale * a / max(na, 1e-300), scale * b / max(nb, 1e-300)
    return _without_zeros(w), _without_zeros(h)


def filled(a: np.ndarray, least: float) -> np.ndarray:
    """Rows of factors with ``least`` of the mean where they are smaller."""
    return np.maximum(a, least * (float(a.mean()) or 1.0))


def _without_zeros(a: np.ndarray) -> np.ndarray:
    mean = float(a.mean()) or 1.0
    return np.where(a > 1e-6 * mean, a, mean)
