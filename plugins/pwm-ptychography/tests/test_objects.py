"""The generated objects: physical, varied, reproducible, and drawn without artefacts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_ptychography.objects import (
    KINDS,
    MATERIALS,
    MAX_PHASE,
    draw,
    draw_any,
    optical_constants,
    transmission,
)
from pwm_ptychography.objects.paint import box, coverage, grid, noise, scatter, stamp

from pwm_core.errors import BadValue, UnknownName

PIXEL = 15e-9
SHAPE = (96, 96)
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind, seed, shape=SHAPE, pixel_size=PIXEL, energy=8.8e3):
    return draw(kind, shape, pixel_size, np.random.default_rng(seed), energy)


def assert_physical(x, shape):
    phase, amplitude = np.angle(x), np.abs(x)
    assert x.dtype == np.complex64
    assert x.shape == shape
    assert np.isfinite(x).all()
    assert phase.min() >= -MAX_PHASE - 1e-4
    assert phase.max() <= 1e-4
    assert amplitude.min() > 0.3
    assert amplitude.max() <= 1 + 1e-6


# -- physics -------------------------------------------------------------------------------------------


def test_a_micrometre_of_copper_lets_through_what_its_absorption_length_says():
    through = transmission(np.array(1e-6), "copper", 8.8e3)
    assert abs(through) ** 2 == pytest.approx(math.exp(-1 / 28.05), rel=1e-6)


def test_a_micrometre_of_gold_retards_the_phase_by_the_hand_computed_angle():
    # λ = 1.40891 Å; n_e = 6.02214e23 · 19.30e6 · 0.4011 · 0.936 = 4.3636e30 /m³; δ = r_e λ² n_e / 2π
    delta, _ = optical_constants("gold", 8.8e3)
    assert delta == pytest.approx(3.8847e-5, rel=2e-4)
    assert np.angle(transmission(np.array(1e-6), "gold", 8.8e3)) == pytest.approx(-1.7324, rel=2e-4)


@pytest.mark.parametrize(
    ("material", "energy", "delta"),  # from published tables of the scattering factors
    [
        ("silicon", 8048, 7.58e-6),
        ("water", 10000, 2.31e-6),
        ("gold", 8048, 4.67e-5),
        ("silica", 10000, 4.60e-6),
    ],
)
def test_delta_agrees_with_published_values(material, energy, delta):
    assert optical_constants(material, energy)[0] == pytest.approx(delta, rel=0.02)


@given(st.sampled_from(sorted(MATERIALS)), st.floats(1e-9, 4e-7), st.floats(5e3, 2e4))
@settings(max_examples=30, deadline=None)
def test_twice_the_thickness_is_twice_the_phase_and_twice_the_exponent(material, thickness, energy):
    once, twice = (transmission(np.array(n * thickness), material, energy) for n in (1, 2))
    assert np.angle(twice) == pytest.approx(2 * np.angle(once), rel=1e-9)
    assert np.log(np.abs(twice)) == pytest.approx(2 * np.log(np.abs(once)), rel=1e-6)
    assert np.angle(once) < 0


def test_constants_scale_with_energy_as_stated():
    (d1, b1), (d2, b2) = optical_constants("silicon", 6e3), optical_constants("silicon", 12e3)
    assert d1 / d2 == pytest.approx(4)
    assert b1 / b2 == pytest.approx(16)


def test_missing_material_undoes_what_is_there():
    t = np.linspace(0, 1e-6, 5)
    np.testing.assert_allclose(transmission(t, "silica") * transmission(-t, "silica"), 1, rtol=1e-12)


@every_kind
def test_contrast_grows_with_the_pixel_size_and_falls_with_the_energy(kind):
    thin = make(kind, 3, pixel_size=0.5e-9)
    thick = make(kind, 3, pixel_size=1e-9)
    hard = make(kind, 3, pixel_size=1e-9, energy=17.6e3)
    np.testing.assert_allclose(np.angle(thick), 2 * np.angle(thin), atol=2e-6)
    np.testing.assert_allclose(np.angle(hard), np.angle(thick) / 2, atol=2e-6)
    np.testing.assert_allclose(np.log(np.abs(hard)), np.log(np.abs(thick)) / 8, atol=2e-6)


# -- objects -------------------------------------------------------------------------------------------


@given(
    st.sampled_from(KINDS),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(0, 2**32),
    st.sampled_from([2e-9, 15e-9, 180e-9, 1e-6]),
    st.floats(5e3, 2e4),
)
@settings(max_examples=60, deadline=None)
def test_phases_never_wrap_and_amplitudes_stay_in_range(kind, shape, seed, pixel_size, energy):
    assert_physical(make(kind, seed, shape, pixel_size, energy), shape)


@every_kind
@pytest.mark.parametrize("shape", [(64, 48), (48, 64), (150, 90)])
def test_any_shape_has_structure(kind, shape):
    x = make(kind, 11, shape)
    assert_physical(x, shape)
    assert np.ptp(np.angle(x)) > 0.05


@every_kind
def test_the_same_seed_gives_the_same_object(kind):
    np.testing.assert_array_equal(make(kind, 5), make(kind, 5))


def test_objects_of_different_seeds_and_kinds_are_unlike():
    phases = [np.angle(make(kind, seed)).ravel() for kind in KINDS for seed in range(6)]
    alike = np.abs(np.corrcoef(phases)[np.triu_indices(len(phases), 1)])
    assert np.mean(alike) < 0.12
    assert np.max(alike) < 0.8


@every_kind
def test_nothing_ends_at_the_edges_of_the_field(kind):
    objects = [-np.angle(make(kind, seed, (80, 80))) for seed in range(30)]
    mean = np.mean([x / x.mean() for x in objects], axis=0)
    edges = [mean[:3].mean(), mean[-3:].mean(), mean[:, :3].mean(), mean[:, -3:].mean()]
    assert 0.5 < min(edges) <= max(edges) < 1.5


@every_kind
def test_objects_are_band_limited_yet_sharp(kind):
    window = np.hanning(128)[:, None] * np.hanning(128)
    power = np.zeros((128, 128))
    for seed in range(5):
        phase = np.angle(make(kind, seed, (128, 128)))
        power += np.abs(np.fft.fft2((phase - phase.mean()) * window)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    assert power[frequency > 0.45].sum() < 0.01 * power.sum()  # next to nothing at the pixels' own scale
    assert power[frequency > 0.15].sum() > 1e-3 * power.sum()  # but details of a few pixels


def test_the_stream_of_any_objects_is_varied_and_repeatable():
    first, again = (np.random.default_rng(1) for _ in range(2))
    stream = [draw_any((48, 56), PIXEL, first) for _ in range(24)]
    for x in stream:
        assert_physical(x, (48, 56))
        np.testing.assert_array_equal(x, draw_any((48, 56), PIXEL, again))
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(stream, 2))


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"), [("cell", "cells"), ("latice", "lattice"), ("Circuit", "circuit")]
)
def test_an_unknown_kind_is_refused_with_the_closest_one(wrong, right):
    with pytest.raises(UnknownName, match=f"{wrong!r}; did you mean {right!r}"):
        make(wrong, 0)


def test_an_unknown_material_is_refused_with_the_closest_one():
    with pytest.raises(UnknownName, match="did you mean 'copper'"):
        transmission(np.ones(2), "coper")
    with pytest.raises(UnknownName, match="known are ceria, copper"):
        optical_constants("xyzzy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (0, 8)}, "two positive numbers"),
        ({"shape": (8, 8, 8)}, "two positive numbers"),
        ({"pixel_size": 0.0}, "pixel size"),
        ({"pixel_size": math.nan}, "pixel size"),
        ({"energy": 500.0}, "500 eV is outside"),
        ({"energy": math.nan}, "nan eV is outside"),
    ],
)
def test_values_out_of_range_are_refused(change, message):
    with pytest.raises(BadValue, match=message):
        make("chart", 0, **change)


# -- drawing -------------------------------------------------------------------------------------------


@given(st.floats(1, 9), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
@settings(max_examples=30, deadline=None)
def test_what_is_drawn_covers_its_area_wherever_it_lies(width, dy, dx):
    y, x = (at - 16 - shift for at, shift in zip(grid((33, 33)), (dy, dx), strict=True))
    strip = coverage(box(x, y, width / 2, 100.0, 0.0))
    disc = coverage(np.hypot(x, y) - width - 2)
    assert strip.sum() == pytest.approx(33 * width, rel=1e-4)
    assert disc.sum() == pytest.approx(np.pi * (width + 2) ** 2, rel=0.03)


def test_stamps_are_cut_off_at_the_edges_as_if_drawn_on_a_larger_canvas():
    rng = np.random.default_rng(0)
    places, radius = rng.uniform(-5, 45, (60, 2)), rng.uniform(1, 6, 60)

    def disc(dy, dx, i):
        return coverage(np.hypot(dy, dx) - radius[i])

    for add in (False, True):
        small, large = np.zeros((40, 40), np.float32), np.zeros((80, 80), np.float32)
        stamp(small, places, radius + 1, disc, add=add)
        stamp(large, places + 20, radius + 1, disc, add=add)
        np.testing.assert_allclose(small, large[20:60, 20:60], atol=1e-5)


def test_noise_has_unit_variance_up_to_the_edges_and_the_scale_that_was_asked_for():
    rng = np.random.default_rng(0)
    fields = np.stack([noise((40, 30), 4.0, rng) for _ in range(400)])
    np.testing.assert_allclose(fields.std(axis=0), 1, atol=0.2)
    along = np.mean(fields[:, 10] * fields[:, 14])  # white noise blurred with σ: exp(−d²/4σ²) at distance d
    assert along == pytest.approx(math.exp(-0.25), abs=0.08)


def test_scattered_features_keep_their_distance():
    spacing = np.random.default_rng(0).uniform(2, 8, 80)
    places, which = scatter((60, 90), 5, spacing, np.random.default_rng(1))
    assert len(which) > 10
    for (a, i), (b, j) in itertools.combinations(zip(places, which, strict=True), 2):
        assert np.linalg.norm(a - b) >= spacing[i] + spacing[j]
