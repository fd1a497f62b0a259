"""Every primitive against every rule of the operator contract."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pwm_core import primitives
from pwm_core.errors import BadValue
from pwm_core.operator import Operator
from pwm_core.primitives import (
    Absorb,
    Accumulate,
    BeerLambert,
    ConeProject,
    Convolve,
    Detect,
    Disperse,
    Expose,
    FanProject,
    FourierSample,
    Illuminate,
    Modulate,
    Passband,
    Project,
    Propagate,
    Rotate,
    Select,
    Shift,
    VideoDetect,
)

RNG = np.random.default_rng(7)
OPTICS = {"wavelength": 500e-9, "pixel_size": (2e-6, 3e-6)}
KERNEL = RNG.random((5, 4))
ANGLES = np.array([3.0, 40.0, 95.0, 200.0])
PROBE = RNG.standard_normal((3, 6, 8)) + 1j * RNG.standard_normal((3, 6, 8))

# id -> (node, shape of its input, how it prints); parameters away from the kinks of linear interpolation
CASES: dict[str, tuple[Operator, tuple[int, ...], str]] = {
    "P fraunhofer": (Propagate(name="far", method="fraunhofer"), (6, 7), "P(far)"),
    "P fresnel": (Propagate(distance=3e-5, method="fresnel", label="e⁻", **OPTICS), (6, 7), "P(e⁻)"),
    "P angular": (Propagate(distance=3e-5, **OPTICS), (6, 7), "P"),
    "P evanescent": (Propagate(distance=-1e-7, wavelength=5e-7, pixel_size=2e-7), (6, 7), "P"),
    "P padded": (Propagate(distance=3e-5, padded=True, **OPTICS), (6, 7), "P"),
    "M real": (Modulate(mask=RNG.random((6, 8))), (6, 8), "M"),
    "M probe modes": (Modulate(mask=PROBE, modes=True, label="probe"), (6, 8), "M(probe)"),
    "M absorb": (Absorb(depth=RNG.random((6, 8)), strength=1.1), (6, 8), "M"),
    "M Beer-Lambert": (BeerLambert(flux=50.0, label="I₀"), (6, 8), "M(I₀)"),
    "Π parallel": (Project(angles=ANGLES, centre=0.3, angle_offset=0.7, pixel_size=0.5), (9, 8), "Π"),
    "Π fan": (
        FanProject(angles=ANGLES, centre=0.3, angle_offset=0.7, source_object=30.0, source_detector=52.0),
        (9, 8),
        "Π",
    ),
    "Π cone": (
        ConeProject(
            angles=ANGLES, centre=0.3, angle_offset=0.7, source_object=30.0, source_detector=52.0, rows=5
        ),
        (4, 7, 8),
        "Π",
    ),
    "F mask": (
        FourierSample(mask=RNG.random((6, 7)) < 0.5, shift_ky=0.2, shift_kx=-0.3, label="k"),
        (6, 7),
        "F(k)",
    ),
    "F points": (FourierSample(points=RNG.random((11, 2)) - 0.5, shift_ky=0.2, shift_kx=-0.3), (6, 7), "F"),
    "C Gaussian": (Convolve(sigma=1.3, name="psf"), (6, 8), "C(psf)"),
    "C kernel": (Convolve(sigma=0.7, kernel=KERNEL, pixel_size=(0.5, 1.0)), (7, 9), "C"),
    "C zero": (Convolve(sigma=0.7, kernel=KERNEL, boundary="zero"), (7, 9), "C"),
    "Σ": (Accumulate(label="λ"), (5, 4, 3), "Σ_λ"),
    "Σ windows": (Accumulate(axis=-2, window=2, weights=np.array([0.3, 0.9]), mean=True), (5, 4, 3), "Σ"),
    "Σ pulse": (Expose(width=2.3, subframe=0.8, window=4, label="t"), (8, 2, 3), "Σ_t"),
    "D intensity": (Detect(gain=2.5, background=0.3, response=RNG.random((4, 5))), (4, 5), "D(g, η₁)"),
    "D modes": (Detect(gain=2.5, background=0.3, modes=True, readout=1.0), (3, 4, 5), "D(g, η₁)"),
    "D linear": (Detect(gain=2.5, mode="linear", statistics="none"), (4, 5), "D(g)"),
    "D quadrature": (
        Detect(gain=2.5, mode="quadrature", statistics="gaussian", readout=1.0),
        (4, 5),
        "D(g, η₁)",
    ),
    "D video": (
        VideoDetect(mode="linear", gain=2.5, lag=20.0, gain_drift=0.5, name="det"),
        (6, 4, 5),
        "D(det)",
    ),
    "S Hadamard": (Illuminate(shape=(4, 8), contrast=0.8, count=20), (4, 8), "S"),
    "S random": (Illuminate(shape=(4, 6), kind="random", contrast=0.8, seed=3), (4, 6), "S"),
    "S frames": (Illuminate(shape=(4, 6), kind="block", block=2, bucket=False, contrast=0.8), (4, 6), "S"),
    "W": (
        Disperse(slope=0.17, curvature=0.01, wavelengths=np.array([500.0, 507, 511]), margin=3),
        (3, 4, 6),
        "W",
    ),
    "W y": (
        Disperse(slope=0.17, curvature=0.01, wavelengths=np.array([500.0, 507]), axis=-2),
        (2, 5, 6),
        "W",
    ),
    "R": (Rotate(angle=13.0, scale=2.1, shear=1.3, shift_y=0.4, shift_x=-0.7), (9, 8), "R"),
    "R edge": (
        Rotate(angle=-5.0, scale=-3.0, shear=0.5, shift_y=1.4, shift_x=0.6, boundary="edge"),
        (6, 7),
        "R",
    ),
    "R shift": (Shift(dy=0.4, dx=-1.7), (6, 7), "R"),
    "Λ": (Select(matrix=RNG.random((7, 3))), (3, 4, 5), "Λ"),
    "Λ last axis": (Select(matrix=RNG.random((7, 5)), axis=-1, label="lines"), (4, 5), "Λ(lines)"),
    "Λ passband": (Passband(centre=1.1, width=0.3, energies=np.linspace(0.5, 2, 5)), (5, 3, 4), "Λ"),
}
every_case = pytest.mark.parametrize("case", CASES)


def _random(shape: tuple[int, ...], seed: int, kind: str = "f8") -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if kind[0] == "c" else x).astype(kind)


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b).real)


def _close(a: np.ndarray | float, b: np.ndarray | float, tolerance: float, floor: float = 1e-12) -> bool:
    return bool(
        np.linalg.norm(np.subtract(a, b)) <= tolerance * max(np.linalg.norm(a), np.linalg.norm(b), floor)
    )


def _kinds(case: str) -> list[str]:
    """Optical depths are real; everything else takes real and complex objects."""
    return ["f8"] if "Beer" in case else ["f8", "c16"]


def test_every_exported_primitive_is_in_the_matrix_and_all_eleven_letters_appear():
    nodes = [node for node, _, _ in CASES.values()]
    assert {type(n).__name__ for n in nodes} == set(primitives.__all__)
    assert {n.symbol for n in nodes} == set("PMΠFCΣDSWRΛ")


@every_case
def test_linear_says_truly_whether_the_map_is_linear(case: str):
    node, shape, _ = CASES[case]
    x, y = _random(shape, 1), _random(shape, 2)
    superposed = _close(node(2.0 * x - 3.0 * y), 2.0 * node(x) - 3.0 * node(y), 1e-11)
    assert superposed == node.linear


@every_case
def test_adjoint_passes_the_dot_test(case: str):
    node, shape, _ = CASES[case]
    for kind in _kinds(case):
        x = _random(shape, 1, kind)
        if not node.linear:
            with pytest.raises(BadValue, match="not linear"):
                node.adjoint(x, x)
            continue
        y = node(x)
        v = _random(y.shape, 3, y.dtype.str[1:])
        left, right = _inner(y, v), _inner(x, node.adjoint(v, x))
        assert abs(left - right) <= 1e-10 * np.linalg.norm(y) * np.linalg.norm(v)


@every_case
def test_derivative_to_the_object_is_that_of_finite_differences(case: str):
    node, shape, _ = CASES[case]
    for kind in _kinds(case):
        x, d, h = _random(shape, 1, kind), _random(shape, 2, kind), 1e-5
        change = (node(x + h * d) - node(x - h * d)) / (2 * h)
        v = _random(change.shape, 3, change.dtype.str[1:])
        assert _close(node.jvp(x, d), change, 1e-7)
        assert abs(_inner(node.vjp(x, v)[0], d) - _inner(v, change)) <= 1e-7 * np.linalg.norm(
            change
        ) * np.linalg.norm(v)


@every_case
def test_derivative_to_every_parameter_is_that_of_finite_differences(case: str):
    node, shape, _ = CASES[case]
    for kind in _kinds(case):
        x = _random(shape, 1, kind)
        v = _random(node(x).shape, 3, node(x).dtype.str[1:])
        pulled = node.vjp(x, v)[1]
        assert pulled.keys() == node.parameters.keys()
        for name, value in node.theta.items():
            h = 1e-5 * (abs(value) or 1.0)
            low = 0.0 if value == 0.0 and node.parameters[name].low == 0.0 else -h  # one-sided at a bound
            change = (node(x, {name: value + h}) - node(x, {name: value + low})) / (h - low)
            pushed = node.jvp(x, dtheta={name: 1.0})
            assert _close(pushed, change, 1e-6), name
            assert (
                abs(pulled[name] - _inner(v, pushed))
                <= 1e-9 * np.linalg.norm(v) * np.linalg.norm(pushed) + 1e-12
            ), name


@every_case
def test_every_parameter_acts(case: str):
    """In the far field the distance only sets the pixel size of the detector."""
    node, shape, _ = CASES[case]
    x = _random(shape, 1)
    for name in node.parameters:
        acts = np.abs(node.jvp(x, dtheta={name: 1.0})).max() > 1e-9
        assert acts != (case == "P fraunhofer"), name


@every_case
def test_precision_is_kept_and_single_agrees_with_double(case: str):
    node, shape, _ = CASES[case]
    for kind in _kinds(case):
        x = _random(shape, 1, kind)
        double, single = node(x), node(x.astype(kind[0] + str(int(kind[1:]) // 2)))
        assert double.dtype in (np.float64, np.complex128)
        assert single.dtype == (np.float32 if double.dtype == np.float64 else np.complex64)
        assert _close(single, double, 2e-6)


@every_case
def test_gradients_keep_single_precision_too(case: str):
    node, shape, _ = CASES[case]
    x = _random(shape, 1).astype(np.float32)
    y = node(x)
    back, _ = node.vjp(x, y)
    assert back.dtype == np.float32
    assert node.jvp(x, x, dict.fromkeys(node.parameters, 1.0)).dtype == y.dtype


@every_case
def test_numpy_gives_numpy_and_a_tensor_gives_a_tensor_that_records_gradients(case: str):
    node, shape, _ = CASES[case]
    x = _random(shape, 1)
    t = torch.from_numpy(x).requires_grad_()
    out = node(t)
    assert isinstance(node(x), np.ndarray)
    assert out.requires_grad
    assert np.array_equal(out.detach().numpy(), node(x))


@every_case
def test_leading_axes_are_a_batch(case: str):
    node, shape, _ = CASES[case]
    x = _random((2, 3, *shape), 1)
    each = np.stack([np.stack([node(x[i, j]) for j in range(3)]) for i in range(2)])
    assert _close(node(x), each, 1e-13)


@every_case
def test_input_and_arrays_of_the_node_are_left_alone(case: str):
    node, shape, _ = CASES[case]
    x = _random(shape, 1)
    kept, digest = x.copy(), node.digest()
    x.flags.writeable = False
    assert np.array_equal(node(x), node(x))
    assert np.array_equal(x, kept)
    assert node.digest() == digest


@every_case
def test_graph_is_json_and_prints_in_the_notation_of_the_pages(case: str):
    node, _, text = CASES[case]
    graph = json.loads(json.dumps(node.graph()))
    assert graph["text"] == text == str(node)
    assert graph["nodes"][0]["symbol"] == node.symbol


@every_case
def test_unfit_input_is_refused_in_one_sentence(case: str):
    node, shape, _ = CASES[case]
    with pytest.raises(BadValue, match="float") as refused:
        node(np.ones(shape, dtype=np.int64))
    assert "\n" not in str(refused.value)
    if case not in ("M Beer-Lambert", "D linear", "D quadrature"):  # pointwise, hence at home on any shape
        with pytest.raises(BadValue, match=r"\(\)"):
            node(torch.ones(()))


@every_case
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_answer_on_its_own_device(case: str):
    node, shape, _ = CASES[case]
    x = _random(shape, 1)
    there = torch.from_numpy(x).cuda()
    y = node(there)
    assert y.device.type == "cuda"
    assert _close(y.cpu().numpy(), node(x), 1e-11)
    back, slopes = node.vjp(there, y)
    assert back.device.type == "cuda"
    here, expected = node.vjp(x, node(x))
    assert _close(back.cpu().numpy(), here, 1e-11)
    for name, slope in slopes.items():
        assert _close(float(slope), float(expected[name]), 1e-8, floor=1e-6), name


@every_case
def test_parameters_have_unit_or_are_ratios_and_say_what_they_are(case: str):
    for p in CASES[case][0].parameters.values():
        assert p.doc
        assert p.symbol
        assert p.unit or p.symbol in ("m", "V")
        assert p.low <= p.nominal <= p.high
