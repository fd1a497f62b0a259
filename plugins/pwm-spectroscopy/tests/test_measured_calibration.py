"""The fit of an instrument to a spectrum, and the elements that are found in one."""

import numpy as np
import pytest
from pwm_spectroscopy.assembly import operator_for
from pwm_spectroscopy.calibration import USUAL, State, at_state, calibrate, columns_at, fitted_amounts
from pwm_spectroscopy.identify import identify
from pwm_spectroscopy.instruments import EDXInstrument, XRFInstrument
from pwm_spectroscopy.measured import problem_from
from pwm_spectroscopy.recording import Recording
from pwm_spectroscopy.remodel import Merge, by_shell, merged
from pwm_spectroscopy.response import Rows
from pwm_spectroscopy.tube import excited_by, tube_spectrum

from pwm_core.errors import BadFile, BadValue

XRF = XRFInstrument(energy=12.0, spot_size=0.0, host="SiO2", mass_thickness=5.0)
BUMPS = [f"continuum-{k}" for k in range(1, 6)]


def model(elements=("Si", "Ca", "Ti", "Fe", "Cu"), channels=900):
    return operator_for([*elements, "matrix", *BUMPS], XRF, channels=channels, zero=1.0, gain=0.0125)


def amounts_for(columns, total=2e6):
    return total / columns.shape[1] / columns.sum(0)


def test_sparse_columns_are_the_operators():
    operator = model()
    dense = operator.columns()
    sparse = Rows.of(operator).columns(1.0, 0.0125, operator.detector.resolution, 900)
    np.testing.assert_allclose(sparse, dense, atol=1e-8 * dense.max())


STATE = State(1.012, 0.01253, 148.0, 0.14, 0.02, 1.5, 0.03, 0.02, 0.25, 8.0)


def test_a_state_becomes_an_operator_with_the_same_columns():
    operator = model()
    columns = columns_at(operator, STATE)
    np.testing.assert_allclose(at_state(operator, STATE).columns(), columns, atol=1e-8 * columns.max())


def test_a_tail_keeps_the_counts():
    operator = operator_for(["Fe"], XRF, channels=1000, zero=0.0, gain=0.0125)
    plain = columns_at(operator, State(0.0, 0.0125, 130.0, thickness=5.0))
    tailed = columns_at(operator, State(0.0, 0.0125, 130.0, tail=0.1, tail_length=0.2, thickness=5.0))
    assert tailed.sum() == pytest.approx(plain.sum(), rel=1e-3)
    energies = 0.0125 * np.arange(1000)
    below = (energies > 5.4) & (energies < 6.0)
    assert tailed[below].sum() > 3 * plain[below].sum()


def test_calibration_recovers_the_instrument():
    operator = model()
    columns = columns_at(operator, STATE)
    amounts = amounts_for(columns)
    spectrum = np.random.default_rng(0).poisson(columns @ amounts)
    found = calibrate(operator, spectrum, (*USUAL, "drift", "doppler", "thickness"))
    assert found.after.reduced_chi2 == pytest.approx(1.0, abs=0.15)
    assert found.before.reduced_chi2 > 10
    assert found.state.zero == pytest.approx(STATE.zero, abs=1e-3)
    assert found.state.gain == pytest.approx(STATE.gain, rel=2e-4)
    assert found.state.resolution == pytest.approx(STATE.resolution, abs=1.5)
    assert found.state.drift == pytest.approx(STATE.drift, abs=3e-3)
    areas = found.amounts[:5] * found.operator.columns()[:, :5].sum(0)
    np.testing.assert_allclose(areas, (amounts * columns.sum(0))[:5], rtol=0.02)


def test_amounts_are_unbiased_at_low_counts():
    columns = model().columns()
    amounts = amounts_for(columns, total=2e4)
    rng = np.random.default_rng(1)
    found = np.mean([fitted_amounts(columns, rng.poisson(columns @ amounts))[0] for _ in range(60)], axis=0)
    np.testing.assert_allclose(found[:5], amounts[:5], rtol=0.05)


@pytest.mark.parametrize(
    ("spectrum", "search", "words"),
    [
        (np.ones(5), USUAL, "900 counts"),
        (np.zeros(900), USUAL, "not all zero"),
        (np.ones(900), ("zerro",), "nothing to calibrate"),
    ],
)
def test_what_cannot_be_calibrated(spectrum, search, words):
    with pytest.raises(BadValue, match=words):
        calibrate(model(), spectrum, search)


def test_elements_are_identified_by_all_their_lines():
    names = [
        f"{e}-K" for e in ["Si", "S", "Cl", "K", "Ca", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn"]
    ]
    names += ["Ba-L", "La-L", "Pb-M", "Mo-L"]
    operator = operator_for([*names, *BUMPS], XRF, channels=900, zero=1.0, gain=0.0125)
    columns, truth = operator.columns(), ["Ca-K", "Fe-K", "La-L", "Cu-K"]
    amounts = np.array(
        [n in truth or n.startswith("continuum") for n in operator.components] / columns.sum(0) * 1e5
    )
    spectrum = np.random.default_rng(2).poisson(columns @ amounts)
    found = identify(columns, operator.components, spectrum, 0.0125)
    assert sorted(found) == ["Ca", "Cu", "Fe", "La"]


def test_subshells_add_up_to_their_family():
    operator = operator_for(["Pt-L", "Pt-M"], EDXInstrument(bremsstrahlung=0.0), channels=1500, gain=0.01)
    apart = by_shell(operator, ["Pt-M"])
    assert apart.components[0] == "Pt-L"
    assert apart.components[1] == "Pt-M5"
    np.testing.assert_allclose(apart.columns()[:, 1:].sum(1), operator.columns()[:, 1], rtol=1e-12)


def test_merged_components_keep_the_fit():
    operator = model()
    columns = operator.columns()
    amounts = amounts_for(columns)
    merges = [Merge(e, (e,)) for e in operator.elements]
    merges += [Merge("matrix", ("matrix",)), Merge("continuum", tuple(BUMPS), counts=True)]
    named = dict(zip(operator.components, amounts, strict=True))
    less, totals = merged(operator, named, merges)
    np.testing.assert_allclose(less.columns() @ list(totals.values()), columns @ amounts, rtol=1e-9)
    assert less.emission.units[-1] == "counts"
    assert less.columns()[:, -1].sum() == pytest.approx(1.0)


def test_a_tube_excites_as_the_sum_of_its_photons():
    tube = tube_spectrum("Rh", 28.0)
    assert tube.photons.sum() == pytest.approx(1.0)
    assert tube.energies.max() < 28.0
    assert any(abs(e - 20.216) < 0.01 for e in tube.energies[-tube.lines :])  # Rh Kα1
    names = ["S-K", "Fe-K", "Sr-K"]
    hard = operator_for(names, XRFInstrument(energy=28.0, spot_size=0.0), channels=1400, gain=0.02)
    ratio = excited_by(hard, tube).columns().sum(0) / hard.columns().sum(0)
    assert ratio[0] > ratio[1] > ratio[2]  # soft photons excite light elements


def simulated(**changes):
    elements = ("Ca", "Fe", "Cu")
    operator = operator_for([*elements, *BUMPS], XRF, channels=900, zero=1.0, gain=0.0125)
    columns = operator.columns()
    amounts = np.array([2.0, 0.5, 0.3, *[20.0] * 5])
    amounts[:3] *= 2e5 / (columns[:, :3] @ amounts[:3]).sum()
    y = np.random.default_rng(3).poisson((columns @ amounts)[:, None, None] / 100, (900, 8, 8))
    facts = {
        "counts": y.astype(np.float32),
        "zero": 1.0,
        "gain": 0.0125,
        "beam_energy": 12.0,
        "host": "SiO2",
        "mass_thickness": 5.0,
        "dose": XRF.photons,
        "solid_angle": XRF.detector.solid_angle,
        "pixel_size": (2.0, 2.0),
        "name": "scan",
    }
    return Recording(**{**facts, **changes}), amounts[:3] / 100


def uniform(problem):
    """Maps of the mean densities, which the operator keeps as its scale."""
    means = problem.operator.emission.scale[:, None, None]
    return np.broadcast_to(means, problem.shape).astype(np.float32)


def test_known_dose_gives_known_densities():
    recording, truth = simulated()
    problem = problem_from(recording, "xrf", refine=False)
    assert set(problem.operator.elements) == {"Ca", "Fe", "Cu"}
    means = dict(zip(problem.operator.components, problem.operator.emission.scale, strict=True))
    np.testing.assert_allclose([means[e] for e in ("Ca", "Fe", "Cu")], truth, rtol=0.03)
    assert problem.pixel_size[1:] == pytest.approx((2e-6, 2e-6))


def test_the_mean_densities_give_the_sum_spectrum():
    problem = problem_from(simulated()[0], "xrf", refine=False)
    expected = problem.operator(uniform(problem)).sum((1, 2))
    assert expected.sum() == pytest.approx(problem.y.sum(), rel=1e-3)


def test_a_certificate_sets_the_scale():
    recording, truth = simulated(dose=None, solid_angle=None)
    certified = dict(zip(("Ca", "Fe", "Cu"), (7 * truth).tolist(), strict=True))
    recording = Recording(**{**vars(recording), "certified": certified})
    problem = problem_from(recording, "xrf", refine=False)
    means = dict(zip(problem.operator.components, problem.operator.emission.scale, strict=True))
    np.testing.assert_allclose([means[e] for e in certified], list(certified.values()), rtol=0.03)
    assert problem.operator(uniform(problem)).sum() == pytest.approx(problem.y.sum(), rel=1e-3)


def test_a_spectrum_without_elements_is_refused():
    flat = np.random.default_rng(4).poisson(5.0, (900, 4, 4)).astype(np.float32)
    with pytest.raises(BadFile, match="name some"):
        problem_from(simulated(counts=flat)[0], "xrf", refine=False)


def test_elements_that_were_named_stay():
    problem = problem_from(simulated(elements=("Ca", "Fe", "Cu", "Ti"))[0], "xrf", refine=False)
    assert problem.operator.elements == ("Ca", "Fe", "Cu", "Ti")
    assert problem.operator.columns()[:, 3].sum() > 0
