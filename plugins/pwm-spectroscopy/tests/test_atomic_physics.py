"""Lines, cross-sections and the silicon detector, against numbers from elsewhere and limiting cases."""

import math

import numpy as np
import pytest
from pwm_spectroscopy.assembly import line_table
from pwm_spectroscopy.instruments import EDXInstrument, SiliconDetector, XRFInstrument, take_off_angle
from pwm_spectroscopy.ionisation import (
    bremsstrahlung,
    casnati,
    ionisation,
    line_production,
    vacancies,
)
from pwm_spectroscopy.lines import element_lines, free_continuum, scatter_lines
from pwm_spectroscopy.silicon import efficiency, escape, width
from pwm_spectroscopy.xraydata import attenuation, composition, transitions, xraylib

from pwm_core.errors import BadValue

# keV: Bearden's measured energies (Rev. Mod. Phys. 39, 78, 1967) of Kα1
KA1 = {"S": 2.30784, "Ti": 4.51084, "Fe": 6.40384, "Cu": 8.04778, "As": 10.54372}
# Scofield's ratios of Kβ to Kα, relativistic Hartree–Fock (Phys. Rev. A 9, 1041, 1974)
KB_TO_KA = {"Ti": 0.1355, "Fe": 0.1391, "Cu": 0.1379, "As": 0.1530}


def thin(**changes):
    return XRFInstrument(mass_thickness=0.0, **changes)


@pytest.mark.parametrize("element", KA1)
def test_k_alpha_lies_where_it_was_measured(element):
    name, energy, relative = line_table(element, thin())[0]
    assert name == f"{element} Kα1"
    assert energy == pytest.approx(KA1[element], abs=0.001)
    assert relative == 1


@pytest.mark.parametrize("element", KB_TO_KA)
def test_k_beta_is_as_strong_as_calculated(element):
    lines = element_lines(element, thin())
    alpha, beta = (sum(x.strength for x in lines if f" K{s}" in x.name) for s in "αβ")
    assert beta / alpha == pytest.approx(KB_TO_KA[element], rel=0.05)


@pytest.mark.parametrize(("element", "expected"), [("S", 0.44), ("Ti", 2.7), ("Fe", 6.8), ("As", 18.7)])
def test_fluorescence_production_at_molybdenum_k_alpha(element, expected):
    (line,) = (x for x in element_lines(element, thin()) if x.name == f"{element} Kα1")
    assert 1e6 * line.strength == pytest.approx(expected, rel=0.02)  # cm²/g


def test_l_and_m_lines_of_lead_overlap_arsenic_and_sulphur():
    table = {name: energy for name, energy, _ in line_table("Pb", XRFInstrument())}
    assert table["Pb Lα1"] - KA1["As"] == pytest.approx(0.0075, abs=0.002)
    assert table["Pb Mα1"] - KA1["S"] == pytest.approx(0.038, abs=0.005)


def test_a_family_alone_is_part_of_the_element():
    everything = {x.name: x.strength for x in element_lines("Pb", thin(), faint=0)}
    parts = [x for family in "KLM" for x in element_lines("Pb", thin(), (family,), faint=0)]
    assert {x.name: x.strength for x in parts} == everything


def test_lines_above_the_excitation_are_absent():
    names = {name.split()[1][0] for name, _, _ in line_table("Mo", XRFInstrument(energy=17.44))}
    assert names == {"L"}
    assert {name.split()[1][0] for name, _, _ in line_table("Mo", XRFInstrument(energy=25.0))} >= {"K", "L"}


def test_radiative_rates_of_each_shell_sum_to_one():
    for z in (22, 56, 82):
        for shell in ("K", "L1", "L3"):
            codes = [t.code for t in transitions() if t.shell == shell]
            assert sum(_rate(z, c) for c in codes) == pytest.approx(1, abs=1e-3)


def _rate(z, code):
    try:
        return xraylib().RadRate(z, code)
    except ValueError:
        return 0.0


def test_slope_of_fluorescence_is_that_of_its_cross_section():
    (line,) = (x for x in element_lines("Fe", thin()) if x.name == "Fe Kα1")
    production = [
        xraylib().CS_FluorLine_Kissel_Cascade(26, xraylib().KL3_LINE, e) for e in (17.40, 17.44, 17.48)
    ]
    slope = (production[2] - production[0]) / 0.08 / production[1] * 17.44
    assert line.slope == pytest.approx(slope, rel=0.01)
    assert -3 < line.slope < -2.5
    at_edge = XRFInstrument(energy=7.1131)  # an edge just above must not tilt the other lines
    assert all(-4 < x.slope < 0 for x in element_lines("Ca", at_edge))


@pytest.mark.parametrize("edge", [1.56, 4.966, 8.979])
def test_casnati_agrees_with_the_relativistic_bethe_formula(edge):
    """Powell's constants b = 0.9, c = 0.65 for K shells: known to follow within about 30 %."""
    for energy in (100.0, 200.0, 300.0):
        beta2 = 1 - (1 + energy / 510.999) ** -2
        speed = 510999 * beta2 / 2  # eV
        log = math.log(0.65 * speed / (1e3 * edge)) - math.log(1 - beta2) - beta2
        bethe = 6.51e-14 * 2 * 0.9 / (speed * 1e3 * edge) * log
        assert casnati(energy, edge, 2) == pytest.approx(bethe, rel=0.3)


def test_casnati_has_the_right_shape():
    energies = np.geomspace(1.01, 40, 200) * 6.0
    sigma = np.array([casnati(e, 6.0, 2) for e in energies])
    assert casnati(5.9, 6.0, 2) == 0 == casnati(6.0, 6.0, 2)
    assert (sigma > 0).all()
    assert 2.5 < energies[sigma.argmax()] / 6.0 < 5  # largest at an overvoltage of a few
    assert casnati(200.0, 6.0, 4) == pytest.approx(2 * casnati(200.0, 6.0, 2))
    bethe = [casnati(e, 1.0, 2) * e / math.log(e) for e in (20.0, 40.0)]  # not yet relativistic: lnU/U
    assert bethe[0] == pytest.approx(bethe[1], rel=0.1)


def test_vacancies_move_down_through_coster_kronig_transitions():
    found = vacancies(56, 200.0)
    own = {s: ionisation(56, s, 200.0) for s in found}
    assert found["K"] == own["K"]
    assert found["L1"] == own["L1"]
    assert found["L2"] == pytest.approx(own["L2"] + 0.19 * own["L1"], rel=0.05)  # f12 of Ba: 0.19
    assert found["L3"] > own["L3"] + 0.2 * own["L1"]


def test_titanium_counts_of_a_thin_film_are_those_expected_of_an_edx_map():
    """8 µg/cm², 6.2e4 electrons, 0.7 sr: 0.035 counts, with the cross-section uncertain by 20 %."""
    k = [t for t in transitions() if t.shell == "K"]
    per_gram = sum(line_production(22, "K", t.code, 200.0) for t in k)
    assert 8e-6 * 6.2e4 * 0.7 / (4 * math.pi) * per_gram == pytest.approx(0.035, rel=0.25)


def test_peak_to_background_of_chromium_is_that_of_a_good_microscope():
    """Fiori's number, Kα counts over background in 10 eV: 3000 to 6000 at 200 kV."""
    k = [t for t in transitions() if t.name.startswith("Kα")]
    peak = sum(line_production(24, "K", t.code, 200.0) for t in k)
    background = bremsstrahlung(24, 200.0, 5.41, EDXInstrument().bremsstrahlung) * 0.01
    assert 3000 < peak / background < 7000


@pytest.mark.parametrize(
    ("energy", "expected"), [(0.525, 62), (1.487, 79), (4.511, 116), (5.895, 130), (10.54, 168), (17.4, 212)]
)
def test_width_of_lines_of_a_130_ev_detector(energy, expected):
    assert 1e3 * width(130.0, energy) == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize(("energy", "expected"), [(2.31, 0.91), (4.51, 0.99), (10.5, 0.95), (17.4, 0.50)])
def test_efficiency_behind_8_um_of_beryllium(energy, expected):
    assert efficiency(SiliconDetector(), energy) == pytest.approx(expected, abs=0.006)


def test_efficiency_is_one_without_losses_and_nothing_without_silicon():
    bare = SiliconDetector(window_thickness=0.0, dead_layer=0.0, thickness=1e4)
    assert efficiency(bare, 5.0) == pytest.approx(1, abs=1e-12)
    thin_crystal = SiliconDetector(window_thickness=0.0, dead_layer=0.0, thickness=1.0)
    assert efficiency(thin_crystal, 30.0) == pytest.approx(attenuation("Si", 30.0) * 2.33e-4, rel=1e-3)


@pytest.mark.parametrize(("energy", "percent"), [(2.308, 1.5), (4.511, 0.67), (6.404, 0.32), (10.54, 0.09)])
def test_escape_fractions(energy, percent):
    assert 100 * escape(energy) == pytest.approx(percent, rel=0.05)


def test_nothing_escapes_below_the_silicon_edge():
    assert escape(1.83) == 0


def test_optical_depth_of_a_cellulose_film():
    """3 mg/cm² at 45°/45°: the values tabulated in the literature on self-absorption."""
    root = math.sqrt(0.5)
    for energy, chi in ((2.308, 1.35), (4.511, 0.19), (6.404, 0.07), (10.54, 0.02)):
        found = 3e-3 * (attenuation("C6H10O5", 17.44) + attenuation("C6H10O5", energy)) / root
        assert found == pytest.approx(chi, rel=0.1)


def test_formulas_are_read_and_nonsense_is_refused():
    fractions = dict(composition("Ca5(PO4)3F"))
    assert sum(fractions.values()) == pytest.approx(1)
    assert fractions[20] == pytest.approx(5 * 40.078 / 504.3, rel=1e-3)
    with pytest.raises(BadValue, match="no chemical formula"):
        composition("Xq2")


def test_scatter_lines_obey_kinematics_and_the_beams_polarisation():
    rayleigh, compton = scatter_lines(XRFInstrument())[:2]
    assert rayleigh.energy == 17.44
    assert compton.energy == pytest.approx(17.44 / (1 + 17.44 / 510.999))
    assert (rayleigh.follow, compton.follow) == (1.0, pytest.approx((compton.energy / 17.44) ** 2))
    full = scatter_lines(XRFInstrument(polarisation=1.0, shelf=0.0))
    none = scatter_lines(XRFInstrument(polarisation=0.0, shelf=0.0))
    assert full[0].strength < 1e-6 * none[0].strength  # no dipole radiates along its own axis
    assert full[1].strength < 0.05 * none[1].strength


def test_the_shelf_takes_its_share_of_the_scatter():
    for shelf in (0.0, 0.2):
        lines = scatter_lines(XRFInstrument(shelf=shelf))
        total = sum(x.strength for x in lines)
        assert sum(x.strength for x in lines if x.continuum) == pytest.approx(shelf * total, rel=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_free_continua_have_one_count_each_and_make_up_a_flat_one(count):
    instrument = XRFInstrument()
    parts = [free_continuum(i, count, (0.0, 20.0), instrument) for i in range(1, count + 1)]
    energies = sorted({x.energy for part in parts for x in part})
    heights = np.zeros((len(energies), count))
    for i, part in enumerate(parts):
        assert sum(x.strength for x in part) == pytest.approx(1)
        for x in part:
            heights[energies.index(x.energy), i] = x.strength
    flat = np.gradient(energies)
    mix, *_ = np.linalg.lstsq(heights, flat, rcond=None)
    assert (heights >= 0).all()
    np.testing.assert_allclose((heights @ mix)[3:-3], flat[3:-3], rtol=0.02)


def test_take_off_angle_follows_the_tilt():
    at = {t: math.degrees(take_off_angle(EDXInstrument(tilt=t))) for t in (-10.0, 0.0, 15.0)}
    assert at == pytest.approx({-10.0: 8.0, 0.0: 18.0, 15.0: 33.0})
    across = EDXInstrument(tilt=15.0, azimuth=90.0)
    assert math.sin(take_off_angle(across)) == pytest.approx(
        math.sin(math.radians(18)) * math.cos(math.radians(15))
    )
