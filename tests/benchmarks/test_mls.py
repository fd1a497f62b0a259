"""Least squares of spectrum images: against the matrix products that it needs, and against PyMca."""

import time

import numpy as np
import pytest
import torch
from pwm_mls.least_squares import LinearFit
from pwm_mls.mls import MultipleLeastSquares
from pwm_spectroscopy.stem_edx import StemEDX
from pwm_spectroscopy.xrf import XRF

from pwm_core import run

SCENES = [(XRF, "soil"), (StemEDX, "boundary")]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def best(work, rounds=15):
    """The shortest of several times, in ms."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


@pytest.mark.parametrize(("kind", "scene"), SCENES)
def test_all_of_it_costs_less_than_two_of_its_matrix_products(kind, scene):
    """128 x 128 pixels, 1024 channels, single precision: from the problem to the maps."""
    problem, _ = kind().simulate(scene)
    spectra = torch.from_numpy(problem.y).flatten(1)
    extract = torch.from_numpy(LinearFit.of(problem).extract).float()
    ones = torch.ones(spectra.shape[1])
    products = best(lambda: (extract @ spectra, spectra @ ones))
    mine = best(lambda: next(MultipleLeastSquares().solve(problem, np.random.default_rng(0))))
    bounded = best(
        lambda: next(MultipleLeastSquares(nonnegative=True).solve(problem, np.random.default_rng(0))), 5
    )
    print(
        f"{scene}: {mine:.1f} ms, its products {products:.1f} ms, ratio {mine / products:.2f}; "
        f"nnls {bounded:.1f} ms"
    )
    assert mine < 2 * products


@pytest.mark.parametrize(("kind", "scene"), SCENES)
def test_pymca_is_slower(kind, scene):
    """FastXRFLinearFit with its own lines of the same elements, no background to strip, in one process."""
    fast = pytest.importorskip("PyMca5.PyMcaPhysics.xrf.FastXRFLinearFit", reason="PyMca is not installed")
    problem, _ = kind().simulate(scene)
    operator = problem.operator
    fit = fast.FastXRFLinearFit()
    fit.setFitConfiguration(_configuration(fit, operator))
    cube = np.ascontiguousarray(np.moveaxis(problem.y, 0, -1))
    options = {"y": cube, "weight": 0, "refit": 0, "concentrations": 0}
    theirs = best(lambda: fit.fitMultipleSpectra(**options), 3)
    mine = best(lambda: run(MultipleLeastSquares(), problem, device="cpu", threads=1), 5)
    print(f"{scene}: ours {mine:.1f} ms, PyMca {theirs:.1f} ms")
    assert mine < theirs


def _configuration(fit, operator):
    from PyMca5.PyMcaPhysics.xrf import ClassMcaTheory

    configuration = ClassMcaTheory.McaTheory().getStartingConfiguration()
    detector = operator.detector
    configuration["detector"] |= {
        "zero": detector.zero,
        "gain": detector.gain,
        "fixedzero": 1,
        "fixedgain": 1,
    }
    configuration["fit"] |= {"stripflag": 0, "energy": [20.0], "energyweight": [1.0], "energyflag": [1],
                             "energyscatter": [0], "linearfitflag": 1, "scatterflag": 0,
                             "xmin": 20, "xmax": detector.channels - 20, "use_limit": 1}  # fmt: skip
    families = {
        e: "L" if e in ("Ba", "Pb", "Pt") else "K" for e in operator.elements if e not in ("C", "N", "O")
    }
    configuration["peaks"] = families
    return configuration
