"""Non-negative least squares of many right-hand sides at once, by block principal pivoting."""

from __future__ import annotations

import numpy as np
import torch

_EXCHANGES = 3  # full exchanges without progress before single ones
_ROUNDS = 100  # far more than it takes, unless rounding errors decide about signs
_TINY = 1e-12  # relative: what counts as negative
_BATCH = 1 << 15


def nonnegative(normal: np.ndarray, right: np.ndarray) -> torch.Tensor:
    """argmin over x ≥ 0 of ½ xᵀHx − bᵀx for each row b of ``right`` (problem, unknown).

    H is ``normal``, positive definite: one for all problems (unknown, unknown) or one for each
    (problem, unknown, unknown). Block principal pivoting (Kim & Park 2011, doi:10.1137/110821172), which
    ends at the exact solution; all problems are pivoted together.
    """
    found = [
        _pivoted(normal if normal.ndim == 2 else normal[a : a + _BATCH], right[a : a + _BATCH])
        for a in range(0, len(right), _BATCH)
    ]
    return torch.from_numpy(np.concatenate(found)) if found else torch.zeros(right.shape, dtype=torch.float64)


def _pivoted(normal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """In units in which the diagonal of H is one, so that one tolerance suits all unknowns."""
    size = np.sqrt(np.diagonal(normal, axis1=-2, axis2=-1))
    h = normal / (size[..., :, None] * size[..., None, :])
    b = right / size
    n, k = b.shape
    passive = np.ones((n, k), bool)
    x, slope = _solved(h, b, passive), np.zeros((n, k))
    wrong = x < -_TINY * _scale(b)
    best, chances = np.full(n, k + 1), np.full(n, _EXCHANGES)
    for _ in range(_ROUNDS):
        open_ = np.flatnonzero(wrong.any(1))
        if not open_.size:
            break
        count = wrong[open_].sum(1)
        better = count < best[open_]
        chances[open_] = np.where(better, _EXCHANGES, chances[open_] - 1)
        best[open_] = np.minimum(count, best[open_])
        swap = np.where((chances[open_] >= 0)[:, None], wrong[open_], _last_only(wrong[open_]))
        passive[open_] ^= swap
        own = h if h.ndim == 2 else h[open_]
        x[open_] = _solved(own, b[open_], passive[open_])
        slope[open_] = _times(own, x[open_]) - b[open_]
        size_ = _TINY * _scale(b[open_])
        wrong[open_] = np.where(passive[open_], x[open_] < -size_, slope[open_] < -size_)
    x = np.where(passive, np.maximum(x, 0.0), 0.0)
    for i in np.flatnonzero(wrong.any(1)):
        x[i] = _active_set(h if h.ndim == 2 else h[i], b[i])
    return x / size


def _active_set(h: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One problem that rounding errors keep from ending, by Lawson & Hanson's method."""
    from scipy.optimize import nnls

    values, vectors = np.linalg.eigh(h)
    root = np.sqrt(np.maximum(values, 1e-15 * values[-1]))
    return np.asarray(nnls(root[:, None] * vectors.T, (vectors.T @ b) / root)[0])


def _solved(h: np.ndarray, b: np.ndarray, passive: np.ndarray) -> np.ndarray:
    """Hx = b in the passive unknowns, the others zero."""
    if h.ndim == 2 and passive.all():
        return np.linalg.solve(h, b.T).T
    both = passive[:, :, None] & passive[:, None, :]
    k = b.shape[1]
    system = np.where(both, h, np.eye(k))
    return np.linalg.solve(system, np.where(passive, b, 0.0)[..., None])[..., 0]


def _times(h: np.ndarray, x: np.ndarray) -> np.ndarray:
    return x @ h if h.ndim == 2 else np.einsum("nij,nj->ni", h, x)


def _scale(b: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(b).max(1, keepdims=True), 1e-300)


def _last_only(wrong: np.ndarray) -> np.ndarray:
    """Only the last wrong unknown of each problem: the rule that cannot cycle."""
    last = wrong.shape[1] - 1 - np.argmax(wrong[:, ::-1], axis=1)
    return np.arange(wrong.shape[1]) == last[:, None]
