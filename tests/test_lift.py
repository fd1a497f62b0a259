"""Variance stabilisation, and the two reconstructors that are made of any denoiser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from pwm_core import (
    Card,
    Denoiser,
    DenoiseThenInvert,
    Gaussian,
    Iterate,
    Operator,
    PlugAndPlay,
    Poisson,
    Problem,
    Reconstructor,
    param,
    run,
)
from pwm_core.errors import BadValue, Unsuitable
from pwm_core.methods import available, build, find_method
from pwm_core.metrics import nrmse
from pwm_core.registry import Entry, Registry
from pwm_core.vst import stabilise, unstabilise


class Camera(Operator):
    """A Gaussian blur and a gain; the noise is whatever is given."""

    symbol = "C"
    width: float = param(1.0, low=0)
    gain: float = param(1.0, low=0)
    detector: Any = None

    def apply(self, x: torch.Tensor, width: Any, gain: Any) -> torch.Tensor:
        k = torch.fft.fftfreq(x.shape[-1], dtype=x.dtype)
        blur = torch.exp(-2 * (torch.pi * width) ** 2 * (k[:, None] ** 2 + k**2))
        return gain * torch.fft.ifft2(torch.fft.fft2(x) * blur).real

    def noise(self, theta: Any = None) -> Any:
        return self.detector


class Transmission(Camera):
    """Beer's law behind the blur: bent, so that nothing but its derivative helps."""

    linear = False

    def apply(self, x: torch.Tensor, width: Any, gain: Any) -> torch.Tensor:
        return super().apply(torch.exp(-x), width, gain)


class Spectrum(Operator):
    """Two maps seen in six channels behind a blur; knows how to reduce its data to two maps again."""

    symbol = "Λ"

    def matrix(self) -> torch.Tensor:
        lines = np.exp(-0.5 * (np.arange(6)[:, None] - [1.5, 3.0]) ** 2)  # they overlap
        return torch.tensor(lines * [30.0, 0.3], dtype=torch.float32)  # and one is a trace

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ec,cyx->eyx", self.matrix(), Camera(width=0.7)(x))

    def noise(self, theta: Any = None) -> Any:
        return Gaussian(sigma=0.5)

    def reduce(self, y: np.ndarray, mask: Any = None) -> tuple[np.ndarray, Operator]:
        a = self.matrix().double().numpy() / 0.5
        factor = np.linalg.cholesky(a.T @ a)
        white = np.linalg.solve(factor, a.T / 0.5)
        return np.tensordot(white, y, 1).astype(np.float32), Reduced(factor=factor.T)


class Reduced(Operator):
    factor: Any = None

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("kc,cyx->kyx", torch.as_tensor(self.factor).to(x), Camera(width=0.7)(x))

    def noise(self, theta: Any = None) -> Any:
        return Gaussian(sigma=1.0)


class Smooth(Denoiser):
    width: float = param(1.5, low=0)

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        return gaussian_filter(image, self.width, axes=(-2, -1))


class Listening(Denoiser):
    """Keeps what it was given, and returns it unchanged."""

    heard: Any = None

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        self.heard.append((image.copy(), sigma))
        return image


def scene(size: int = 48) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    blobs = np.exp(-((x - 0.3) ** 2 + (y - 0.4) ** 2) / 0.02) + 0.7 * np.exp(
        -((x - 0.7) ** 2 + (y - 0.6) ** 2) / 0.03
    )
    return (0.2 + blobs).astype(np.float32)


def measured(operator: Operator, x: np.ndarray, **changes: Any) -> Problem:
    y = operator.sample(x, np.random.default_rng(0))
    fields = {"y": y, "operator": operator, "modality": "toy", "shape": x.shape}
    return Problem(**{**fields, **changes})


# -- variance stabilisation ---------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.floats(4, 500), st.floats(0.1, 20), st.floats(0, 3))
def test_stabilised_counts_have_unit_variance(quanta: float, gain: float, read: float) -> None:
    noise = Poisson(gain=gain, readout=read * gain)
    y = noise.sample(np.full(60_000, quanta * gain), np.random.default_rng(1))
    assert stabilise(y, noise).var() == pytest.approx(1, abs=0.06)
    assert stabilise(y, noise).var() < 0.5 * y.var() / gain**2  # which is quanta + read²


@settings(max_examples=25, deadline=None)
@given(st.floats(0.5, 500), st.floats(0.1, 20), st.floats(0, 1))
def test_the_inverse_gives_the_mean_without_bias(quanta: float, gain: float, read: float) -> None:
    noise = Poisson(gain=gain, readout=read * gain)
    n = 60_000
    y = noise.sample(np.full(n, quanta * gain), np.random.default_rng(2))
    spread = np.sqrt((quanta + read**2) / n) * gain  # of the sample mean
    back = unstabilise(np.array(stabilise(y, noise).mean()), noise)
    assert back == pytest.approx(quanta * gain, abs=5 * spread + 0.02 * gain)


def test_the_algebraic_inverse_would_be_biased_where_this_one_is_not() -> None:
    noise = Poisson()
    y = noise.sample(np.full(400_000, 2.0), np.random.default_rng(3))
    mean = stabilise(y, noise).mean()
    assert abs((mean / 2) ** 2 - 3 / 8 - 2.0) > 0.15
    assert abs(float(unstabilise(mean, noise)) - 2.0) < 0.02


def test_the_inverse_is_monotonic_and_never_negative() -> None:
    noise = Poisson(gain=2.0, readout=3.0)
    mean = unstabilise(np.linspace(-1, 60, 2000), noise)
    assert (mean >= 0).all()
    assert (np.diff(mean) >= 0).all()
    assert mean[0] == 0
    assert np.isfinite(stabilise(np.array([-1e6, 0.0, 1e12]), noise)).all()


# -- denoise, then invert ---------------------------------------------------------------------


@pytest.mark.parametrize("detector", [Poisson(gain=2.0), Poisson(gain=2.0, readout=3.0), Gaussian(sigma=8.0)])
def test_denoising_the_estimate_improves_on_it(detector: Any) -> None:
    x = scene()
    problem = measured(Camera(width=0.5, gain=40.0, detector=detector), x)
    result = run(DenoiseThenInvert(denoiser=Smooth()), problem)
    assert result.x.dtype == np.float32
    assert result.x.shape == x.shape
    assert nrmse(result.x, x) < 0.5 * nrmse(problem.y / 40, x)


def test_the_denoiser_is_told_the_noise_it_sees() -> None:
    heard: list = []
    x = scene()
    method = DenoiseThenInvert(denoiser=Listening(heard=heard))
    gaussian = measured(Camera(detector=Gaussian(sigma=0.3)), x)
    run(method, gaussian)
    np.testing.assert_allclose(heard[0][0], gaussian.y)
    poisson = measured(Camera(gain=50.0, detector=Poisson()), x)
    run(method, poisson)
    np.testing.assert_allclose(heard[1][0], stabilise(poisson.y, Poisson()))
    assert [sigma for _, sigma in heard] == [0.3, 1.0]


@pytest.mark.parametrize("camera", [Camera, Transmission])
def test_what_is_left_of_the_noise_decides_how_far_the_operator_is_undone(camera: type[Camera]) -> None:
    x = scene()
    problem = measured(camera(width=1.2, gain=2e5, detector=Poisson(readout=1.0)), x)
    clean = problem.replace(y=problem.operator(x))
    sharp = run(DenoiseThenInvert(denoiser=Listening(heard=[])), clean).x
    blurred = Camera(width=1.2)(x)
    assert nrmse(sharp, x) < 0.15 * nrmse(blurred, x)
    mean = problem.operator(sharp)
    spread = (mean - clean.y) / np.sqrt(Poisson(readout=1.0).variance(mean))
    assert np.sqrt(np.mean(spread**2)) < 0.15  # what is left is below what denoised data are good for


def test_what_lies_under_a_mask_does_not_matter_to_the_estimate() -> None:
    x = scene()
    problem = measured(Camera(width=0.5, gain=40.0, detector=Poisson()), x)
    mask = np.random.default_rng(1).random(x.shape) > 0.2
    method = DenoiseThenInvert(denoiser=Smooth())
    results = [
        run(method, problem.replace(y=np.where(mask, problem.y, junk), mask=mask)).x for junk in (1e6, np.nan)
    ]
    np.testing.assert_array_equal(*results)
    assert nrmse(results[0], x) < 0.25


@pytest.mark.parametrize("lift", [DenoiseThenInvert, PlugAndPlay])
def test_maps_of_different_scale_are_denoised_each_at_its_own_level(lift: type[Reconstructor]) -> None:
    x = np.stack([scene(), 100 * scene()[::-1].T])
    problem = measured(Spectrum(), x, axes=("component", "y", "x"))
    assert problem.reduced().y.shape == x.shape
    result = run(lift(denoiser=Smooth(width=1.0)), problem)  # type: ignore[call-arg]
    plain = run(lift(denoiser=Listening(heard=[])), problem)  # type: ignore[call-arg]
    for got, without, want in zip(result.x, plain.x, x, strict=True):
        assert nrmse(got, want) < 0.12
        assert nrmse(got, want) < 0.6 * nrmse(without, want)


def test_reduced_data_lead_to_the_least_squares_solution_of_the_whole_data() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((2, 8, 8)).astype(np.float32)
    problem = measured(Spectrum(), x, axes=("component", "y", "x"))
    less = problem.reduced()
    dense = [
        np.stack([op(e.reshape(x.shape)).ravel() for e in np.eye(x.size, dtype=np.float32)], 1)
        for op in (problem.operator, less.operator)
    ]
    full, small = (
        np.linalg.lstsq(a.astype(float), y.ravel(), rcond=None)[0]
        for a, y in zip(dense, (problem.y, less.y), strict=True)
    )
    np.testing.assert_allclose(small, full, atol=1e-3 * np.abs(full).max())


def test_an_uneven_response_is_divided_out() -> None:
    class Uneven(Camera):
        def apply(self, x: torch.Tensor, **theta: Any) -> torch.Tensor:
            return x * torch.linspace(0, 2, x.shape[-1])

    x = scene()
    problem = measured(Uneven(detector=Gaussian(sigma=0.0)), x)
    result = run(DenoiseThenInvert(denoiser=Listening(heard=[])), problem)
    np.testing.assert_allclose(result.x[:, 1:], x[:, 1:], rtol=1e-5)
    np.testing.assert_allclose(result.x[:, 0], result.x[:, 1], rtol=0.01)  # unseen: as its neighbour


# -- plug and play ------------------------------------------------------------------------------


@pytest.mark.parametrize("detector", [Poisson(), Poisson(readout=2.0), Gaussian(sigma=4.0)])
def test_plug_and_play_improves_on_the_raw_estimate(detector: Any) -> None:
    x = scene()
    problem = measured(Camera(width=2.0, gain=40.0, detector=detector), x)
    result = run(PlugAndPlay(denoiser=Smooth(width=1.0)), problem)
    assert len(result.history) == 8
    assert nrmse(result.x, x) < 0.6 * nrmse(problem.y / 40, x)
    assert result.x.mean() == pytest.approx(x.mean(), rel=0.03)
    sigmas = [row["sigma"] for row in result.history]
    assert sigmas == sorted(sigmas, reverse=True)


def test_plug_and_play_takes_the_denoiser_that_suits_the_problem() -> None:
    heard: list[tuple[np.ndarray, float]] = []

    class Several(Denoiser):
        def suited(self, problem: Problem) -> Denoiser:
            assert problem.modality == "test"
            return Listening(heard=heard)

    problem = measured(Camera(width=1.0, gain=40.0, detector=Poisson()), scene(), modality="test")
    run(PlugAndPlay(denoiser=Several(), iterations=3), problem)
    assert len(heard) == 3


def test_a_denoiser_that_reconstructs_keeps_its_own_way() -> None:
    class Both(Reconstructor, Denoiser):
        def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
            yield Iterate(problem.start)

    card = Card("both", "somewhere:Both", "denoiser", "does both")
    assert isinstance(build(_Loaded(card, "acme", "1", Both), {}), Both)
    plugged = _Loaded(card._replace(name="pnp-both"), "acme", "1", Both)
    assert isinstance(build(plugged, {"iterations": "3"}), PlugAndPlay)


def test_a_denoiser_that_is_no_prior_is_not_plugged_in() -> None:
    card = Card("average", "somewhere:Average", "denoiser", "averages over time", prior=False)
    found = Registry([Entry(card, "acme", "1")], [])
    assert [e.card.name for e in available(found)] == ["average"]
    assert find_method(found, "average").card.name == "average"
    for name in ("pnp-average", "acme/pnp-average"):
        with pytest.raises(Unsuitable, match="average is no prior of an object"):
            find_method(found, name)


@dataclass(frozen=True)
class _Loaded(Entry):
    """An entry whose class is at hand."""

    cls: Any

    def load(self) -> Any:
        return self.cls


def test_plug_and_play_without_a_prior_inverts_the_operator() -> None:
    x = scene()
    problem = measured(Camera(width=1.0, gain=3.0, detector=None), x, dtype="float64")
    result = run(PlugAndPlay(denoiser=Listening(heard=[]), cg_steps=200, iterations=30), problem)
    assert nrmse(result.x, x) < 0.2 * nrmse(problem.y / 3, x)


def test_masked_values_have_no_say_even_if_they_are_no_numbers() -> None:
    x = scene()
    problem = measured(Camera(width=1.0, gain=40.0, detector=Poisson()), x)
    mask = np.random.default_rng(1).random(x.shape) > 0.2
    method = PlugAndPlay(denoiser=Smooth(width=1.0))
    results = [
        run(method, problem.replace(y=np.where(mask, problem.y, junk), mask=mask)).x
        for junk in (0, 1e6, np.nan)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert nrmse(results[0], x) < 0.2


def test_plug_and_play_takes_a_nonlinear_operator_step_by_step() -> None:
    x = scene()
    problem = measured(Transmission(width=1.0, gain=200.0, detector=Poisson()), x)
    result = run(PlugAndPlay(denoiser=Smooth(width=1.0)), problem)
    raw = -np.log(np.maximum(problem.y, 1) / 200)
    assert nrmse(result.x, x) < 0.5 * nrmse(raw, x)


def test_the_prior_is_as_strong_as_the_misfit_asks_for() -> None:
    operator = Camera(width=1.0, gain=40.0, detector=Poisson())
    problem = measured(operator, scene(96))

    def strengths(width: float, problem: Problem = problem) -> list[float]:
        method = PlugAndPlay(denoiser=Smooth(width=width), sigma_start=0.02)  # the noise level at once
        return [row["prior"] for row in run(method, problem).history]

    loose, tight = strengths(0.3), strengths(8.0)
    assert loose[0] == tight[0] == 0.23
    assert loose == sorted(loose)
    assert loose[-1] > 0.5  # the noise comes through, and the data are fitted too well
    assert tight == sorted(tight, reverse=True)
    assert tight[-1] == 0.1  # the scene is smoothed away
    unknown = problem.replace(operator=operator.replace(detector=None))
    assert set(strengths(0.3, unknown)) == {0.23}


@pytest.mark.parametrize("value", [0.0, 5.0])
@pytest.mark.parametrize("detector", [Poisson(), Gaussian(sigma=0.0), None])
def test_data_without_structure_give_an_object_without_structure(value: float, detector: Any) -> None:
    y = np.full((16, 16), value, np.float32)
    problem = Problem(y=y, operator=Camera(detector=detector), modality="toy", shape=(16, 16))
    result = run(PlugAndPlay(denoiser=Smooth()), problem)
    assert result.status == "finished"
    np.testing.assert_allclose(result.x, value, atol=0.02)


# -- what cannot be done ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        (DenoiseThenInvert, {"y": np.ones(16)}, r"denoises images; toy has data \(16,\)"),
        (DenoiseThenInvert, {"operator": Camera()}, "does not say that its noise is Gaussian or Poisson"),
        (DenoiseThenInvert, {"dtype": "complex64"}, "takes real images; the object of toy is complex64"),
        (PlugAndPlay, {"dtype": "complex64"}, "takes real images; the object of toy is complex64"),
    ],
)
def test_an_unsuitable_problem_is_refused_in_a_sentence(
    method: type[Reconstructor], changes: dict[str, Any], words: str
) -> None:
    problem = Problem(
        y=np.ones((16, 16)), operator=Camera(detector=Poisson()), modality="toy", shape=(16, 16)
    )
    with pytest.raises(Unsuitable, match=words):
        run(method(denoiser=Smooth()), problem.replace(**changes))  # type: ignore[call-arg]


def test_a_schedule_that_starts_at_nothing_is_refused() -> None:
    with pytest.raises(BadValue, match="sigma_start"):
        PlugAndPlay(denoiser=Smooth(), sigma_start=0.0)
