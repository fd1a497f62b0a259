"""Factorisation of a sparse spectrum image against scikit-learn and espm: time to the same divergence.

    python -m pytest tests/benchmarks/test_nmf.py -s

prints a table for each scene and peer. Times are processor time of one thread, programs taking turns; the
peers get single precision, their faster way. Our time contains finding our start, and where it says "our
start" the peers are given that for nothing; the last column leaves it out.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pwm_nmf.nmf import Factorisation
from pwm_spectroscopy.stem_edx import StemEDX
from pwm_spectroscopy.xrf import XRF

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

from turns import one_thread, processor_time, show

SCENES = [(StemEDX, "boundary", 4), (XRF, "soil", 7)]
ROUNDS = 3


@pytest.fixture(autouse=True)
def single():
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    with one_thread():
        yield


@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
@pytest.mark.parametrize("steps", [40, 100])
@pytest.mark.parametrize(("kind", "scene", "phases"), SCENES)
def test_free_spectra_against_scikit_learn(kind, scene, phases, steps):
    pytest.importorskip("sklearn.decomposition", reason="scikit-learn is not installed")
    from peers.with_sklearn import factorised

    problem, _ = kind().simulate(scene)
    method = Factorisation(spectra="free", phases=phases, tolerance=0.0, iterations=1000)
    engine, _ = method._engine(problem)
    start = engine.phases.spectra, engine.shares.T
    y = counts(problem)
    peers = {
        "scikit-learn, dense, its start": lambda: factorised(y, phases, steps, None, sparse=False),
        "scikit-learn, dense, our start": lambda: factorised(y, phases, steps, start, sparse=False),
        "scikit-learn, sparse, our start": lambda: factorised(y, phases, steps, start, sparse=True),
    }
    assert min(compared(problem, method, peers, steps)) > 5


@pytest.mark.parametrize("spectra", ["physics", "free"])
@pytest.mark.parametrize(("kind", "scene", "phases"), SCENES)
def test_against_espm(kind, scene, phases, spectra):
    pytest.importorskip("espm.estimators", reason="espm is not installed")
    from peers.with_espm import factorised

    problem, _ = kind().simulate(scene)
    method = Factorisation(spectra=spectra, phases=phases, tolerance=0.0, iterations=1000)
    engine, _ = method._engine(problem)
    first, shares, y, steps = engine.phases.spectra, engine.shares.T, counts(problem), 40
    seen = y.any(1) if spectra == "free" else engine.phases.columns.sum(1) > 0
    assert not y[~seen].any()

    def espm():
        if spectra == "free":
            w, h = factorised(y[seen], None, first[seen], shares, steps)
        else:
            columns = engine.phases.columns[seen]
            w, h = factorised(y[seen], columns, engine.phases.amounts, shares, steps)
            w = columns @ w
        found = np.zeros((len(y), phases), w.dtype)
        found[seen] = w
        return found, h

    assert min(compared(problem, method, {"espm, our start": espm}, steps)) > 5


def counts(problem):
    """The data as (channel, pixel)."""
    return np.ascontiguousarray(problem.y.reshape(len(problem.y), -1))


def compared(problem, method, peers, steps):
    """The median ratios of each peer's time to ours, printed with all else.

    ``peers`` gives for a label what returns the peer's spectra (channel, phase) and shares (phase, pixel).
    """
    next(method.solve(problem, np.random.default_rng(0)))  # compiles
    rows, ratios = [], []
    for label, peer in peers.items():
        found = []
        for _ in range(ROUNDS):
            start = time.process_time()
            spectra, shares = peer()
            theirs = time.process_time() - start
            goal = divergence(counts(problem), np.asarray(spectra, np.float32) @ shares)
            mine = processor_time(lambda goal=goal: reach(goal, problem, method))
            begin = processor_time(lambda: method._engine(problem))
            found.append((theirs, mine, theirs / mine, theirs / (mine - begin)))
        theirs, mine, ratio, alone = np.median(found, axis=0)
        rows.append((label, f"{theirs:.2f}", f"{goal:.0f}", f"{mine:.2f}", f"{ratio:.1f}", f"{alone:.1f}"))
        ratios.append(ratio)
    show(
        f"{problem.modality} {problem.name}, {method.phases} phases, {method.spectra} spectra, {steps} steps",
        ("peer", "its time, s", "divergence", "pwm nmf, s", "ratio", "steps alone"),
        rows,
    )
    return ratios


def reach(goal, problem, method):
    """Solve until the divergence is no higher than ``goal``."""
    for iterate in method.solve(problem, np.random.default_rng(0)):
        if iterate.loss <= goal:
            return
    pytest.fail(f"ours ends at {iterate.loss:.0f}, above {goal:.0f}")


def divergence(y, mean):
    some = np.where(y > 0, y, 1)
    return float(np.sum(y * np.log(some / np.maximum(mean, 1e-30)) - y + mean, dtype=np.float64))
