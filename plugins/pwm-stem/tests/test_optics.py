"""The probe: wavelength, transfer function and width against independent numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_stem.optics import FWHM, Lens, probe_profile, probe_width, wavelength

from pwm_core.errors import BadValue

ZERO = torch.zeros((), dtype=torch.float64)
SHARP = {"c3": 0.0, "focal_spread": 0.0}


@pytest.mark.parametrize(("kilovolt", "picometre"), [(60, 4.866), (80, 4.176), (200, 2.508), (300, 1.969)])
def test_wavelength_of_relativistic_electrons(kilovolt, picometre):
    assert 100 * wavelength(kilovolt) == pytest.approx(picometre, abs=6e-4)


@pytest.mark.parametrize(
    ("kilovolt", "mrad", "width"), [(60, 30, 0.99), (200, 21, 0.83), (200, 30, 0.72), (300, 30, 0.69)]
)
def test_probe_width_is_the_published_one(kilovolt, mrad, width):
    lens = Lens(voltage=kilovolt, convergence=mrad, source_size=0.6, **SHARP)
    assert probe_width(lens) == pytest.approx(width, abs=0.006)
    assert 0.002 < probe_width(lens) - probe_width(lens, angle=0.5) < 0.013
    assert 0.055 < probe_width(lens, size=0.1) - probe_width(lens) < 0.095


def test_transfer_function_of_a_perfect_lens_is_that_of_two_discs():
    lens = Lens(**SHARP)
    s = torch.linspace(0, 1.2, 200, dtype=torch.float64)
    expected = 2 / np.pi * (torch.arccos(s.clamp(max=1)) - s * (1 - s**2).clamp(min=0).sqrt())
    got = lens.transfer(s * lens.cutoff, ZERO - lens.source_size, ZERO)
    assert (got - expected).abs().max() < 1e-6


@pytest.mark.parametrize(
    "lens",
    [
        Lens(),
        Lens(defocus=5.0, c3=2.0, c5=1.0, focal_spread=4.0),
        Lens(convergence=10.0, c3=1200.0, defocus=60.0, focal_spread=8.0),
    ],
)
def test_aberrated_transfer_function_equals_that_of_the_wave_in_the_aperture(lens):
    """Independently: the aberrated aperture transformed, squared, transformed back; foci summed up."""
    box, n = 60.0, 512
    k = np.fft.fftfreq(n, box / n)
    angle = lens.wavelength * np.hypot(k[:, None], k)
    aperture = np.sqrt(np.clip((1e-3 * lens.convergence - angle) / lens.wavelength * box + 0.5, 0, 1))
    foci, weights = np.polynomial.hermite_e.hermegauss(9)
    power = np.zeros((n, n))
    for focus, weight in zip(foci, weights, strict=True):
        defocus = 10 * (lens.defocus + lens.focal_spread * focus)
        path = -defocus * angle**2 / 2 + 1e4 * lens.c3 * angle**4 / 4 + 1e7 * lens.c5 * angle**6 / 6
        power += weight * np.abs(np.fft.ifft2(aperture * np.exp(-2j * np.pi / lens.wavelength * path))) ** 2
    reference = np.fft.fft(power.sum(0)).real
    got = lens.transfer(torch.tensor(np.abs(k)), ZERO - lens.source_size, ZERO).numpy()
    np.testing.assert_allclose(
        got, reference / reference[0], atol=0.6 / (lens.cutoff * box)
    )  # its edge: a pixel


@settings(max_examples=20, deadline=None)
@given(
    st.floats(60, 300),
    st.floats(8, 35),
    st.floats(0.3, 2),
    st.floats(-20, 20),
    st.floats(0, 5),
    st.floats(-0.1, 0.23),
)
def test_probe_is_normalised_and_no_frequency_gains(voltage, angle, source, defocus, spread, size):
    lens = Lens(voltage=voltage, convergence=angle, source_size=source, defocus=defocus, focal_spread=spread)
    f = torch.linspace(0, 2 * lens.cutoff, 400, dtype=torch.float64)
    h = lens.transfer(f, ZERO + size, ZERO)
    assert float(h[0]) == pytest.approx(1, abs=1e-6)
    assert float(h.abs().max()) <= 1 + 1e-6
    assert float(h[f > lens.cutoff * 1.001].abs().max()) == 0


def test_profile_integrates_to_one():
    r = np.linspace(0, 60, 20001)
    profile = probe_profile(Lens(), r)
    assert np.trapezoid(2 * np.pi * r * profile, r) == pytest.approx(1, abs=0.01)  # tails fall as r⁻³
    assert profile.min() > -1e-4 * profile.max()


@pytest.mark.parametrize("lens", [Lens(), Lens(defocus=5.0, c3=2.0, focal_spread=4.0)])
@pytest.mark.parametrize("which", ["size", "angle"])
def test_derivatives_of_the_transfer_function_are_those_of_finite_differences(lens, which):
    f = torch.linspace(0.05, 0.95, 40, dtype=torch.float64) * lens.cutoff
    at = {"size": ZERO + 0.05, "angle": ZERO + 0.3}

    def value(change):
        return lens.transfer(f, **{**at, which: at[which] + change})

    exact = torch.autograd.functional.jacobian(value, ZERO)
    step = 1e-3
    slope = (value(step) - value(-step)) / (2 * step)
    assert torch.allclose(exact, slope, atol=2e-3 * float(slope.abs().max()))


def test_source_size_is_a_gaussian_of_that_width():
    lens = Lens(source_size=0.9)
    f = torch.linspace(0, 0.9 * lens.cutoff, 30, dtype=torch.float64)
    ratio = lens.transfer(f, ZERO + 0.2, ZERO) / lens.transfer(f, ZERO, ZERO)
    added = ((0.9 + 0.2) ** 2 - 0.9**2) / FWHM**2
    assert torch.allclose(ratio, torch.exp(-2 * np.pi**2 * added * f**2), rtol=1e-6)


def test_an_impossible_lens_is_refused():
    with pytest.raises(BadValue, match="convergence"):
        Lens(convergence=-3.0)
