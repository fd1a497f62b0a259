"""The operator of spectrum images: limiting cases, units, derivatives, and what each parameter does."""

import math

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_spectroscopy.assembly import operator_for
from pwm_spectroscopy.instruments import EDXInstrument, SiliconDetector, XRFInstrument
from pwm_spectroscopy.lines import element_lines
from pwm_spectroscopy.silicon import FWHM, efficiency
from pwm_spectroscopy.xraydata import attenuation

from pwm_core.errors import BadValue
from pwm_core.formats import load_problem, save_problem
from pwm_core.problem import Problem

XRF = operator_for(("S", "Ti", "Ba", "Fe", "As", "Pb", "matrix"), XRFInstrument(), channels=512, gain=0.04)
EDX = operator_for(("O", "Al", "Ti", "V", "Fe", "Ba"), EDXInstrument(), channels=512, gain=0.02)
BOTH = pytest.mark.parametrize("operator", [XRF, EDX], ids=["xrf", "edx"])
ELEMENTS = ["Na", "S", "Ca", "Ti", "Fe", "Zn", "As", "Ba", "Au", "Pb"]
INSIDE = {"beam.energy_drift": 0.004, "beam.spot_size": 1.1, "emission.matrix_absorption": 1.1}


def maps(operator, side=6, seed=0):
    return np.random.default_rng(seed).random((len(operator.components), side, side))


def point(operator):
    """All parameters a little off their nominal values."""
    return {k: INSIDE.get(k, v * 1.01 + 0.01 * (v == 0)) for k, v in operator.theta.items()}


@BOTH
def test_prints_as_the_graph_of_its_page(operator):
    assert str(operator) == "M → R → D"
    assert operator.expanded() == "M(beam) → R(emission) → D(detector)"


@BOTH
def test_the_nodes_one_after_the_other_give_the_same_data(operator):
    x = maps(operator)
    step_by_step = operator.detector(operator.emission(operator.beam(x)))
    np.testing.assert_allclose(operator(x), step_by_step, rtol=1e-9)


@BOTH
def test_nothing_gives_nothing_and_columns_are_the_response_to_uniform_maps(operator):
    x = maps(operator)
    assert not operator(0 * x).any()
    uniform = np.broadcast_to(np.arange(1.0, len(x) + 1)[:, None, None], x.shape).copy()
    expected = operator.columns() @ np.arange(1.0, len(x) + 1)
    np.testing.assert_allclose(operator(uniform)[:, 2, 3], expected, rtol=1e-9)


@BOTH
def test_adjoint_passes_the_dot_test(operator):
    x, rng = maps(operator), np.random.default_rng(1)
    y = operator(x)
    v = rng.standard_normal(y.shape)
    assert np.vdot(v, y) == pytest.approx(np.vdot(operator.adjoint(v, x), x), rel=1e-10)


@BOTH
@pytest.mark.parametrize("shape", [(6, 7), (5, 8)])
def test_adjoint_is_that_of_automatic_differentiation(operator, shape):
    x = np.random.default_rng(1).random((len(operator.components), *shape))
    v = np.random.default_rng(2).random(operator(x).shape)
    for theta in ({}, point(operator)):
        automatic = operator.vjp(x, v, theta, wrt=[])[0]
        np.testing.assert_allclose(operator.adjoint(v, x, theta), automatic, rtol=1e-9)


@BOTH
def test_derivatives_to_all_parameters_are_those_of_finite_differences(operator):
    x, at = maps(operator), point(operator)
    v = np.random.default_rng(2).standard_normal(operator(x).shape)
    exact = operator.vjp(x, v, at)[1]
    assert set(exact) == set(operator.parameters)
    for name, value in at.items():
        h = 1e-4 * max(abs(value), 1e-2)
        up, down = (np.vdot(v, operator(x, {**at, name: value + s * h})) for s in (1, -1))
        assert exact[name] == pytest.approx((up - down) / (2 * h), rel=2e-4), name
        forward = np.vdot(v, operator.jvp(x, dtheta={name: 1.0}, theta=at))
        assert forward == pytest.approx(float(exact[name]), rel=1e-6), name


@BOTH
def test_precision_follows_the_object(operator):
    x = maps(operator)
    single = operator(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, operator(x), rtol=1e-4, atol=1e-3)
    assert operator(torch.from_numpy(x)).dtype == torch.float64


@BOTH
def test_survives_a_file(operator, tmp_path):
    x = maps(operator)
    problem = Problem(operator(x), operator, "xrf", x.shape, axes=("component", "y", "x"))
    save_problem(tmp_path / "p.h5", problem)
    again = load_problem(tmp_path / "p.h5").operator
    assert type(again) is type(operator)
    assert again.components == operator.components
    assert again.digest() == operator.digest()
    np.testing.assert_array_equal(again(x), operator(x))
    with h5py.File(tmp_path / "p.h5") as f:
        assert f.attrs["format"]


# -- what a count is ------------------------------------------------------------------------------


def test_counts_of_a_thin_film_are_dose_times_solid_angle_times_cross_section():
    instrument = XRFInstrument(mass_thickness=0.0, incidence=90.0, photons=1e9)
    h = operator_for(("Fe",), instrument, channels=1024)
    expected = sum(
        1e9 * 0.7 / (4 * math.pi) * x.strength * x.efficiency for x in element_lines("Fe", instrument)
    )
    assert h.columns().sum() == pytest.approx(expected, rel=1e-4)
    k_alpha = 1e9 * 0.7 / (4 * math.pi) * 6.82e-6 * efficiency(instrument.detector, 6.404)
    peak = h.columns()[abs(h.energies - 6.404) < 0.01]
    width = 2.3548 * 0.02 / (0.1347 * math.sqrt(2 * math.pi))
    assert peak[0] == pytest.approx(1.51 * k_alpha * width, rel=0.03)  # Kα1 and Kα2


def test_a_slanted_beam_sees_more_of_the_film():
    instrument = XRFInstrument(mass_thickness=0.0, incidence=90.0)
    straight, slanted = (
        operator_for(("Fe",), i).columns().sum() for i in (instrument, instrument.replace(incidence=30.0))
    )
    assert slanted == pytest.approx(2 * straight, rel=1e-9)


def test_a_known_thickness_transmits_what_beer_and_lambert_say():
    """Uniform emission in a slab: the mean of exp(−χ z) over the depth, by quadrature."""
    instrument = XRFInstrument(host="SiO2", mass_thickness=8.0, incidence=60.0, takeoff=30.0)
    thick = operator_for(("Ca",), instrument, channels=1024)
    thin = operator_for(("Ca",), instrument.replace(mass_thickness=0.0), channels=1024)
    z = (np.arange(20000) + 0.5) / 20000
    way_in = attenuation("SiO2", 17.44) / math.sin(math.radians(60))
    way_out = attenuation("SiO2", 3.6917) / math.sin(math.radians(30))
    expected = np.exp(-8e-3 * (way_in + way_out) * z).mean()
    near = abs(thick.energies - 3.69) < 0.03
    assert thick.columns()[near].sum() / thin.columns()[near].sum() == pytest.approx(expected, rel=2e-3)


def test_response_conserves_photons_inside_the_channels():
    for resolution in (125.0, 150.0):
        h = XRF.at({"detector.resolution": resolution}).detector
        like = torch.empty(0, dtype=torch.float64)
        matrix = h.response(like, torch.from_numpy(h.energies.copy()), **h.values()).numpy()
        areas = matrix.sum(0) / (h.efficiency * h.base_solid_angle / (4 * math.pi))
        inside = (h.energies > 2.5) & (h.energies < 19.5)
        np.testing.assert_allclose(areas[inside], 1, rtol=1e-8)


def test_lines_have_the_width_and_place_that_are_asked_for():
    bare = SiliconDetector(escape=False, resolution=140.0)
    h = operator_for(("Mn-K",), XRFInstrument(detector=bare), channels=8192, gain=0.002, zero=0.5)
    spectrum = h.columns()[:, 0]
    near = abs(h.energies - 5.89) < 0.12
    e, w = h.energies[near], spectrum[near]
    assert e[w.argmax()] == pytest.approx(5.8965, abs=0.004)  # Kα1 at 5.8988, pulled by Kα2 at 5.8877
    half = e[w > w.max() / 2]
    assert half[-1] - half[0] == pytest.approx(0.140, abs=0.003)


def test_escape_peaks_lie_below_their_lines():
    with_, without = (
        operator_for(("Ti-K",), XRFInstrument(detector=SiliconDetector(escape=e))).columns()[:, 0]
        for e in (True, False)
    )
    energies = XRF.detector.gain / 2 * np.arange(1024)
    lost = abs(energies - 2.77) < 0.15
    assert with_[lost].sum() / without[abs(energies - 4.51) < 0.25].sum() == pytest.approx(0.0067, rel=0.05)
    assert with_.sum() == pytest.approx(without.sum(), rel=1e-9)


def test_elements_carry_their_own_bremsstrahlung():
    h = operator_for(("C", "Fe", "Pt"), EDXInstrument(mass_thickness=0.0), channels=1024)
    at = abs(h.energies - 4.98) < 0.05  # away from lines of the three
    per_gram = h.columns()[at].mean(0)
    z2m = np.array([6**2 / 12.011, 26**2 / 55.845, 78**2 / 195.084])
    np.testing.assert_allclose(per_gram / per_gram[0], z2m / z2m[0], rtol=2e-3)


# -- what each parameter does ---------------------------------------------------------------------


def change(operator, theta, x=None):
    x = maps(operator) if x is None else x
    return operator(x, theta), operator(x)


def test_excitation_energy_drift_moves_the_scatter_lines():
    moved, still = (XRF.columns(t)[:, -1] for t in ({"beam.energy_drift": 0.02}, {}))
    e = XRF.energies
    near = e > 16.0
    shift = np.average(e[near], weights=moved[near]) - np.average(e[near], weights=still[near])
    assert shift == pytest.approx(0.02 * 0.95, rel=0.03)  # Rayleigh follows by 1, Compton by 0.935


def test_excitation_energy_drift_lowers_cross_sections_by_their_power_law():
    thin = operator_for(("Fe-K",), XRFInstrument(mass_thickness=0.0))
    up, still = (thin.columns(t).sum() for t in ({"beam.energy_drift": 0.02}, {}))
    assert up / still - 1 == pytest.approx(-2.77 * 0.02 / 17.44, rel=0.05)


def test_detector_resolution_widens_lines_by_its_noise():
    fe = operator_for(("Fe-K",), XRFInstrument(), channels=4096, gain=0.005)
    near = abs(fe.energies - 6.4) < 0.3
    e = fe.energies[near]

    def variance(resolution):
        w = fe.columns({"detector.resolution": resolution})[near, 0]
        return np.average((e - np.average(e, weights=w)) ** 2, weights=w)

    assert variance(138.0) - variance(130.0) == pytest.approx((0.138**2 - 0.130**2) / FWHM**2, rel=0.01)


def test_matrix_absorption_multiplies_the_optical_depth():
    s = operator_for(("S-K",), XRFInstrument())
    changed, nominal = (s.columns(t).sum() for t in ({"emission.matrix_absorption": 1.06}, {}))
    chi = 1.347
    mean = [(1 - math.exp(-c)) / c for c in (1.06 * chi, chi)]
    assert changed / nominal == pytest.approx(mean[0] / mean[1], rel=2e-3)


@pytest.mark.parametrize(
    ("operator", "name", "pixel"), [(XRF, "beam.spot_size", 0.5), (EDX, "beam.probe_size", 1.0)]
)
def test_footprint_is_a_gaussian_of_that_width(operator, name, pixel):
    x = np.zeros((len(operator.components), 32, 32))
    x[3, 16, 16] = 1.0
    width = 1.4 if pixel == 0.5 else 3.0
    y = operator(x, {name: width}).sum(0)
    d = np.arange(32) - 16
    across = np.average(d**2, weights=y.sum(0))
    assert across * pixel**2 == pytest.approx((width / FWHM) ** 2, rel=1e-3)
    np.testing.assert_allclose(y.sum(), operator(x, {name: 0.0}).sum(), rtol=1e-9)
    assert (operator(x, {name: 0.0}).sum(0) > 0).sum() == 1


def test_absorption_error_is_in_tenths_of_the_optical_depth():
    o = operator_for(("O",), EDXInstrument(bremsstrahlung=0.0))
    changed, nominal = (o.columns(t).sum() for t in ({"emission.absorption_error": 6.0}, {}))
    chi = attenuation("SrTiO3", 0.5249) * 16.5e-6 / math.sin(math.radians(18))
    mean = [(1 - math.exp(-c)) / c for c in (1.6 * chi, chi)]
    assert changed / nominal == pytest.approx(mean[0] / mean[1], rel=1e-4)


def test_solid_angle_scales_all_counts():
    y, y0 = change(EDX, {"detector.solid_angle": 0.15})
    np.testing.assert_allclose(y, y0 * (0.7 + 0.15) / 0.7, rtol=1e-9)


def test_peak_overlap_widens_all_lines_alike():
    fine = operator_for(("Fe-K",), EDXInstrument(bremsstrahlung=0.0), channels=2048, gain=0.005)
    near = abs(fine.energies - 6.4) < 0.3
    e = fine.energies[near]

    def rms(p):
        w = fine.columns({"detector.peak_overlap": p})[near, 0]
        return np.average((e - np.average(e, weights=w)) ** 2, weights=w) - (13e-3) ** 2 * 0.2215

    assert math.sqrt(rms(1.2) / rms(0.0)) == pytest.approx(1.12, abs=0.002)


def test_bremsstrahlung_grows_by_its_excess_and_lines_do_not():
    columns = [EDX.columns({"emission.bremsstrahlung": b}) for b in (0.0, 0.15)]
    bare = operator_for(EDX.components, EDXInstrument(bremsstrahlung=0.0), channels=512, gain=0.02).columns()
    np.testing.assert_allclose(columns[1] - bare, 1.15 * (columns[0] - bare), rtol=1e-6, atol=1e-12)


@BOTH
def test_dose_scales_and_calibration_moves_the_spectrum(operator):
    x = maps(operator)
    dose = operator.beam.dose
    np.testing.assert_allclose(operator(x, {"beam.dose": 2 * dose}), 2 * operator(x), rtol=1e-9)
    moved = operator(x, {"detector.zero": 2 * operator.detector.gain})
    np.testing.assert_allclose(moved[:-2], operator(x)[2:], rtol=1e-6, atol=1e-9)


def test_pile_up_moves_pairs_to_the_sum_of_their_energies():
    h = operator_for(("Fe-K",), XRFInstrument(shelf=0.0))
    piled = h.replace(outer=h.detector.replace(pile_up=1e-5))
    x = np.full((1, 2, 2), 20.0)
    y0, y = h(x)[:, 0, 0], piled(x)[:, 0, 0]
    total = y0.sum()
    assert not piled.linear
    assert piled.reduce(piled(x)) is None
    assert y.sum() == pytest.approx(total * (1 - 1e-5 * total), rel=1e-6)
    photons = h.energies @ y0
    assert h.energies @ y == pytest.approx(photons, rel=1e-6)
    sums = abs(h.energies - 12.81) < 0.3
    k_alpha = y0[abs(h.energies - 6.4) < 0.3].sum()
    assert y[sums].sum() == pytest.approx(1e-5 * k_alpha**2, rel=0.02)


def test_pile_up_allows_for_the_energy_of_channel_zero():
    kind = {"channels": 2048, "gain": 0.01}
    plain = operator_for(("Fe-K",), XRFInstrument(), **kind)
    offset = operator_for(("Fe-K",), XRFInstrument(), zero=-0.5, **kind)
    peaks = []
    for h in (plain, offset):
        y = h.replace(outer=h.detector.replace(pile_up=1e-5))(np.full((1, 1, 1), 20.0))[:, 0, 0]
        high = h.energies > 12
        peaks.append(h.energies[high][y[high].argmax()])
    assert peaks[0] == pytest.approx(peaks[1], abs=0.011)


# -- components -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ((), "sequence of names"),
        ("Fe", "sequence of names"),
        (("Fe", "Xx"), "no element 'Xx'"),
        (("Fe", "Fe"), "given twice"),
        (("matrix", "Fe"), "before backgrounds"),
        (("Pb-N",), "a family of lines is K, L or M"),
        (("Fe", "continuum-2"), "without continuum-1"),
        (("Fe", "continuum-x"), "continuum-1"),
        (("H", "Fe"), "emits no line"),
    ],
)
def test_components_that_cannot_be_are_refused(components, message):
    with pytest.raises(BadValue, match=message):
        operator_for(components, XRFInstrument())


def test_a_matrix_is_refused_under_electrons_and_a_hidden_sample_too():
    with pytest.raises(BadValue, match="bremsstrahlung comes with the elements"):
        operator_for(("Fe", "matrix"), EDXInstrument())
    with pytest.raises(BadValue, match="hides itself"):
        operator_for(("Fe",), EDXInstrument(tilt=-20.0))


def test_a_free_continuum_is_in_counts():
    h = operator_for(("Fe", "continuum"), XRFInstrument(photons=12345.0), channels=1024)
    column = h.columns()[:, 1]
    assert column.sum() == pytest.approx(1, rel=0.03)
    np.testing.assert_allclose(column[10:-10], column.mean(), rtol=0.02)
    assert h.elements == ("Fe",)


@settings(max_examples=12, deadline=None)
@given(
    elements=st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=4, unique=True),
    energy=st.floats(12.5, 20.0),
    mass=st.floats(0.0, 50.0),
)
def test_columns_are_never_negative_and_absorption_never_adds(elements, energy, mass):
    instrument = XRFInstrument(energy=energy, mass_thickness=mass)
    thick = operator_for(elements, instrument, channels=256, gain=0.09).columns()
    bare = operator_for(elements, instrument.replace(mass_thickness=0.0), channels=256, gain=0.09).columns()
    assert np.isfinite(thick).all()
    assert (thick >= 0).all()
    assert (thick <= bare * (1 + 1e-12)).all()
    assert (thick.sum(0) > 0).all()
