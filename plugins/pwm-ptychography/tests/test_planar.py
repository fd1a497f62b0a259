"""The compiled engine against the torch one, which is tested against the physics."""

import numpy as np
import pytest
import torch
from pwm_ptychography.engine import TorchEngine, make_engine
from pwm_ptychography.engine.groups import GroupSweep
from pwm_ptychography.engine.planar import PlanarEngine
from pwm_ptychography.modality import Ptychography

from pwm_core.errors import Unsuitable

STEPS = {"object_step": 0.9, "probe_step": 0.5}


def problem(window=32, side=5, mask=None, coherent=True, **simulate):
    modality = Ptychography.small().replace(
        window=window, side=side, detector_pixel=9600 / window, **simulate
    )
    theta = {"probe.coherence": -10.0 if coherent else 0.0}
    given, truth = modality.simulate("chart", theta=theta)
    start = (0.8 * truth.x + 0.2).astype(np.complex64)  # no wave at the detector nearly vanishes
    return given.replace(initial=start, mask=mask), truth


def relative(a, b):
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


@pytest.mark.parametrize("coherent", [True, False], ids=["one mode", "modes"])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.3, 0.7)])
@pytest.mark.parametrize("masked", [False, True])
def test_a_sweep_equals_the_torch_engines(coherent, alpha, beta, masked):
    mask = np.random.default_rng(2).random((32, 32)) > 0.1 if masked else None
    given, _ = problem(mask=mask, coherent=coherent)
    fast, plain = make_engine(given), TorchEngine(given)
    assert isinstance(fast, PlanarEngine)
    assert len(fast.probe) == len(plain.probe)
    assert fast.power == pytest.approx(plain.power, rel=1e-5)
    order = torch.from_numpy(np.random.default_rng(0).permutation(fast.frames))
    misfits = [float(e.pie_sweep(order, alpha=alpha, beta=beta, **STEPS)) for e in (fast, plain)]
    assert misfits[0] == pytest.approx(misfits[1], rel=1e-3)
    assert relative(fast.object, plain.object) < 1e-3
    assert relative(fast.probe, plain.probe) < 1e-3


@pytest.mark.parametrize("engine", [PlanarEngine, TorchEngine])
def test_stabilised_amplitudes_are_unbiased_at_few_quanta(engine):
    """At the truth the mean misfit Σ(√(|Ψ|²+1/4) − a) vanishes, where plain roots are biased."""
    given, truth = problem(photons=3e3, coherent=False)
    biases = []
    for stabilised in (False, True):
        e = engine(given.replace(initial=truth.x), None, stabilised=stabilised)
        torch_twin = TorchEngine(given.replace(initial=truth.x), None, 0, stabilised)
        frames = torch.arange(e.frames)
        waves = torch_twin.to_detector(
            torch_twin.probes(frames) * torch_twin.patches(frames)[:, None], frames
        )
        modulus = (waves.abs().pow(2).sum(1) + torch.as_tensor(e.offset)[:, None, None]).sqrt()
        biases.append(float((modulus - torch_twin.amplitude).mean() / modulus.mean()))
    assert abs(biases[1]) < 0.1 * abs(biases[0])


def test_background_is_part_of_the_model():
    given, truth = problem()
    detector = given.operator.detector.replace(background=2.0)
    operator = given.operator.replace(outer=detector)
    clean = given.replace(operator=operator, y=operator(truth.x), initial=truth.x)
    for engine in (PlanarEngine(clean), TorchEngine(clean)):
        misfit = engine.pie_sweep(torch.arange(engine.frames), alpha=1.0, beta=1.0, **STEPS)
        assert float(misfit) < 1e-6 * engine.power


def test_momentum_equals_the_torch_engines():
    given, _ = problem()
    engines = make_engine(given), TorchEngine(given)
    for engine in engines:
        for _ in range(3):
            engine.pie_sweep(torch.arange(engine.frames), alpha=1.0, beta=1.0, **STEPS)
            engine.accelerate(0.8, 0.5)
    assert relative(engines[0].object, engines[1].object) < 3e-3


def test_displacements_point_back_to_the_true_positions():
    given, truth = problem(photons=1e7)
    given = given.replace(initial=truth.x)
    for engine in (make_engine(given), TorchEngine(given)):
        start = engine.positions().clone()
        wrong = 0.3 * torch.from_numpy(np.random.default_rng(1).standard_normal((engine.frames, 2)))
        engine.move(wrong)
        pixel = given.pixel_size[0]
        np.testing.assert_allclose(engine.positions() / pixel, start / pixel + wrong, atol=1e-4)
        for _ in range(12):
            right, matrix = engine.position_equations()
            engine.move(1.5 * torch.linalg.solve(matrix.double(), right.double()))
        left = (engine.positions() - start) / pixel
        assert float(left.pow(2).mean().sqrt()) < 0.15 * float(wrong.pow(2).mean().sqrt())


def test_the_probe_can_be_put_in():
    given, _ = problem(coherent=False)
    for engine in (make_engine(given), TorchEngine(given)):
        modes = engine.probe.flip(0)
        engine.set_probe(modes)
        torch.testing.assert_close(engine.probe, modes, rtol=1e-4, atol=1e-3)


def test_other_windows_and_precisions_are_served_by_torch():
    assert isinstance(make_engine(problem(window=30)[0]), TorchEngine)
    assert isinstance(make_engine(problem()[0].replace(dtype="complex128")), TorchEngine)


def test_groups_of_one_frame_are_the_sequential_sweep():
    given, _ = problem()
    grouped, sequential = TorchEngine(given), TorchEngine(given)
    order = torch.from_numpy(np.random.default_rng(0).permutation(sequential.frames))
    sequential.pie_sweep(order, alpha=0.7, beta=1.0, **STEPS)
    GroupSweep(grouped, len(order), 0.7, 1.0, groups=len(order))(order, *STEPS.values())
    assert relative(grouped.object, sequential.object) < 1e-3
    assert relative(grouped.probe, sequential.probe) < 1e-3


def test_groups_converge_like_single_frames():
    given, _ = problem()
    flat = given.replace(initial=np.ones(given.shape, np.complex64))
    grouped, sequential = TorchEngine(flat), TorchEngine(flat)
    sweep = GroupSweep(grouped, grouped.frames, 1.0, 1.0, groups=5)
    rng = np.random.default_rng(0)
    for _ in range(30):
        order = torch.from_numpy(rng.permutation(grouped.frames))
        losses = (
            sweep(order, 0.9, 0.3),
            sequential.pie_sweep(order, alpha=1.0, beta=1.0, object_step=0.9, probe_step=0.3),
        )
    assert float(losses[0]) < 1.3 * float(losses[1])


def test_memory_stays_within_a_multiple_of_the_data():
    """Amplitudes are kept once in single precision, whatever the file's integers are."""
    given, _ = problem(window=64, side=12)
    engine = make_engine(given)
    assert engine.sweeper.data.nbytes == given.y.size * 4


def unequal(**simulate):
    """Noise-free frames that differ in flux and background; both, and the object."""
    given, truth = problem(**simulate)
    flux = np.random.default_rng(3).uniform(0.5, 1.5, len(given.y))
    flux /= flux.mean()
    background = np.random.default_rng(4).uniform(0, 0.3 * given.y.mean(), len(given.y))[:, None, None]
    theta = {"probe.flux": flux, "detector.background": background}
    return given.replace(y=given.operator(truth.x, theta)), theta, truth.x


@pytest.mark.parametrize("coherent", [True, False], ids=["one mode", "modes"])
@pytest.mark.parametrize("masked", [False, True])
def test_flux_and_background_equal_the_torch_engines(coherent, masked):
    mask = np.random.default_rng(2).random((32, 32)) > 0.1 if masked else None
    given, true, _ = unequal(mask=mask, coherent=coherent)
    engines = [make(given, stabilised=masked) for make in (make_engine, TorchEngine)]
    assert isinstance(engines[0], PlanarEngine)
    for engine in engines:
        for _ in range(4):
            engine.pie_sweep(torch.arange(engine.frames), alpha=0.8, beta=1.0, **STEPS)
            engine.fit_frames(flux=True, background=True)
    for name, value in true.items():
        fast, plain = (engine.theta()[name].numpy() for engine in engines)
        np.testing.assert_allclose(fast, plain, rtol=1e-3)
        assert np.corrcoef(fast.ravel(), value.ravel())[0, 1] > 0.9
    assert relative(engines[0].object, engines[1].object) < 2e-3
    assert relative(engines[0].probe, engines[1].probe) < 2e-3
    misfits = [engine.gather().misfit for engine in engines]
    assert misfits[0] == pytest.approx(misfits[1], rel=1e-2)


def test_true_flux_and_background_are_a_fixed_point():
    given, true, truth = unequal()
    known = given.replace(operator=given.operator.at(true), initial=truth)
    for engine in (make_engine(known), TorchEngine(known)):
        misfit = engine.pie_sweep(torch.arange(engine.frames), alpha=1.0, beta=1.0, **STEPS)
        engine.fit_frames(flux=True, background=True)
        assert float(misfit) < 1e-5 * engine.power
        np.testing.assert_allclose(engine.theta()["probe.flux"], true["probe.flux"], rtol=1e-4)
        np.testing.assert_allclose(engine.background, true["detector.background"].flatten(), rtol=2e-3)


def test_a_background_that_is_not_one_number_a_frame_is_refused():
    given, _ = problem()
    operator = given.operator.at({"detector.background": np.ones((1, 32, 32))})
    for engine in (make_engine, TorchEngine):
        with pytest.raises(Unsuitable, match=r"one for each frame in an array \(25, 1, 1\)"):
            engine(given.replace(operator=operator))


def wandering(**simulate):
    """Frames of a beam that wanders by a pixel to either side."""
    given, truth = problem(**simulate)
    wave = given.operator.probe.wave[0]
    modes = np.stack([wave, (np.roll(wave, 1, 1) - np.roll(wave, -1, 1)) / 2])
    swing = np.sin(np.linspace(0, 6, len(given.y)))
    weights = np.stack([np.ones_like(swing), swing], 1).astype(np.complex64)
    return given.replace(y=given.operator(truth.x, {"probe.modes": modes, "probe.weights": weights}))


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_a_varying_probe_equals_the_torch_engines(moved, alpha):
    given = wandering()
    engines = make_engine(given, components=2), TorchEngine(given, components=2)
    assert isinstance(engines[0], PlanarEngine)
    shift = 0.4 * torch.from_numpy(np.random.default_rng(1).standard_normal((engines[0].frames, 2)))
    order = torch.from_numpy(np.random.default_rng(0).permutation(engines[0].frames))
    misfits = []
    for engine in engines:
        if moved:
            engine.move(shift)
        for _ in range(3):
            misfit = engine.pie_sweep(order, alpha=alpha, beta=1.0, **STEPS)
        misfits.append(float(misfit))
    assert misfits[0] == pytest.approx(misfits[1], rel=2e-3)
    assert relative(engines[0].object, engines[1].object) < 2e-3
    assert relative(engines[0].probe, engines[1].probe) < 2e-3
    found = [engine.theta()["probe.weights"] for engine in engines]
    assert relative(*found) < 2e-3
    assert float(found[1][:, 1:].abs().max()) > 0.01
    for engine in engines:
        engine.settle_probe()
        engine.fit_frames(flux=True, background=False)
    theta = [engine.theta() for engine in engines]
    frames = [torch.einsum("fm,myx->fyx", t["probe.weights"], t["probe.modes"]) for t in theta]
    assert relative(*frames) < 2e-3
    np.testing.assert_allclose(theta[0]["probe.flux"], theta[1]["probe.flux"], rtol=1e-3)
    misfits = [engine.gather().misfit for engine in engines]
    assert misfits[0] == pytest.approx(misfits[1], rel=2e-3)
