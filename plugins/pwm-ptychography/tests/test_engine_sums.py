"""Sums over frames, reflections, products: the compiled engine against the torch one and formulas."""

import numpy as np
import pytest
import torch
from pwm_ptychography.engine import ALTERNATING, Projection, Reflection, TorchEngine, make_engine
from pwm_ptychography.engine.groups import GroupSweep
from pwm_ptychography.engine.planar import PlanarEngine
from pwm_ptychography.modality import Ptychography

STEPS = {"alpha": 0.4, "beta": 1.0, "object_step": 0.6, "probe_step": 0.3}
DIFFERENCE_MAP = Projection(entry=2.0, keep=1.0, mix=-1.0, replace=1.0)
CHANGE = Projection(mix=-1.0)


def problem(coherent=True, masked=False):
    modality = Ptychography.small().replace(window=32, side=4, detector_pixel=300)
    given, truth = modality.simulate("chart", theta={"probe.coherence": -10.0 if coherent else 0.0})
    mask = np.random.default_rng(2).random((32, 32)) > 0.1 if masked else None
    start = (0.8 * truth.x + 0.2).astype(np.complex64)  # no wave at the detector nearly vanishes
    return given.replace(initial=start, mask=mask), truth


def engines(**options):
    given, _ = problem(**options)
    pair = make_engine(given), TorchEngine(given)
    assert isinstance(pair[0], PlanarEngine)
    return pair


def relative(a, b):
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


def assert_same(a, b, limit=1e-3):
    for name in ("object", "probe", "object_weight", "probe_weight"):
        if getattr(b, name) is not None:
            assert relative(getattr(a, name), getattr(b, name)) < limit, name
    assert a.misfit == pytest.approx(b.misfit, rel=1e-3, nan_ok=True)


@pytest.mark.parametrize("coherent", [True, False], ids=["one mode", "modes"])
@pytest.mark.parametrize("poisson", [False, True])
def test_sums_equal_the_torch_engines(coherent, poisson):
    fast, plain = engines(coherent=coherent, masked=True)
    assert_same(*(e.gather(poisson=poisson, weights=True) for e in (fast, plain)))


@pytest.mark.parametrize("projection", [DIFFERENCE_MAP, ALTERNATING], ids=["difference map", "alternating"])
def test_renewed_exit_waves_overlap_as_the_torch_engines(projection):
    pair = engines(coherent=False)
    found = []
    for engine in pair:
        waves = engine.exit_waves()
        engine.set_object(0.9 * engine.object + 0.1)
        sums = [engine.gather(waves=waves, projection=projection, weights=True) for _ in range(2)]
        found.append([*sums, engine.overlap(waves)])
    for a, b in zip(*found, strict=True):
        assert_same(a, b, 3e-3)


def test_the_sums_of_groups_add_up_to_those_of_all_frames():
    for engine in engines():
        whole = engine.gather(weights=True)
        parts = [engine.gather(weights=True, frames=f) for f in torch.arange(engine.frames).split(5)]
        assert relative(sum(p.object for p in parts), whole.object) < 1e-5
        assert relative(sum(p.probe_weight for p in parts), whole.probe_weight) < 1e-5
        assert sum(p.misfit for p in parts) == pytest.approx(whole.misfit, rel=1e-6)


def test_products_are_inner_products_of_the_changes_of_the_exit_wave():
    """<a, χ> summed over frames is <ΔO, Σ P*χ>, and likewise for the probe; both engines agree."""
    pair = engines(coherent=False)
    generator = torch.Generator().manual_seed(0)
    towards = torch.randn(pair[0].object.shape, dtype=torch.complex64, generator=generator)
    direction = torch.randn(pair[0].probe.shape, dtype=torch.complex64, generator=generator)
    frames = torch.tensor([3, 7, 1])
    found = []
    for engine in pair:
        waves = engine.exit_waves()
        sums = engine.gather(waves=waves, projection=CHANGE, frames=frames)
        products = engine.products(waves, towards, direction, frames).double()
        for column, change, total in ((0, towards, sums.object), (1, direction, sums.probe)):
            expected = float((change.conj() * total).sum().real)
            assert float(products[:, column].sum()) == pytest.approx(expected, rel=1e-3)
        assert (products[:, 4] ** 2 <= products[:, 2] * products[:, 3]).all()
        found.append(products)
    torch.testing.assert_close(*found, rtol=2e-3, atol=2e-3 * float(found[1].abs().max()))


@pytest.mark.parametrize("coherent", [True, False], ids=["one mode", "modes"])
def test_a_reflected_sweep_equals_the_torch_engines(coherent):
    pair = engines(coherent=coherent, masked=True)
    order = torch.from_numpy(np.random.default_rng(0).permutation(pair[0].frames))
    misfits = []
    for engine in pair:
        waves = engine.exit_waves()
        for sigma in (0.0, 0.5):
            misfit = engine.pie_sweep(order, **STEPS, reflection=Reflection(waves, sigma, 0.9))
        misfits.append(float(misfit))
    assert misfits[0] == pytest.approx(misfits[1], rel=5e-3)
    assert relative(pair[0].object, pair[1].object) < 5e-3
    assert relative(pair[0].probe, pair[1].probe) < 5e-3


def test_one_reflected_frame_is_the_published_formula():
    """Pham, Rana, Miao & Osher 2019, written out at the detector, in double precision."""
    given, _ = problem()
    engine = TorchEngine(given.replace(dtype="complex128"))
    waves, sigma, w = engine.exit_waves(), 0.6, 0.1
    engine.set_object(0.9 * engine.object + 0.1)
    frame = torch.tensor([5])
    z = engine.to_detector(waves[frame], frame)
    u = engine.to_detector(engine.probes(frame) * engine.patches(frame)[:, None], frame)
    y = (1 + sigma) * u - sigma * z
    relaxed = (1 - w) * engine.amplitude[frame][:, None] * y / y.abs() + w * y
    expected = relaxed + sigma * (z - u)
    engine.pie_sweep(frame, **STEPS, reflection=Reflection(waves, sigma, 1 - w))
    torch.testing.assert_close(engine.to_detector(waves[frame], frame), expected)


def test_without_reflection_and_relaxation_it_is_the_plain_sweep():
    given, _ = problem()
    order = torch.arange(16)
    for kind in (make_engine, TorchEngine):
        plain, reflected = kind(given), kind(given)
        plain.pie_sweep(order, **STEPS)
        reflected.pie_sweep(order, **STEPS, reflection=Reflection(reflected.exit_waves(), 0.0))
        assert relative(reflected.object, plain.object) < 1e-5


def test_reflected_groups_of_one_frame_are_the_sequential_sweep():
    given, _ = problem()
    grouped, sequential = TorchEngine(given), TorchEngine(given)
    order = torch.from_numpy(np.random.default_rng(0).permutation(sequential.frames))
    waves = sequential.exit_waves()
    sweep = GroupSweep(grouped, len(order), 0.4, 1.0, groups=len(order), waves=waves.clone())
    sweep.reflect(0.5, 0.9)
    for _ in range(2):
        sequential.pie_sweep(order, **STEPS, reflection=Reflection(waves, 0.5, 0.9))
        sweep(order, 0.6, 0.3)
    assert relative(grouped.object, sequential.object) < 1e-3
    assert relative(sweep.waves, waves) < 1e-3
