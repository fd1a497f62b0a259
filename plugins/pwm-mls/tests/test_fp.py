"""Fundamental parameters: absorption of each pixel's own, closure, fractions, and a certified standard."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pwm_mls.absorption import escaped
from pwm_mls.fp import FundamentalParameters, quantify
from pwm_mls.mls import MultipleLeastSquares, uncertainty
from pwm_spectroscopy.assembly import operator_for
from pwm_spectroscopy.instruments import EDXInstrument, XRFInstrument
from pwm_spectroscopy.operator import SpectrumImage
from pwm_spectroscopy.xraydata import attenuation

from pwm_core import Problem, run
from pwm_core.errors import Unsuitable
from pwm_core.testing import checks_for

test_fp_quantify = checks_for("fp-quantify")

DATA = Path(__file__).parents[4] / "shared" / "data"
EDX = ("O", "Al", "Ti", "Fe")
XRF = ("S", "Ca", "Fe", "matrix")


def edx(**more):
    return operator_for(EDX, EDXInstrument(probe_size=0.0, host="TiO2", **more), channels=512, gain=0.02)


def xrf(**more):
    return operator_for(XRF, XRFInstrument(spot_size=0.0, host="SiO2", **more), channels=512, gain=0.04)


def thick(operator, seed=0):
    """Maps so thick that soft lines lose a third or more, in a field of 5 x 5."""
    rng = np.random.default_rng(seed)
    if operator.components == EDX:
        return rng.uniform(5, 100, (4, 5, 5))
    x = rng.uniform(10, 300, (4, 5, 5))
    x[3] = rng.uniform(0.5, 6, (5, 5))
    return x


def absorbed(operator, x):
    """Data with the absorption of each pixel's own composition: one operator after the other."""
    y = np.empty((operator.detector.channels, *x.shape[1:]))
    for at in np.ndindex(*x.shape[1:]):
        y[:, *at] = in_itself(operator, x[:, *at])(x[:, *at][:, None, None])[:, 0, 0]
    return y


def in_itself(operator, amounts):
    emission = operator.emission
    materials = [emission.host if c == "matrix" else c for c in operator.components]
    grams = amounts * [1e-3 if c == "matrix" else 1e-6 for c in operator.components]
    share = grams / grams.sum()

    def depth(energy):
        return sum(s * attenuation(m, float(energy)) for s, m in zip(share, materials, strict=True))

    beam = depth(emission.energy) if emission.depth_in else 0.0
    own = emission.replace(
        depths=np.array([depth(e) for e in emission.energies]) * (np.array(emission.depths) > 0),
        depth_in=beam,
        mass_thickness=float(grams.sum()),
    )
    return SpectrumImage(outer=operator.detector, inner=own @ operator.beam)


def posed(operator, x, y=None):
    y = absorbed(operator, x) if y is None else y
    return Problem(
        y=y, operator=operator, modality="xrf", shape=x.shape, dtype="float64", axes=("component", "y", "x")
    )


def solved(method, problem):
    return run(method, problem, device="cpu", threads=1)


@pytest.mark.parametrize("kind", [edx, xrf])
def test_densities_are_right_where_pixels_absorb_each_in_its_own_way(kind):
    operator = kind()
    x = thick(operator)
    problem = posed(operator, x)
    plain = solved(MultipleLeastSquares(), problem).x
    result = solved(FundamentalParameters(tolerance=1e-6), problem)
    assert abs(plain / x - 1).max() > 0.15
    np.testing.assert_allclose(result.x, x, rtol=3e-3)
    changes = [row["change"] for row in result.history]
    assert all(later < 0.6 * earlier for earlier, later in pairwise(changes)), changes


@pytest.mark.parametrize("kind", [edx, xrf])
def test_a_thin_sample_needs_no_correction(kind):
    operator = kind(mass_thickness=0.0)
    x = 1e-6 * thick(operator)
    problem = posed(operator, x, operator(x))
    np.testing.assert_allclose(solved(FundamentalParameters(), problem).x, x, rtol=2e-4)


def test_calibrated_absorption_holds_for_any_sample():
    operator = edx().at({"emission.absorption_error": 4.0})
    x = thick(operator)
    found = solved(FundamentalParameters(tolerance=1e-6), posed(operator, x)).x
    np.testing.assert_allclose(found, x, rtol=3e-3)


def test_a_host_that_is_no_component_absorbs_beside_the_elements():
    """5 mg/cm² of silica, of which the spectrum shows nothing; traces in it."""
    instrument = XRFInstrument(spot_size=0.0, host="SiO2", mass_thickness=5.0)
    operator = operator_for(("S", "Ca", "Fe"), instrument, channels=512, gain=0.04)
    x = np.random.default_rng(0).uniform(0.5, 1.5, (3, 5, 5))
    found = solved(FundamentalParameters(), posed(operator, x, operator(x))).x
    np.testing.assert_allclose(found, x, rtol=2e-3)


def test_a_known_mass_thickness_takes_the_place_of_an_unknown_dose():
    operator = edx()
    x = thick(operator)
    known = FundamentalParameters(tolerance=1e-7, iterations=30, mass_thickness=float(x.sum(0).mean()))
    found = solved(known, posed(operator, x, 37.0 * absorbed(operator, x))).x
    np.testing.assert_allclose(found, x, rtol=3e-3)


def test_fractions_add_up_and_are_the_shares_in_mass():
    operator = xrf()
    x = thick(operator)
    q = quantify(posed(operator, x), FundamentalParameters(tolerance=1e-6))
    grams = x * np.array([1, 1, 1, 1e3])[:, None, None]
    np.testing.assert_allclose(q.fractions, grams / grams.sum(0), rtol=4e-3)
    assert q.components == XRF
    row = solved(FundamentalParameters(tolerance=1e-6), posed(operator, x)).history[-1]
    whole = grams.sum((1, 2)) / grams.sum()
    assert [row[f"fraction:{e}"] for e in XRF[:3]] == pytest.approx(whole[:3], rel=4e-3)


def test_densities_and_fractions_scatter_as_stated():
    operator = edx()
    x = np.broadcast_to(np.array([20.0, 30, 25, 15])[:, None, None], (4, 24, 24)).copy()
    mean = in_itself(operator, x[:, 0, 0])
    q = quantify(posed(operator, x, mean.sample(x, np.random.default_rng(0))))
    pulls = (q.densities - x) / q.std
    np.testing.assert_allclose(pulls.std((1, 2)), 1, atol=0.15)
    fractions = (q.fractions - x / x.sum(0)) / q.fraction_std
    np.testing.assert_allclose(fractions.std((1, 2)), 1, atol=0.15)


def test_uncertainties_without_absorption_are_those_of_least_squares():
    operator = edx(mass_thickness=0.0)
    x = 1e-3 * thick(operator)
    problem = posed(operator, x, operator.sample(x, np.random.default_rng(0)))
    np.testing.assert_allclose(quantify(problem).std, uncertainty(problem), rtol=1e-2)


def test_the_part_that_leaves_the_sample_has_its_limits():
    chi = np.array([0.0, 1e-6, 1e-3, 1.0, 1e4])
    expected = [1.0, 1 - 5e-7, 0.99950016, 1 - np.exp(-1), 1e-4]
    np.testing.assert_allclose(escaped(chi), expected, rtol=1e-7)


def test_operators_of_another_kind_and_scattered_masks_are_refused():
    operator = edx()
    x = thick(operator)
    problem = posed(operator, x, operator(x))
    mask = np.ones(problem.y.shape, bool)
    mask[3, 2, 1] = False
    with pytest.raises(Unsuitable, match="mask"):
        solved(FundamentalParameters(), problem.replace(mask=mask))
    with pytest.raises(Unsuitable, match="SpectrumImage"):
        solved(FundamentalParameters(), problem.replace(operator=operator.detector @ operator.emission))


@pytest.mark.slow
def test_the_axo_standard_has_its_certified_densities(capsys):
    path = DATA / "xrf" / "axo_std.mda"
    if not path.exists():
        pytest.skip("the AXO standard is not there")
    from pwm_spectroscopy.readers.mda import MDA

    problem = MDA().read(path)
    operator = problem.operator
    result = solved(FundamentalParameters(), problem.replace(dtype="float32"))
    found = dict(
        zip(operator.components, np.median(result.x.reshape(len(operator.components), -1), 1), strict=True)
    )
    off = {e: found[e] / d - 1 for e, d in {"Ca": 1.931, "Fe": 0.504, "Cu": 0.284}.items()}
    with capsys.disabled():
        print("\nAXO:", ", ".join(f"{e} {100 * v:+.1f} %" for e, v in off.items()))
    assert max(abs(v) for v in off.values()) < 0.25
