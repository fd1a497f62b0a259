"""Least squares of spectrum images: against the matrix products that it needs, and against PyMca.

    python -m pytest tests/benchmarks/test_mls.py -s

prints a table for each dose. Times are processor time of one thread, programs taking turns.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from pwm_mls.least_squares import LinearFit
from pwm_mls.mls import MultipleLeastSquares
from pwm_spectroscopy.stem_edx import StemEDX
from pwm_spectroscopy.xrf import XRF

from pwm_core import run

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

from element_maps import ELEMENTS, SixElements, six_elements
from turns import in_turns, one_thread, ratio, show

SCENES = [(SixElements, "paint"), (XRF, "soil"), (StemEDX, "boundary")]
ROUNDS = 5


@pytest.fixture
def one_thread_of_torch():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread_of_torch")
@pytest.mark.parametrize(("kind", "scene"), SCENES)
def test_all_of_it_costs_less_than_two_of_its_matrix_products(kind, scene):
    """128 x 128 pixels, 1024 channels, 6 to 8 components, single precision: from the problem to the maps."""
    problem, _ = kind().simulate(scene)
    spectra = torch.from_numpy(problem.y).flatten(1)
    extract = torch.from_numpy(LinearFit.of(problem).extract).float()
    ones = torch.ones(spectra.shape[1])

    def solved(**settings):
        return next(MultipleLeastSquares(**settings).solve(problem, np.random.default_rng(0)))

    times = in_turns(
        {
            "products": lambda: (extract @ spectra, spectra @ ones),
            "mls": solved,
            "nonnegative": lambda: solved(nonnegative=True),
        },
        rounds=15,
    )
    ms = {name: 1e3 * np.median(s) for name, s in times.items()}
    found = ratio(times, "mls", "products")
    print(
        f"{problem.modality} {scene}: {ms['mls']:.1f} ms, its products {ms['products']:.1f} ms, "
        f"ratio {found:.2f}; non-negative {ms['nonnegative']:.1f} ms"
    )
    assert found < 2


@pytest.mark.parametrize("photons", [2e8, 1e10])
def test_faster_than_pymca_and_at_least_as_good(photons):
    """Each with its own lines and background, ours with those that the data were simulated with.

    Ours knows the spectra of the elements beforehand, so PyMca's time for them is left out of the ratios.
    """
    pytest.importorskip("PyMca5.PyMcaPhysics.xrf.FastXRFLinearFit", reason="PyMca is not installed")
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    from peers.with_pymca import VARIANTS, FastFit

    spectra = six_elements(photons)
    problem = spectra.problem
    instrument, _, _ = SixElements(photons=photons).setting(SixElements.samples[0])
    cube = np.ascontiguousarray(np.moveaxis(problem.y, 0, -1))  # as PyMca likes it best

    def ours(**settings):
        return np.asarray(run(MultipleLeastSquares(**settings), problem, device="cpu", threads=1).x)

    methods = {"pwm mls": ours, "pwm mls, non-negative": lambda: ours(nonnegative=True)}
    fits = {variant: FastFit(variant, problem.operator, instrument) for variant in VARIANTS}
    methods |= {variant: partial(fit, cube) for variant, fit in fits.items()}
    with one_thread():
        times = in_turns(methods, ROUNDS)
    lines = {label: np.zeros(ROUNDS) for label in methods}
    lines |= {variant: np.array(fit.fit.lines[1:]) for variant, fit in fits.items()}
    fitting = {label: times[label] - lines[label] for label in methods}
    quality = {label: spectra.quality(method()[: len(ELEMENTS)]) for label, method in methods.items()}
    show(
        f"{len(ELEMENTS)} elements, 128 x 128 x 1024, {problem.y.sum(0).mean():.0f} counts a pixel",
        ("method", "ms", "of it lines", "/ pwm mls", "PSNR, dB", "correlation"),
        [
            (label, f"{1e3 * np.median(times[label]):.1f}", f"{1e3 * np.median(lines[label]):.1f}",
             f"{ratio(fitting, label, 'pwm mls'):.1f}", f"{psnr:.2f}", f"{correlation:.4f}")
            for label, (psnr, correlation) in quality.items()
        ],
    )  # fmt: skip
    for variant in VARIANTS:
        assert ratio(fitting, variant, "pwm mls") > 1
        assert quality[variant][0] <= quality["pwm mls"][0]
