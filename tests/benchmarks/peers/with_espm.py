"""espm: factorisation of Kullback–Leibler divergence, with the spectra of the components given or free."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from espm.estimators import SmoothNMF


def factorised(
    counts: np.ndarray, columns: np.ndarray | None, amounts: np.ndarray, shares: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Amounts W (component, phase) and shares H (phase, pixel) after some steps from those given.

    ``counts`` (channel, pixel) ≈ G W H with ``columns`` G (channel, component), or W H without them; no
    smoothness, no sums that must be one. It divides zero by zero in channels where G is zero or nothing was
    counted: leave these out.
    """
    kind = counts.dtype  # single precision is its faster way
    given = None if columns is None else columns.astype(kind, "C")
    method = SmoothNMF(n_components=amounts.shape[1], G=given, max_iter=steps, tol=0,
                       no_stop_criterion=True, simplex_W=False, simplex_H=False, verbose=0)  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        method.fit_transform(counts, W=amounts.astype(kind, "C"), H=shares.astype(kind, "C"))
    return method.W_, method.H_
