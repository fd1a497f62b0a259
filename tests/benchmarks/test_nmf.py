"""Factorisation of a sparse spectrum image against scikit-learn: processor time to the same divergence."""

import time

import numpy as np
import pytest
import torch
from pwm_nmf.nmf import Factorisation
from pwm_spectroscopy.stem_edx import StemEDX
from pwm_spectroscopy.xrf import XRF

sklearn = pytest.importorskip("sklearn.decomposition", reason="scikit-learn is not installed")


def divergence(y, mean):
    some = np.where(y > 0, y, 1)
    return float(np.sum(y * np.log(some / np.maximum(mean, 1e-30)) - y + mean, dtype=np.float64))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("steps", [40, 100])
@pytest.mark.parametrize(("kind", "scene", "phases"), [(StemEDX, "boundary", 4), (XRF, "soil", 7)])
def test_time_to_the_divergence_of_scikit_learn(kind, scene, phases, steps):
    """Free spectra, the same number of phases, single precision, one thread; ours ends below theirs."""
    torch.set_num_threads(1)
    problem, _ = kind().simulate(scene)
    y = np.ascontiguousarray(problem.y.reshape(len(problem.y), -1).T)
    start = time.process_time()
    peer = sklearn.NMF(
        phases,
        init="nndsvda",
        solver="mu",
        beta_loss="kullback-leibler",
        max_iter=steps,
        tol=0,
        random_state=0,
    )
    shares = peer.fit_transform(y)
    theirs = time.process_time() - start
    goal = divergence(y, shares @ peer.components_)

    method = Factorisation(spectra="free", phases=phases, tolerance=0.0, iterations=1000)
    next(method.solve(problem, np.random.default_rng(0)))  # compiles
    start = time.process_time()
    for iterate in method.solve(problem, np.random.default_rng(0)):
        if iterate.loss <= goal:
            break
    mine = time.process_time() - start
    print(
        f"{scene}: scikit-learn {theirs:.2f} s to {goal:.0f} in {steps} steps, "
        f"ours {mine:.2f} s to {iterate.loss:.0f}, {theirs / mine:.1f} times faster"
    )
    assert iterate.loss <= goal
    assert mine < theirs / 5
