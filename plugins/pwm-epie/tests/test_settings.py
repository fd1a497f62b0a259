"""Settings of the PIE family: momentum, annealing, changing probes, unequal frames, refined positions."""

import numpy as np
import pytest
from pwm_epie.pie import EPIE, RPIE
from pwm_ptychography.align import aligned
from pwm_ptychography.modality import Ptychography, illuminated
from pwm_ptychography.operator import diffraction_of

from pwm_core import run, score
from pwm_core.errors import BadValue
from pwm_core.metrics import nrmse


def residual(result, problem):
    return Ptychography().residuals(problem.operator(result.x, result.theta), problem)["residual"]


def coherent(scene="circuit", **settings):
    """A scan with one mode, and its truth."""
    modality = Ptychography(side=10).replace(**settings)
    problem, truth = modality.simulate(scene, theta={"probe.coherence": -10.0})
    return modality, problem, truth


def test_unequal_incident_intensities_are_fitted():
    modality, problem, truth = coherent(photons=1e7)
    flux = np.random.default_rng(0).uniform(0.6, 1.4, len(problem.y))
    flux /= flux.mean()
    noisy = problem.operator.sample(truth.x, np.random.default_rng(1), {"probe.flux": flux})
    given = problem.replace(y=noisy.astype(np.float32))
    plain, fitted = (run(EPIE(iterations=40, flux=f), given, device="cpu") for f in (False, True))
    assert residual(fitted, given) < 0.2 * residual(plain, given)
    np.testing.assert_allclose(fitted.theta["probe.flux"], flux, rtol=0.05)
    better, worse = (score(r.x, given, truth, modality, r.theta).psnr for r in (fitted, plain))
    assert better > worse + 3


def test_flux_of_a_masked_detector_ignores_what_is_masked():
    _, problem, truth = coherent(photons=1e7)
    mask = np.random.default_rng(2).random(problem.y.shape[1:]) > 0.15
    flux = np.random.default_rng(0).uniform(0.7, 1.3, len(problem.y))
    y = problem.operator(truth.x, {"probe.flux": flux / flux.mean()})
    given = problem.replace(y=np.where(mask, y, 1e5).astype(np.float32), mask=mask)
    fitted = run(EPIE(iterations=30, flux=True), given, device="cpu")
    np.testing.assert_allclose(fitted.theta["probe.flux"], flux / flux.mean(), rtol=0.06)


def test_backgrounds_of_frames_are_fitted():
    """Up to 30 % of the mean intensity, found within 6 % of their mean: what ePIE follows is missing."""
    _, problem, truth = coherent(photons=1e5)
    mean = problem.operator(truth.x).mean()
    background = np.random.default_rng(0).uniform(0, 0.3, (len(problem.y), 1, 1)) * mean
    noisy = problem.operator.sample(truth.x, np.random.default_rng(1), {"detector.background": background})
    given = problem.replace(y=noisy.astype(np.float32))
    plain, fitted = (run(EPIE(iterations=50, background=b), given, device="cpu") for b in (False, True))
    region = illuminated(diffraction_of(problem))
    errors = [nrmse(aligned(r.x, truth.x, region)[region], truth.x[region]) for r in (plain, fitted)]
    left = fitted.theta["detector.background"] - background
    found = float(np.sqrt(np.mean(left**2)) / background.mean())
    print(
        f"backgrounds: NRMSE {errors[0]:.4f} without the fit, {errors[1]:.4f} with; they are {found:.1%} off"
    )
    assert errors[1] < 0.65 * errors[0]
    assert found < 0.06
    assert residual(fitted, given) < 0.8 * residual(plain, given)


def test_a_probe_that_changes_during_the_scan_is_followed():
    """The beam wanders by a pixel to either side: its first derivative is the component to find."""
    _, problem, truth = coherent(photons=1e7)
    wave = problem.operator.probe.wave[0]
    modes = np.stack([wave, (np.roll(wave, 1, 1) - np.roll(wave, -1, 1)) / 2])
    weights = np.stack([np.ones(len(problem.y)), np.sin(np.linspace(0, 6, len(problem.y)))], 1).astype(
        complex
    )
    wandering = {"probe.modes": modes, "probe.weights": weights}
    given = problem.replace(y=problem.operator(truth.x, wandering))
    fixed, varied = (run(EPIE(iterations=60, components=c), given, device="cpu") for c in (0, 1))
    assert residual(varied, given) < 0.3 * residual(fixed, given)
    assert varied.theta["probe.weights"].shape == (len(problem.y), 2)
    power = (np.abs(varied.theta["probe.modes"]) ** 2).sum((1, 2))
    assert power[0] > power[1] > 0


def test_momentum_reaches_low_frequencies_sooner():
    modality, problem, truth = coherent(photons=1e7)
    slow, quick = (run(EPIE(iterations=60, momentum=m, warmup=5), problem, device="cpu") for m in (0.0, 0.9))
    scores = [score(r.x, problem, truth, modality, r.theta).psnr for r in (slow, quick)]
    assert scores[1] > scores[0] + 0.5


def test_falling_steps_average_the_noise_out():
    modality, problem, truth = coherent(photons=1e4)
    loud, quiet = (run(EPIE(iterations=150, anneal=a), problem, device="cpu") for a in (None, 20))
    scores = [score(r.x, problem, truth, modality, r.theta).psnr for r in (loud, quiet)]
    assert scores[1] > scores[0] + 0.2


def test_refined_positions_come_nearer_to_the_true_ones():
    modality = Ptychography(side=12, jitter=20.0, photons=1e7)
    problem, truth = modality.simulate("chart")
    given = problem.replace(operator=problem.operator.at({"scan.jitter": None}))
    pixel = problem.pixel_size[0]
    true = diffraction_of(problem).scan.positions + 1e-9 * truth.theta["scan.jitter"]
    kept, refined = (run(RPIE(iterations=80, positions=p), given, device="cpu") for p in (False, True))

    def error(positions):
        left = (positions - true) / pixel
        return float(np.sqrt(((left - left.mean(0)) ** 2).sum(1).mean()))

    before, after = error(diffraction_of(given).scan.positions), error(refined.theta["scan.positions"])
    print(f"positions: {before:.2f} px before, {after:.2f} px after refinement")
    assert after < 0.4 * before
    assert residual(refined, given) < 0.5 * residual(kept, given)


@pytest.mark.parametrize("method", [EPIE, RPIE])
def test_plain_settings_are_the_published_algorithm(method):
    """Without warm-up, momentum and annealing each sweep is the engine's own, with constant steps."""
    from pwm_ptychography.engine import make_engine

    _, problem, _ = coherent()
    plain = method(iterations=3, warmup=0, momentum=0.0, anneal=None, probe_step=0.7)
    result = run(plain, problem, device="cpu", seed=4)
    engine = make_engine(problem)
    import torch

    rng = np.random.default_rng(4)
    alpha = getattr(plain, "alpha", 1.0)
    for _ in range(3):
        order = torch.from_numpy(rng.permutation(engine.frames))
        engine.pie_sweep(order, alpha=alpha, beta=1.0, object_step=0.9, probe_step=0.7)
    np.testing.assert_array_equal(result.x, engine.object.numpy())


def test_a_changing_probe_with_incoherent_modes_is_refused():
    _, problem, _ = coherent()
    with pytest.raises(BadValue, match="one incoherent mode, got modes=2"):
        run(EPIE(iterations=1, components=1, modes=2), problem, device="cpu")
