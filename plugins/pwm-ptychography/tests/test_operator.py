"""The forward model: derivatives, energy, limiting cases, and the effect of each parameter."""

import numpy as np
import pytest
import torch
from pwm_ptychography import derivative
from pwm_ptychography.assembly import assemble, far_field, near_field
from pwm_ptychography.illumination import SOURCE_POINTS, SOURCE_WEIGHTS, displaced
from pwm_ptychography.modality import Ptychography
from pwm_ptychography.operator import Diffraction, diffraction_of
from pwm_ptychography.simulation import beam_diameter, focused_wave, wavelength

from pwm_core import PwmError
from pwm_core.operator import Operator
from pwm_core.testing import check_operator


def wave(n=24, sigma=4.0):
    y, x = np.indices((n, n)) - n // 2
    return (np.exp(-(y**2 + x**2) / (2 * sigma**2)) * np.exp(0.02j * (y**2 + 1.3 * x**2)))[None]


def scan(fraction=0.0, propagate=None, n=24, rng=None, **more):
    positions = 5.0 * np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), -1).reshape(-1, 2)
    if rng is not None:
        positions = positions + rng.uniform(-2, 2, positions.shape)
    positions = positions + fraction * (np.arange(16)[:, None] % 2)
    return assemble(wave=wave(n), positions=positions, pixel=1.0, propagate=propagate or far_field(), **more)


def random_object(operator, rng, dtype=np.complex128):
    shape = operator.scan.shape
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def test_it_prints_as_the_page_does():
    assert str(scan()) == "P(probe) → D(g, η₁)"
    assert scan().expanded() == "R(scan) → M(probe) → P(far field) → D(g, η₁)"


@pytest.mark.parametrize("propagate", [far_field(), near_field(0.01, 1e-10, 1e-7)], ids=["far", "near"])
@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_derivatives_equal_finite_differences(propagate, fraction):
    rng = np.random.default_rng(0)
    operator = scan(fraction, propagate, wavelength=1e-10, defocus=1e-4, source_width=3e-1)
    report = check_operator(operator, random_object(operator, rng))
    assert report.ok, str(report)


@pytest.mark.parametrize("n", [24, 23])
@pytest.mark.parametrize("retrieved", [False, True], ids=["model", "modes"])
@pytest.mark.parametrize("propagate", [far_field(), near_field(0.01, 1e-10, 1e-7)], ids=["far", "near"])
def test_the_kept_derivative_is_that_of_single_products(propagate, retrieved, n):
    rng = np.random.default_rng(3)
    operator = scan(0.3, propagate, n, rng, wavelength=1e-10, defocus=1e-4, source_width=0.3, gain=2.5)
    operator = operator.at({"probe.flux": rng.uniform(0.5, 1.5, 16)})
    x, dx = (torch.from_numpy(random_object(operator, rng)) for _ in range(2))
    names, changes = [], []
    if retrieved:
        operator = operator.at({"probe.modes": operator.modes(x).numpy()})
        names, changes = ["probe.modes"], [operator.modes(x) * (0.3 + 0.1j)]
    forward, backward = operator.derivative(x, names)
    expected = operator.jvp(x, dx, dict(zip(names, changes, strict=True)))
    torch.testing.assert_close(forward(dx, *changes), expected, rtol=1e-9, atol=1e-9)
    v = torch.from_numpy(rng.standard_normal(expected.shape))
    first, rest = operator.vjp(x, v, wrt=names)
    for found, wanted in zip(backward(v), [first, *rest.values()], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("modes", [False, True], ids=["object", "modes"])
@pytest.mark.parametrize("fraction", [0.0, 0.3])
@pytest.mark.parametrize("method", ["fresnel", "angular-spectrum"])
def test_near_field_products_are_kept_exact_and_adjoint(method, fraction, modes, monkeypatch):
    """Frames are quadratic in object and in modes: central differences have no error but rounding's."""
    rng = np.random.default_rng(6)
    propagate = near_field(0.01, 1e-10, 1e-7).replace(method=method)
    operator = scan(fraction, propagate, wavelength=1e-10, defocus=1e-4, source_width=0.3, gain=2.5)
    x, dx = (torch.from_numpy(random_object(operator, rng)) for _ in range(2))
    nominal = operator.modes(x)
    dp = torch.from_numpy(rng.standard_normal(nominal.shape)) * nominal.abs().max() * (1 + 1j)
    monkeypatch.setattr(Operator, "derivative", None)  # that by single products
    names, changes = (["probe.modes"], [dp]) if modes else ([], [])
    forward, backward = operator.at({"probe.modes": nominal.numpy()}).derivative(x, names)
    ends = [operator(x + h * dx, {"probe.modes": nominal}) for h in (0.5, -0.5)]
    expected = ends[0] - ends[1]
    if modes:
        ends = [operator(x, {"probe.modes": nominal + h * dp}) for h in (0.5, -0.5)]
        expected = expected + (ends[0] - ends[1])
    found = forward(dx, *changes)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))
    v = torch.from_numpy(rng.standard_normal(expected.shape))
    back = backward(v)
    assert len(back) == 1 + len(changes)
    products = [(b.conj() * c).real.sum() for b, c in zip(back, [dx, *changes], strict=True)]
    torch.testing.assert_close(sum(products), (v * found).sum(), rtol=1e-10, atol=0)


def test_a_padded_near_field_has_the_derivative_of_single_products():
    rng = np.random.default_rng(7)
    operator = scan(0.3, near_field(0.01, 1e-10, 1e-7).replace(padded=True))
    x, dx = (torch.from_numpy(random_object(operator, rng)) for _ in range(2))
    ends = [operator(x + h * dx) for h in (0.5, -0.5)]
    torch.testing.assert_close(operator.derivative(x)[0](dx), ends[0] - ends[1])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("fraction", [0.0, 0.3])
@pytest.mark.parametrize("flux", [False, True])
def test_compiled_and_torch_derivatives_agree(fraction, flux, threads):
    rng = np.random.default_rng(4)
    operator = scan(
        fraction, far_field(), 24, rng, wavelength=1e-10, defocus=1e-4, source_width=0.3, gain=2.5
    )
    operator = operator.at({"probe.flux": rng.uniform(0.5, 1.5, 16)}) if flux else operator
    x, dx = (torch.from_numpy(random_object(operator, rng)).to(torch.complex64) for _ in range(2))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = derivative.far_field(operator, x)
    finally:
        torch.set_num_threads(before)
    assert isinstance(ours, derivative.CompiledFarField)
    reference = derivative.FarField(operator, x)
    change = operator.modes(x) * (0.3 + 0.1j)
    for arguments in ((dx,), (dx, change)):
        expected = reference.forward(*arguments)
        error = (ours.forward(*arguments) - expected).abs().max()
        assert error < 1e-5 * expected.abs().max()
    v = torch.from_numpy(rng.standard_normal(expected.shape)).float()
    for found, wanted in zip(ours.backward(v), reference.backward(v), strict=True):
        assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("block", [1, 100])
def test_each_frame_may_have_its_own_background(block, monkeypatch):
    rng = np.random.default_rng(5)
    operator = scan(0.3, rng=rng, gain=2.5)
    background = rng.uniform(0, 3, (16, 1, 1))
    lit = operator.at({"detector.background": background})
    x = random_object(operator, rng)
    monkeypatch.setattr("pwm_ptychography.operator._BLOCK", 24 * 24 * 16 * block)
    np.testing.assert_allclose(lit(x), operator(x) + 2.5 * background, rtol=1e-12)
    np.testing.assert_array_equal(operator(x, {"detector.background": background}), lit(x))
    assert check_operator(lit, x).ok
    dx = torch.from_numpy(random_object(operator, rng))
    kept = [o.derivative(torch.from_numpy(x))[0](dx) for o in (lit, operator)]
    torch.testing.assert_close(*kept)
    v = rng.standard_normal(lit(x).shape)
    _, slopes = lit.vjp(x, v, wrt=["detector.background"])
    np.testing.assert_allclose(slopes["detector.background"], 2.5 * v.sum((1, 2), keepdims=True))


def test_whole_pixel_positions_cut_exact_patches():
    operator = scan()
    x = random_object(operator, np.random.default_rng(0))
    corners, fractions = operator.scan.corners(operator.scan.positions)
    assert not fractions.any()
    j = 7
    r, c = corners[j].tolist()
    psi = wave()[0].astype(np.complex64) * x[r : r + 24, c : c + 24]
    expected = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(psi), norm="ortho"))) ** 2
    np.testing.assert_allclose(operator(x)[j], expected, rtol=1e-5)


def test_counts_of_a_transparent_object_are_the_power_of_the_probe():
    operator = scan(0.37)
    y = operator(np.ones(operator.scan.shape, np.complex128))
    np.testing.assert_allclose(y.sum((1, 2)), np.sum(np.abs(wave()) ** 2), rtol=1e-5)


def test_near_field_pattern_moves_with_the_object_not_with_the_grid():
    """A sub-pixel move of the stage is the same as moving a band-limited object the other way."""
    n = 48
    base = {"wave": np.ones((1, n, n)), "pixel": 1e-7, "propagate": near_field(1e-3, 1e-10, 1e-7)}
    still = assemble(positions=np.array([[0, 0], [2e-7, 3e-7], [5e-7, 5e-7]]), **base)
    moved = assemble(positions=np.array([[0, 0], [2.4e-7, 2.7e-7], [5e-7, 5e-7]]), **base)
    y, x = np.indices(still.scan.shape) - np.array(still.scan.shape)[:, None, None] / 2
    blob = 1 - 0.5 * np.exp(-(y**2 + x**2) / 30)
    shifted = 1 - 0.5 * np.exp(-((y + 0.4) ** 2 + (x - 0.3) ** 2) / 30)
    assert moved.scan.shape == still.scan.shape
    np.testing.assert_allclose(moved(blob + 0j)[1], still(shifted + 0j)[1], atol=2e-5)


def test_sub_pixel_positions_agree_with_a_finer_grid():
    """Half a pixel on a grid is one pixel on a grid of half the pixel size (far field, padded)."""
    y, x = np.indices((32, 32)) - 16
    probe = np.exp(-(y**2 + x**2) / 18) + 0j
    spectrum = np.zeros((64, 64), complex)
    spectrum[16:48, 16:48] = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe)))
    fine_probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum))) * 4
    coarse = displaced(torch.from_numpy(probe)[None], torch.tensor([[0.5, 0.0]]))[0, 0].numpy()
    np.testing.assert_allclose(coarse, np.roll(fine_probe, 1, 0)[::2, ::2], atol=1e-9)


def test_blocks_of_frames_do_not_change_the_result(monkeypatch):
    operator = scan(rng=np.random.default_rng(3))
    x = random_object(operator, np.random.default_rng(0))
    whole = operator(x)
    v = np.random.default_rng(1).random(whole.shape)
    gradient, _ = operator.vjp(x, v)
    monkeypatch.setattr("pwm_ptychography.operator._BLOCK", 24 * 24 * 16 * 3)
    np.testing.assert_allclose(operator(x), whole, rtol=1e-12)
    np.testing.assert_allclose(operator.vjp(x, v)[0], gradient, rtol=1e-10)


def test_the_source_quadrature_is_exact_to_fifth_order():
    y, x, w = SOURCE_POINTS[:, 0], SOURCE_POINTS[:, 1], SOURCE_WEIGHTS
    moments = {(0, 0): 1, (2, 0): 1, (0, 2): 1, (4, 0): 3, (0, 4): 3, (2, 2): 1}
    for a in range(6):
        for b in range(6 - a):
            assert np.sum(w * y**a * x**b) == pytest.approx(moments.get((a, b), 0), abs=1e-12)


def test_incoherent_modes_add_up_as_intensities():
    two = np.concatenate([wave(), 0.5j * wave(sigma=2.0)])
    positions = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 1.0]])
    build = lambda w: assemble(wave=w, positions=positions, pixel=1.0, propagate=far_field())  # noqa: E731
    both, first, second = build(two), build(two[:1]), build(two[1:])
    x = random_object(both, np.random.default_rng(0))
    np.testing.assert_allclose(both(x), first(x) + second(x), rtol=1e-5)


def test_retrieved_modes_replace_the_modelled_probe():
    operator = scan(source_width=0.5)
    x = random_object(operator, np.random.default_rng(0))
    modes = operator.modes(torch.zeros(1, dtype=torch.complex128)).numpy()
    assert len(modes) == 7
    np.testing.assert_allclose(
        operator(x, {"probe.modes": modes, "probe.coherence": 5.0}), operator(x), rtol=1e-6
    )


def test_positions_outside_the_object_are_named():
    operator = scan()
    moved = operator.scan.positions.copy()
    moved[3] += 100
    with pytest.raises(PwmError, match=r"1 scan positions lie outside .* frame 3"):
        operator(np.ones(operator.scan.shape, np.complex64), {"scan.positions": moved})


def test_probe_error_is_propagation_by_that_part_of_the_defocus():
    """5 % of the defocus widens the beam as a wave focused 5 % further off."""
    lam, n, pixel = wavelength(8.8e3), 128, 15e-9
    nominal = focused_wave(n, pixel, lam, 1.41e-3, 155e-6, 0.0)
    further = focused_wave(n, pixel, lam, 1.41e-3, 155e-6 * 1.05, 0.0)
    operator = assemble(
        wave=nominal[None],
        positions=np.zeros((2, 2)),
        pixel=pixel,
        propagate=far_field(),
        wavelength=lam,
        defocus=155e-6,
    )
    got = operator.modes(torch.zeros(1, dtype=torch.complex128), {"probe.error": 5.0})[0].numpy()
    np.testing.assert_allclose(got, further, atol=2e-6 * np.abs(further).max())
    # geometric optics: away from the focus the beam grows with the distance
    grown = beam_diameter(got, pixel) / beam_diameter(nominal, pixel)
    assert 1.03 < grown < 1.07


def test_drift_moves_the_last_frame_by_exactly_its_value():
    operator = diffraction_of(Ptychography.small().simulate("circuit")[0])
    c0, f0 = operator.scan.corners(operator.scan.positions, None, 0.0)
    c1, f1 = operator.scan.corners(operator.scan.positions, None, 20.0)
    moved = ((c1 + f1) - (c0 + f0)) * operator.scan.pixel_size * 1e9
    np.testing.assert_allclose(moved[0], 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(moved[-1]), 20.0, rtol=1e-9)
    np.testing.assert_allclose(moved[:, 0], moved[:, 1], rtol=1e-6)  # along the diagonal


def test_a_wider_source_blurs_the_shifted_object():
    """Σ_k w_k |F{P(r − s_k) O}|² is the mean over displaced illuminations: second order in the width."""
    operator = scan(source_width=0.0)
    x = random_object(operator, np.random.default_rng(0))
    y0 = operator(x)
    step = [operator(x, {"probe.coherence": w * 1e9}) - y0 for w in (0.05, 0.1, 0.2)]
    sizes = [float(np.linalg.norm(s)) for s in step]
    assert sizes[1] / sizes[0] == pytest.approx(4, rel=0.02)
    assert sizes[2] / sizes[1] == pytest.approx(4, rel=0.08)


@pytest.mark.parametrize("spec", Ptychography.specs, ids=lambda s: s.name)
def test_each_parameter_moves_the_data_by_the_predicted_amount(spec):
    """Over its published ranges the data move about as far as their derivative predicts."""
    problem, truth = Ptychography(side=6).simulate("cells")
    operator, x = problem.operator, truth.x.astype(np.complex128)
    y0 = operator(x, {spec.path: 0.0})
    slope = operator.jvp(x, dtheta={spec.path: 1.0}, theta={spec.path: 0.0})
    assert np.linalg.norm(slope) * spec.perturbed > 1e-3 * np.linalg.norm(y0), "it hardly acts"
    for end in (*spec.public, *spec.dev, *spec.hidden):
        predicted = np.linalg.norm(end * slope)
        assert 0.4 * predicted < np.linalg.norm(operator(x, {spec.path: end}) - y0) < 1.6 * predicted
        if spec.path != "scan.drift":  # frames change their pixel; its derivative is tested above
            left = [operator(x, {spec.path: c * end}) - y0 - c * end * slope for c in (0.1, 0.05)]
            assert np.linalg.norm(left[1]) < 0.3 * np.linalg.norm(left[0]), "not exact to second order"


def test_drift_is_the_same_as_moved_positions():
    problem, truth = Ptychography.small().simulate("cells")
    scan = diffraction_of(problem).scan
    time = np.linspace(0, 1, len(scan.positions))[:, None]
    moved = scan.positions + 17e-9 * time * np.sqrt(0.5)
    np.testing.assert_allclose(
        problem.operator(truth.x, {"scan.positions": moved}),
        problem.operator(truth.x, {"scan.drift": 17.0}),
        rtol=1e-4,
        atol=1e-2,
    )


def test_float32_and_float64_agree():
    operator = scan(0.25)
    x = random_object(operator, np.random.default_rng(0))
    y64, y32 = operator(x), operator(x.astype(np.complex64))
    assert y64.dtype == np.float64
    assert y32.dtype == np.float32
    np.testing.assert_allclose(y32, y64, atol=1e-4 * y64.max())


def test_graph_survives_a_file(tmp_path):
    from pwm_core.formats import load_problem, save_problem

    problem, truth = Ptychography.small().simulate("lattice")
    save_problem(tmp_path / "p.h5", problem)
    back = load_problem(tmp_path / "p.h5")
    assert isinstance(back.operator, Diffraction)
    assert back.operator.digest() == problem.operator.digest()
    np.testing.assert_array_equal(back.operator(truth.x), problem.operator(truth.x))
