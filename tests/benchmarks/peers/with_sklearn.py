"""scikit-learn: multiplicative updates of the Kullback–Leibler divergence, dense and sparse."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from sklearn.decomposition import NMF


def factorised(
    counts: np.ndarray, phases: int, steps: int, start: tuple[np.ndarray, np.ndarray] | None, sparse: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (channel, phase) and shares (phase, pixel) of ``counts`` (channel, pixel) after some steps.

    ``start`` is of the same kind; without one it is scikit-learn's NNDSVDa.
    """
    y = csr_array(counts.T) if sparse else np.ascontiguousarray(counts.T)  # three times faster than a view
    init = "nndsvda" if start is None else "custom"
    method = NMF(phases, init=init, solver="mu", beta_loss="kullback-leibler", max_iter=steps, tol=0,
                 random_state=0)  # fmt: skip
    if start is None:
        shares = method.fit_transform(y)
    else:
        spectra, first = (np.array(a.T, counts.dtype, order="C") for a in start)  # it works in place
        shares = method.fit_transform(y, W=first, H=spectra)
    return method.components_.T, shares.T
