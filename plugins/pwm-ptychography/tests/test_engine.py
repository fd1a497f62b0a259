"""The engine's elementary steps: fixed point, projections, masks, modes, odd and oblong windows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_ptychography.assembly import assemble, far_field, near_field
from pwm_ptychography.engine import TorchEngine, orthogonalise
from pwm_ptychography.operator import diffraction_of

from pwm_core import Problem

SWEEP = {"alpha": 1.0, "beta": 1.0}


def problem(window=(16, 16), modes=1, propagate=None, fraction=0.3, dtype="complex128", mask=None, rng=None):
    rng = rng or np.random.default_rng(0)
    y, x = np.indices(window) - np.array(window)[:, None, None] // 2
    waves = [
        np.exp(-(y**2 + x**2) / (8 + 6 * k)) * np.exp(0.1j * (y + k * x)) / (1 + k) for k in range(modes)
    ]
    positions = 4.0 * np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), -1).reshape(-1, 2)
    positions += fraction * rng.uniform(-1, 1, positions.shape)
    operator = assemble(
        wave=10 * np.array(waves), positions=positions, pixel=1.0, propagate=propagate or far_field()
    )
    shape = operator.scan.shape
    truth = (0.8 + 0.2 * rng.random(shape)) * np.exp(1j * rng.uniform(-1, 1, shape))
    counts = operator(truth)
    if mask is not None:
        counts = np.where(mask, counts, 1e6)
    return (
        Problem(
            y=counts,
            operator=operator,
            modality="ptychography",
            shape=shape,
            dtype=dtype,
            initial=truth,
            mask=mask,
        ),
        truth,
    )


@pytest.mark.parametrize("window", [(16, 16), (15, 15), (12, 18)])
@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("propagate", [far_field(), near_field(1e-3, 1e-10, 1e-6)], ids=["far", "near"])
def test_the_truth_is_a_fixed_point_of_noise_free_data(window, modes, propagate):
    given_problem, truth = problem(window, modes, propagate)
    engine = TorchEngine(given_problem)
    probe = engine.probe.clone()
    misfit = engine.pie_sweep(torch.arange(engine.frames), **SWEEP)
    assert float(misfit) < 1e-9 * engine.power
    np.testing.assert_allclose(engine.object.numpy(), truth, atol=1e-6)
    np.testing.assert_allclose(engine.probe.numpy(), probe.numpy(), atol=1e-5)


@pytest.mark.parametrize("propagate", [far_field(), near_field(1e-3, 1e-10, 1e-6)], ids=["far", "near"])
def test_engine_and_operator_give_the_same_data(propagate):
    given_problem, _ = problem(propagate=propagate, modes=2)
    engine = TorchEngine(given_problem)
    frames = torch.arange(engine.frames)
    waves = engine.probes(frames) * engine.patches(frames)[:, None]
    modulus = engine.to_detector(waves, frames).abs().pow(2).sum(1).sqrt()
    np.testing.assert_allclose(modulus.numpy(), engine.amplitude.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("propagate", [far_field(), near_field(1e-3, 1e-10, 1e-6)], ids=["far", "near"])
def test_propagation_is_unitary_and_inverted_by_its_adjoint(propagate):
    engine = TorchEngine(problem(propagate=propagate)[0])
    frames = torch.arange(3)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(3, 2, 16, 16, dtype=torch.complex128, generator=generator) for _ in range(2))
    there = engine.to_detector(a, frames)
    torch.testing.assert_close(torch.linalg.vector_norm(there), torch.linalg.vector_norm(a))
    torch.testing.assert_close(engine.from_detector(there, frames), a)
    torch.testing.assert_close(
        torch.sum(there.conj() * b), torch.sum(a.conj() * engine.from_detector(b, frames))
    )


def test_the_modulus_constraint_is_a_projection():
    engine = TorchEngine(problem(modes=2)[0])
    frames = torch.arange(engine.frames)
    waves = torch.randn(16, 2, 16, 16, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    once, misfit = engine.constrain(waves, frames)
    twice, nothing = engine.constrain(once, frames)
    torch.testing.assert_close(once, twice)
    assert float(misfit) > 0
    assert float(nothing) < 1e-18 * float(misfit)
    torch.testing.assert_close(once.abs().pow(2).sum(1).sqrt(), engine.amplitude)


def test_masked_elements_have_no_effect():
    mask = np.random.default_rng(1).random((16, 16)) > 0.2
    masked, truth = problem(mask=mask)
    engine = TorchEngine(masked)
    misfit = engine.pie_sweep(torch.arange(engine.frames), **SWEEP)
    assert float(misfit) < 1e-9 * engine.power, "the absurd counts under the mask were used"
    np.testing.assert_allclose(engine.object.numpy(), truth, atol=1e-6)


def test_empty_frames_and_dark_probe_regions_stay_finite():
    given_problem, _ = problem()
    counts = np.array(given_problem.y)
    counts[3] = 0
    engine = TorchEngine(given_problem.replace(y=counts))
    engine.probe[:, :5] = 0
    engine.pie_sweep(torch.arange(engine.frames), **SWEEP)
    assert torch.isfinite(engine.object.abs()).all()
    assert torch.isfinite(engine.probe.abs()).all()


def test_a_sweep_lowers_the_misfit_of_a_wrong_object():
    given_problem, _ = problem()
    engine = TorchEngine(given_problem.replace(initial=np.ones(given_problem.shape, complex)))
    order = torch.arange(engine.frames)
    losses = [float(engine.pie_sweep(order, alpha=1.0, beta=1.0, probe_step=0.0)) for _ in range(8)]
    assert losses[-1] < 0.1 * losses[0]


def test_single_and_double_precision_agree():
    double, truth = problem()
    start = 0.9 * truth + 0.1  # near enough that no wave at the detector nearly vanishes
    results = []
    for dtype in ("complex64", "complex128"):
        engine = TorchEngine(double.replace(dtype=dtype, initial=start))
        engine.pie_sweep(torch.arange(engine.frames), **SWEEP)
        results.append(engine.object.to(torch.complex128))
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)


def test_alpha_and_beta_of_one_are_epie():
    """The general formula against the published one, written out for one frame."""
    given_problem, _ = problem(fraction=0.0)
    engine = TorchEngine(given_problem.replace(initial=np.ones(given_problem.shape, complex)))
    r, c = engine.corners[5].tolist()
    o, p = engine.object[r : r + 16, c : c + 16].clone(), engine.probe[0].clone()
    wave = torch.fft.fft2(p * o, norm="ortho")
    change = torch.fft.ifft2(engine.amplitude[5] * wave / wave.abs(), norm="ortho") - p * o
    engine.pie_sweep(torch.tensor([5]), alpha=1.0, beta=1.0, object_step=0.9, probe_step=0.7)
    expected_object = o + 0.9 * p.conj() * change / p.abs().max() ** 2
    expected_probe = p + 0.7 * o.conj() * change / o.abs().max() ** 2
    torch.testing.assert_close(engine.object[r : r + 16, c : c + 16], expected_object)
    torch.testing.assert_close(engine.probe[0], expected_probe)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 5), seed=st.integers(0, 1000))
def test_orthogonal_modes_keep_the_mutual_intensity(count, seed):
    rng = np.random.default_rng(seed)
    modes = torch.from_numpy(rng.standard_normal((count, 6, 7)) + 1j * rng.standard_normal((count, 6, 7)))
    new = orthogonalise(modes)
    flat, before = new.flatten(1), modes.flatten(1)
    torch.testing.assert_close(flat.T @ flat.conj(), before.T @ before.conj())
    gram = flat.conj() @ flat.T
    assert torch.linalg.vector_norm(gram - torch.diag(gram.diagonal())) < 1e-9 * gram.abs().max()
    power = gram.diagonal().real
    assert (power[:-1] >= power[1:] - 1e-9).all()


def test_weak_modes_are_left_out_and_new_ones_are_distinct():
    two = torch.stack([torch.ones(4, 4), 1e-3 * torch.eye(4)]).to(torch.complex128)
    assert len(orthogonalise(two, keep=1e-3)) == 1
    engine = TorchEngine(problem()[0], modes=4)
    gram = torch.einsum("ayx,byx->ab", engine.probe.conj(), engine.probe).abs()
    assert torch.linalg.matrix_rank(gram) == 4
    assert len(TorchEngine(problem(modes=3)[0], modes=2).probe) == 2


def test_another_operator_is_refused():
    from pwm_core import Operator
    from pwm_core.errors import Unsuitable

    class Identity(Operator):
        def apply(self, x):
            return x

    with pytest.raises(Unsuitable, match="needs a Diffraction operator"):
        diffraction_of(Problem(y=np.ones((4, 4)), operator=Identity(), modality="x", shape=(4, 4)))
