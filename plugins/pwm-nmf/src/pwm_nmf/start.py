"""Where a factorisation starts: least-squares maps, how many phases they hold, and a first guess of these."""

from __future__ import annotations

import numpy as np
from pwm_mls.least_squares import LinearFit

_ABOVE = 1.02  # times the largest eigenvalue that noise alone would have
_LEAST = 0.01  # of the mean: updates that multiply never leave a zero
_RACE, _MORE = 30, 30  # steps of all starts, then of the best one
_TINY = 1e-30

Factors = tuple[np.ndarray, np.ndarray]


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


def likeliest(maps: np.ndarray, deviation: np.ndarray, counts: np.ndarray, first: Factors) -> Factors:
    """W (component, phase) and H (phase, pixel) with W H ≈ ``maps`` (component, pixel) at least divergence.

    Scaled so that their variance, ``deviation`` (component,) squared, is their mean, maps are like counts of
    the components, and their own factorisation, which takes next to no time, ends close to that of the data.
    ``counts`` (component,) of a unit bound the scale. Least squares in units of the noise and the likelihood
    of counts have different minima if phases are few, so the best of several starts is taken: the ``first``,
    and NNDSVDa of what was scaled wholly and half.
    """
    positive, phases = np.maximum(maps, 0), first[0].shape[1]
    scale = np.clip(positive.mean(1) / deviation**2, 1e-3 * counts, counts)[:, None]
    starts = [(first[0] * scale, first[1])]
    for part in (scale, np.sqrt(scale)):
        w, h = nndsvda(positive * part, phases)
        starts.append((w * scale / part, h))
    y = (positive * scale).astype(np.float32)
    raced = [_descended(y, start, _RACE) for start in starts]
    best = min(raced, key=lambda factors: _divergence(y, factors))
    w, h = _descended(y, best, _MORE)
    return w / scale, h


def _descended(y: np.ndarray, factors: Factors, steps: int) -> Factors:
    """Lee & Seung's updates for the Kullback–Leibler divergence."""
    w, h = (filled(a).astype(y.dtype) for a in factors)
    mean = np.empty_like(y)

    def ratio() -> np.ndarray:
        return np.divide(y, np.maximum(np.matmul(w, h, out=mean), _TINY, out=mean), out=mean)

    for _ in range(steps):
        h *= (w.T @ ratio()) / np.maximum(w.sum(0), _TINY)[:, None]
        w *= (ratio() @ h.T) / np.maximum(h.sum(1), _TINY)
    return w, h


def _divergence(y: np.ndarray, factors: Factors) -> float:
    """Up to what does not depend on the factors."""
    mean = np.maximum(factors[0] @ factors[1], _TINY)
    return float(np.sum(mean - y * np.log(mean), dtype=np.float64))


def filled(a: np.ndarray) -> np.ndarray:
    """Factors with a hundredth of the mean where they are smaller."""
    return np.maximum(a, _LEAST * (float(a.mean()) or 1.0))


def _without_zeros(a: np.ndarray) -> np.ndarray:
    mean = float(a.mean()) or 1.0
    return np.where(a > 1e-6 * mean, a, mean)
