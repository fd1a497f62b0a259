"""The primitives put together as the instruments of the registry's pages."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pwm_core import Operator, Poisson
from pwm_core.primitives import (
    BeerLambert,
    Convolve,
    Detect,
    Expose,
    FourierSample,
    Illuminate,
    Modulate,
    Project,
    Propagate,
    Rotate,
    Select,
    VideoDetect,
)

RNG = np.random.default_rng(9)
PROBE = RNG.standard_normal((2, 8, 8)) + 1j * RNG.standard_normal((2, 8, 8))

FLUOROSCOPY = (
    VideoDetect(mode="linear", gain=2.0, lag=8.0, gain_drift=0.5, name="detector", label="g, η₁")
    @ Expose(width=3.0, window=4, name="pulse", label="t")
    @ (
        BeerLambert(flux=1000.0, name="beam") @ Project(angles=np.array([0.0, 30.0]), centre=0.1, name="arm")
    ).labelled("Π(proj)")
)
PTYCHOGRAPHY = Detect(modes=True, name="detector", label="g, η₁") @ (
    Propagate(method="fraunhofer", name="far") @ Modulate(mask=PROBE, modes=True)
).labelled("P(probe)")
STEM = (
    Detect(mode="linear", name="detector", label="g, η₁")
    @ Convolve(sigma=0.8, name="probe")
    @ Rotate(scale=0.5, name="scan", boundary="edge")
)
XRF = (
    Detect(mode="linear", name="detector", label="g, η₁")
    @ Select(matrix=RNG.random((30, 3)), label="lines")
    @ Convolve(sigma=1.0, name="spot")
)
MRI = (
    Detect(mode="quadrature", statistics="gaussian", readout=0.1, name="receiver")
    @ FourierSample(mask=np.arange(64).reshape(8, 8) % 3 == 0, name="k")
    @ Modulate(mask=PROBE, modes=True, label="coils")
)
SINGLE_PIXEL = Detect(mode="linear", name="diode", label="g, η₁") @ Illuminate(
    shape=(8, 8), name="lamp", label="DMD"
)

INSTRUMENTS: dict[str, tuple[Operator, tuple[int, ...], tuple[int, ...], str]] = {
    "fluoroscopy": (FLUOROSCOPY, (12, 8, 8), (3, 2, 8), "Π(proj) → Σ_t → D(g, η₁)"),
    "ptychography": (PTYCHOGRAPHY, (5, 8, 8), (5, 8, 8), "P(probe) → D(g, η₁)"),
    "stem": (STEM, (8, 9), (8, 9), "R(scan) → C(probe) → D(g, η₁)"),
    "xrf": (XRF, (3, 8, 9), (30, 8, 9), "C(spot) → Λ(lines) → D(g, η₁)"),
    "mri": (MRI, (8, 8), (2, 22), "M(coils) → F(k) → D(receiver)"),
    "single pixel": (SINGLE_PIXEL, (8, 8), (64,), "S(DMD) → D(g, η₁)"),
}
every_instrument = pytest.mark.parametrize("name", INSTRUMENTS)


@every_instrument
def test_shapes_and_print_are_those_of_the_page(name: str):
    operator, shape, data, text = INSTRUMENTS[name]
    assert operator(RNG.random(shape)).shape == data
    assert str(operator) == text
    assert json.loads(json.dumps(operator.graph()))["text"] == text


@every_instrument
def test_every_parameter_is_scoped_acts_and_is_differentiable_through_the_whole_graph(name: str):
    operator, shape, _, _ = INSTRUMENTS[name]
    x = RNG.random(shape)
    y = operator(x)
    v = RNG.standard_normal(y.shape).astype(y.dtype)
    slopes = operator.vjp(x, v)[1]
    for path, value in operator.theta.items():
        h = 1e-6 * (abs(value) or 1.0)
        if (
            value in (operator.parameters[path].low, operator.parameters[path].high)
            or path == "lamp.contrast"
        ):
            value -= h if value > 0 else -h  # a two-sided difference needs room
        change = (operator(x, {path: value + h}) - operator(x, {path: value - h})) / (2 * h)
        if path != "far.distance":  # it sets the detector's pixel size alone
            assert np.abs(change).max() > 0, path
        assert slopes[path] == pytest.approx(np.vdot(v, change).real, rel=2e-3, abs=1e-3), path


@every_instrument
def test_measurements_scatter_about_the_mean_as_the_detector_says(name: str):
    operator, shape, _, _ = INSTRUMENTS[name]
    x = RNG.random(shape)
    mean, noise = operator(x), operator.noise()
    assert noise is not None
    rng = np.random.default_rng(0)
    y = np.stack([operator.sample(x, rng) for _ in range(300)])
    error = np.abs(y.mean(0) - mean) / np.sqrt(2 * noise.variance(np.abs(mean)) / 300)
    assert np.sqrt((error**2).mean()) < 1.3
    assert isinstance(noise, Poisson) != np.iscomplexobj(mean)
