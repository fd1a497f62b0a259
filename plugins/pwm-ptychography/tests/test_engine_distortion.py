"""A distortion of the whole scan: its equations are derivatives of the misfit; object and frames follow."""

import numpy as np
import pytest
import torch
from pwm_ptychography.assembly import assemble, far_field, near_field
from pwm_ptychography.engine import TorchEngine, make_engine
from pwm_ptychography.operator import diffraction_of

from pwm_core import Problem

N = 32


def smooth_scan(propagate, dtype, modes=2):
    """A scan of a smooth object, started from a wrong one, with margins wider than the distortions."""
    rng = np.random.default_rng(1)
    y, x = np.indices((N, N)) - (N - 1) / 2
    light = np.exp(-((y - 1) ** 2 + (x + 2) ** 2) / 50)
    wave = 30 * np.stack([light * np.exp(0.004j * (y**2 + x**2)), 0.4 * y * light / 5][:modes])
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5), indexing="ij"), -1).reshape(-1, 2)
    positions = 5.0 * grid + rng.uniform(-1, 1, (25, 2))
    operator = assemble(wave=wave, positions=positions, pixel=1.0, propagate=propagate)
    field = rng.normal(size=(2, *operator.scan.shape))
    cut = np.exp(
        -sum(np.meshgrid(*[(np.fft.fftfreq(n) / 0.03) ** 2 for n in field.shape[1:]], indexing="ij"))
    )
    parts = np.fft.ifft2(np.fft.fft2(field) * cut).real
    truth, start = (np.exp(0.7j * part / part.std()) for part in (parts[0], parts[0] + 0.3 * parts[1]))
    return Problem(
        y=operator(truth).astype(np.float32),
        operator=operator,
        modality="ptychography",
        shape=truth.shape,
        dtype=dtype,
        initial=start,
    )


@pytest.mark.parametrize("propagate", [far_field(), near_field(0.3, 1e-10, 1e-6)], ids=["far", "near"])
def test_equations_are_derivatives_of_the_misfit_where_object_and_frames_move_together(propagate):
    problem, size = smooth_scan(propagate, "complex128"), 2e-4
    right, _ = TorchEngine(problem).distortion_equations()
    for k, unit in enumerate(torch.eye(4, dtype=torch.float64)):
        misfits = []
        for sign in (1, -1):
            engine = TorchEngine(problem)
            assert engine.distort(sign * size * unit.view(2, 2)) == 0
            misfits.append(engine.gather().misfit)
        slope = (misfits[0] - misfits[1]) / (2 * size)
        assert slope == pytest.approx(-2 * float(right[k]), rel=0.05, abs=0.01 * float(right.abs().max()))


@pytest.mark.parametrize("propagate", [far_field(), near_field(0.3, 1e-10, 1e-6)], ids=["far", "near"])
def test_engines_agree_on_equations_and_steps(propagate):
    problem = smooth_scan(propagate, "complex64")
    compiled, torched = make_engine(problem), TorchEngine(problem)
    assert type(compiled) is not TorchEngine
    for engine in (compiled, torched):  # momentum, which a distortion must not be taken for
        engine.accelerate(0.9, 0.5)
    (a, m), (b, n) = (e.distortion_equations() for e in (compiled, torched))
    np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-4 * float(b.abs().max()))
    np.testing.assert_allclose(m.numpy(), n.numpy(), atol=0.02 * float(n.diagonal().max()))
    by = torch.tensor([[0.01, -0.02], [0.03, 0.015]], dtype=torch.float64)
    given = diffraction_of(problem).scan.positions
    for engine in (compiled, torched):
        assert engine.distort(by) == 0
        before = engine.object.clone()
        engine.accelerate(0.9, 0.5)
        np.testing.assert_allclose(engine.object.numpy(), before.numpy(), atol=1e-6)
        moved = given + (given - given.mean(0)) @ by.numpy().T
        np.testing.assert_allclose(engine.positions().numpy(), moved, atol=1e-5)
    np.testing.assert_allclose(compiled.object.numpy(), torched.object.numpy(), atol=1e-5)


def test_frames_that_would_leave_the_object_stay_at_its_edge_and_are_counted():
    engine = make_engine(smooth_scan(far_field(), "complex64"))
    stuck = engine.distort(1.2 * torch.eye(2, dtype=torch.float64))
    assert 0 < stuck < engine.frames
    scan = engine.operator.scan
    pixels = engine.positions().numpy() / scan.pixel_size - np.array(scan.origin) / scan.pixel_size
    room = np.subtract(scan.shape, scan.window)
    assert (pixels >= -1e-6).all()
    assert (pixels <= room + 1e-6).all()
