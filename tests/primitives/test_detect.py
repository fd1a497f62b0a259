"""D: counts, noise model, lag and drift."""

from __future__ import annotations

import numpy as np
import pytest

from pwm_core import Gaussian, Poisson
from pwm_core.errors import BadValue
from pwm_core.primitives import Detect, VideoDetect

RNG = np.random.default_rng(5)
FIELD = RNG.standard_normal((2, 4, 5)) + 1j * RNG.standard_normal((2, 4, 5))
FRAMES = RNG.random((12, 3, 4))


def _video(**settings: float) -> VideoDetect:
    return VideoDetect(mode="linear", frame_time=10.0, **settings)


def test_intensity_is_the_squared_modulus_summed_over_incoherent_modes():
    np.testing.assert_allclose(Detect()(FIELD), np.abs(FIELD) ** 2)
    np.testing.assert_allclose(Detect(modes=True)(FIELD), (np.abs(FIELD) ** 2).sum(0))
    assert np.array_equal(Detect()(FIELD), Detect()(FIELD.conj()))


def test_gain_background_and_response_enter_as_stated():
    response, x = RNG.random((4, 5)), RNG.random((4, 5))
    node = Detect(mode="linear", gain=2.0, background=0.5, response=response)
    np.testing.assert_allclose(node(x), 2 * response * (x + 0.5))
    assert not node.linear
    assert Detect(mode="linear").linear
    assert not Detect().linear


def test_linear_reads_the_real_part_and_quadrature_both():
    np.testing.assert_allclose(Detect(mode="linear")(FIELD), FIELD.real)
    np.testing.assert_allclose(Detect(mode="quadrature", gain=3.0, statistics="none")(FIELD), 3 * FIELD)


def test_noise_is_that_of_the_structure_at_the_given_gain():
    poisson = Detect(gain=4.0, readout=2.0, name="det").noise()
    assert isinstance(poisson, Poisson)
    assert (poisson.gain, poisson.readout) == (4.0, 2.0)
    changed = Detect(gain=4.0, name="det").noise({"det.gain": 5.0, "psf.sigma": 1.0})
    assert isinstance(changed, Poisson)
    assert changed.gain == 5.0
    gaussian = Detect(statistics="gaussian", readout=2.0).noise()
    assert isinstance(gaussian, Gaussian)
    assert gaussian.sigma == 2.0
    assert Detect(statistics="none").noise() is None


def test_samples_have_the_mean_and_variance_of_counted_quanta():
    node, x = Detect(mode="linear", gain=3.0, background=2.0, readout=1.5), np.full((300, 400), 20.0)
    y = node.sample(x, np.random.default_rng(0))
    assert y.mean() == pytest.approx(3 * 22, abs=5 * np.sqrt(3 * 66 / y.size))
    assert y.var() == pytest.approx(3 * 66 + 1.5**2, rel=5 * np.sqrt(2 / y.size))
    assert np.array_equal(y, node.sample(x, np.random.default_rng(0)))


def test_quadrature_noise_falls_on_both_parts():
    node = Detect(mode="quadrature", statistics="gaussian", readout=2.0)
    y = node.sample(np.zeros((200, 300), complex), np.random.default_rng(0))
    assert y.real.std() == pytest.approx(2.0, rel=0.02)
    assert y.imag.std() == pytest.approx(2.0, rel=0.02)
    assert abs(np.corrcoef(y.real.ravel(), y.imag.ravel())[0, 1]) < 0.02


def test_lag_follows_its_recursion():
    a = np.exp(-10.0 / 15.0)
    expected = [FRAMES[0]]
    for q in FRAMES[1:]:
        expected.append((1 - a) * q + a * expected[-1])
    np.testing.assert_allclose(_video(lag=15.0)(FRAMES), expected, atol=1e-14)


def test_lag_keeps_a_static_scene_and_fades_a_flash():
    node = _video(lag=15.0)
    still = np.ones((9, 2, 2))
    np.testing.assert_allclose(node(still), still)
    flash = np.zeros((9, 1, 1))
    flash[3] = 1
    seen = node(flash)[:, 0, 0]
    assert not seen[:3].any()
    np.testing.assert_allclose(seen[4:] / seen[3:-1], np.exp(-10.0 / 15.0))


def test_without_lag_and_drift_video_is_the_plain_detector():
    np.testing.assert_allclose(_video(gain=2.0)(FRAMES), 2 * FRAMES)
    np.testing.assert_allclose(_video(lag=0.1)(FRAMES), FRAMES, atol=1e-12)
    for lag in (0.0, 1e-3):
        change = _video().jvp(FRAMES, dtheta={"lag": 1.0}, theta={"lag": lag})
        assert np.isfinite(change).all()


def test_gain_drifts_by_its_percentage_from_frame_to_frame():
    seen = _video(gain_drift=0.5)(np.ones((12, 1, 1)))[:, 0, 0]
    np.testing.assert_allclose(seen, 1 + 0.005 * np.arange(12))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mode": "photon"}, "mode"),
        ({"statistics": "cauchy"}, "statistics"),
        ({"statistics": "gaussian"}, "readout"),
        ({"readout": -1.0}, "readout"),
        ({"mode": "quadrature"}, "quanta"),
        ({"mode": "linear", "modes": True}, "incoherent"),
        ({"gain": 0.0}, "gain"),
    ],
)
def test_contradictory_detectors_are_refused(wrong: dict, words: str):
    with pytest.raises(BadValue, match=words):
        Detect(**wrong)


def test_unfit_frames_and_responses_are_refused():
    with pytest.raises(BadValue, match="response"):
        Detect(response=np.ones((3, 3)))(FIELD)
    with pytest.raises(BadValue, match="frame, y, x"):
        VideoDetect()(np.ones((3, 3)))
    with pytest.raises(BadValue, match="same axis"):
        VideoDetect(modes=True)
    with pytest.raises(BadValue, match="frame_time"):
        VideoDetect(frame_time=0.0)
