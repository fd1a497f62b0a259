"""W and Λ: dispersion and spectral selection, and the coded spectral imager that they make."""

from __future__ import annotations

import numpy as np
import pytest

from pwm_core.errors import BadValue
from pwm_core.primitives import Accumulate, Disperse, Modulate, Passband, Select

RNG = np.random.default_rng(7)
BANDS = np.array([500.0, 510.0, 520.0])


def _smooth(bands: int, n: int) -> np.ndarray:
    r = np.arange(n) - n / 2
    return np.stack([np.exp(-((r[:, None] + b) ** 2 + r**2) / 8) for b in range(bands)])


def test_whole_pixel_shifts_move_the_bands():
    x = RNG.random((3, 4, 6))
    y = Disperse(slope=0.1, wavelengths=BANDS, margin=2)(x)
    assert y.shape == (3, 4, 8)
    for b in range(3):
        np.testing.assert_allclose(y[b, :, b : b + 6], x[b], atol=1e-13)
    assert y.sum() == pytest.approx(x.sum())


def test_sub_pixel_shifts_move_the_centre_of_mass_by_the_dispersion():
    x = _smooth(3, 32)
    y = Disperse(slope=0.07, curvature=0.003, wavelengths=BANDS, reference=510.0, axis=-2)(x)
    rows = np.arange(32)[:, None]
    moved = (y * rows).sum((1, 2)) / y.sum((1, 2)) - (x * rows).sum((1, 2)) / x.sum((1, 2))
    np.testing.assert_allclose(moved, [-0.4, 0.0, 1.0], atol=1e-6)


def test_opposite_slopes_undo_each_other():
    x, node = RNG.random((3, 4, 7)), Disperse(wavelengths=BANDS, name="w")
    np.testing.assert_allclose(node(node(x, {"w.slope": 0.123}), {"w.slope": -0.123}), x, atol=1e-13)


def test_mask_prism_and_sum_make_a_coded_spectral_imager():
    mask, x = RNG.random((4, 6)) < 0.5, RNG.random((3, 4, 6))
    imager = (
        Accumulate(label="λ")
        @ Disperse(slope=0.1, wavelengths=BANDS, margin=2, label="α")
        @ Modulate(mask=mask, label="code")
    )
    expected = np.zeros((4, 8))
    for b in range(3):
        expected[:, b : b + 6] += mask * x[b]
    np.testing.assert_allclose(imager(x), expected, atol=1e-13)
    assert str(imager) == "M(code) → W(α) → Σ_λ"


def test_a_line_stack_turns_element_maps_into_spectra():
    lines, maps = RNG.random((50, 3)), RNG.random((3, 4, 5))
    np.testing.assert_allclose(Select(matrix=lines)(maps), np.einsum("ej,jyx->eyx", lines, maps))
    np.testing.assert_allclose(Select(matrix=lines, axis=-1)(maps.T), np.einsum("ej,xyj->xye", lines, maps.T))
    spectra = RNG.random((50, 4, 5))
    np.testing.assert_allclose(
        Select(matrix=lines).adjoint(spectra, maps), np.einsum("ej,eyx->jyx", lines, spectra)
    )


def test_passband_is_one_at_its_centre_and_its_width_is_an_rms():
    energies = np.linspace(0, 4, 401)
    passed = Passband(centre=2.0, width=0.3, energies=energies)(np.ones((401, 1, 1)))[:, 0, 0]
    assert passed[200] == 1.0
    assert np.sqrt((passed * (energies - 2) ** 2).sum() / passed.sum()) == pytest.approx(0.3, rel=1e-6)


def test_a_line_selected_by_energy_changes_with_the_centre():
    energies = np.linspace(0, 4, 41)
    node, x = Passband(centre=2.0, width=0.3, energies=energies, name="filter"), np.zeros((41, 1, 1))
    x[23] = 1
    assert node(x, {"filter.centre": 2.3}).sum() > node(x).sum()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Select(matrix=np.ones(3)), "2 axes"),
        (lambda: Select(matrix=np.ones((3, 3)), axis=0), "from the end"),
        (lambda: Select(matrix=np.ones((3, 4)))(np.ones((3, 2, 2))), "4 elements along axis -3"),
        (lambda: Select(matrix=np.ones((3, 4)))(np.ones((4, 2))), "4 elements along axis -3"),
        (lambda: Passband(energies=np.ones(3), width=0.0), "width"),
        (lambda: Disperse(wavelengths=BANDS, axis=-3), "axis"),
        (lambda: Disperse(wavelengths=BANDS, margin=-1), "margin"),
        (lambda: Disperse(wavelengths=BANDS)(np.ones((2, 4, 4))), "band=3"),
    ],
)
def test_spectra_that_do_not_fit_are_refused(build, words: str):
    with pytest.raises(BadValue, match=words):
        build()
