"""Kernels: sums over positions are gradients of the misfit, projections of exit waves, and find positions."""

import numpy as np
import pytest
from pwm_ptychography.kernels.batch import gather_all, new_state, overlap_all
from pwm_ptychography.kernels.pie import Sweeper
from pwm_ptychography.kernels.tally import tally_all

from pwm_core.errors import BadValue

N, FRAMES = 16, 20
CASES = {
    "far": {},
    "far, modes, subpixel": {"modes": 2, "fractions": True},
    "near": {"near": True},
    "near, modes, subpixel": {"modes": 2, "near": True, "fractions": True},
}


def smooth(shape, rng, cut=0.15):
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    white = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    field = np.fft.ifft2(np.fft.fft2(white) * np.exp(-((k / cut) ** 2)))
    return field / np.abs(field).max()


class Scan:
    """A scan in double precision: exit waves, waves at the detector and back, for any object and probe."""

    def __init__(self, n=N, frames=FRAMES, modes=1, near=False, fractions=False, seed=0):
        self.rng = rng = np.random.default_rng(seed)
        self.n, self.frames = n, frames
        self.corners = rng.integers(0, 2 * n + 1, (frames, 2))
        self.fractions = rng.uniform(-0.5, 0.5, (frames, 2)) if fractions else None
        k = np.fft.fftfreq(n)
        self.propagator = np.exp(-4j * np.pi * (k[:, None] ** 2 + k**2)) if near else None
        y, x = np.arange(n)[:, None] / n - 0.5, np.arange(n) / n - 0.5
        gauss = 10 * np.exp(-(y**2 + x**2) * 12) * np.exp(4j * (y**2 + x**2))
        self.probe = np.stack([gauss, 3 * x * gauss][:modes])
        self.object = 1 + 0.4 * smooth((3 * n, 3 * n), rng)

    def ramp(self, j):
        f, k = self.fractions[j] if self.fractions is not None else np.zeros(2), np.fft.fftfreq(self.n)
        return np.exp(-2j * np.pi * (f[0] * k[:, None] + f[1] * k))

    def patch(self, obj, j):
        r, c = self.corners[j]
        return obj[r : r + self.n, c : c + self.n]

    def moved(self, probe, j):
        return np.fft.ifft2(np.fft.fft2(probe) * self.ramp(j))

    def forward(self, wave, j):
        if self.propagator is None:
            return np.fft.fft2(wave, norm="ortho")
        return np.fft.ifft2(np.fft.fft2(wave) * self.propagator * self.ramp(j).conj())

    def back(self, wave, j):
        if self.propagator is None:
            return np.fft.ifft2(wave, norm="ortho")
        return np.fft.ifft2(np.fft.fft2(wave) * self.propagator.conj() * self.ramp(j))

    def intensities(self, obj, probe):
        waves = [self.forward(self.patch(obj, j) * self.moved(probe, j), j) for j in range(self.frames)]
        return (np.abs(waves) ** 2).sum(1)

    def sweeper(self, counts, obj, probe, mask=None):
        options = {"mask": mask, "fractions": self.fractions, "propagator": self.propagator}
        return Sweeper(np.sqrt(counts), self.corners, obj, probe, **options)


def noisy(case):
    """A scan with noisy counts, and an object and a probe some way off."""
    scan = Scan(**CASES[case])
    counts = scan.rng.poisson(scan.intensities(scan.object, scan.probe) * 20) / 20
    obj = scan.object * np.exp(0.2j * smooth(scan.object.shape, scan.rng).real)
    probe = 1.1 * scan.probe * np.exp(0.3j * smooth((N, N), scan.rng).real)
    return scan, counts, obj.astype("c8").astype("c16"), probe.astype("c8").astype("c16")


def assert_gradient(case, poisson, masked=False):
    scan, counts, obj, probe = noisy(case)
    background = scan.rng.uniform(0.2, 1, FRAMES)
    valid = scan.rng.random((N, N)) > 0.1 if masked else np.ones((N, N), bool)

    def misfit(obj, probe):
        model = scan.intensities(obj, probe) + background[:, None, None]
        if poisson:
            terms = model - counts - counts * np.log(model / np.where(counts > 0, counts, 1))
        else:
            terms = (np.sqrt(model) - np.sqrt(counts)) ** 2
        return (terms * valid).sum()

    engine = scan.sweeper(counts, obj, probe, valid if masked else None)
    sums = gather_all(engine, poisson=poisson, background=background)
    np.testing.assert_allclose(sums.misfit.sum(), misfit(obj, probe), rtol=1e-5)
    towards, h = smooth(obj.shape, scan.rng), 1e-5
    slope = (misfit(obj + h * towards, probe) - misfit(obj - h * towards, probe)) / (2 * h)
    np.testing.assert_allclose(-2 * np.vdot(sums.object, towards).real, slope, rtol=2e-4)
    towards = np.stack([smooth((N, N), scan.rng) for _ in probe]) * 10
    slope = (misfit(obj, probe + h * towards) - misfit(obj, probe - h * towards)) / (2 * h)
    np.testing.assert_allclose(-2 * np.vdot(sums.probe, towards).real, slope, rtol=2e-4)


@pytest.mark.parametrize(
    ("case", "poisson"), [("far", True), ("far, modes, subpixel", False), ("near, modes, subpixel", False)]
)
def test_the_sums_are_gradients_of_the_misfit(case, poisson):
    assert_gradient(case, poisson, masked=poisson)


@pytest.mark.slow
@pytest.mark.parametrize("poisson", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_sums_are_gradients_in_every_combination(case, masked, poisson):
    assert_gradient(case, poisson, masked)


def test_weights_add_up_and_threads_change_no_more_than_rounding():
    scan, counts, obj, probe = noisy("far")
    engine = scan.sweeper(counts, obj, probe)
    one, two = (gather_all(engine, weights=True, track=True, threads=t) for t in (1, 2))
    light, thickness = np.zeros(obj.shape), np.zeros((N, N))
    for j in range(FRAMES):
        scan.patch(light, j)[:] += (np.abs(probe) ** 2).sum(0)
        thickness += np.abs(scan.patch(obj, j)) ** 2
    np.testing.assert_allclose(one.object_weight, light, rtol=1e-5)
    np.testing.assert_allclose(one.probe_weight, thickness, rtol=1e-5)
    scale = np.abs(one.object).max()
    np.testing.assert_allclose(two.object, one.object, atol=1e-6 * scale)
    np.testing.assert_array_equal(two.moves, one.moves)
    again = gather_all(engine, weights=True, track=True, threads=2)
    np.testing.assert_array_equal(again.object, two.object)


@pytest.mark.parametrize("near", [False, True], ids=["far", "near"])
def test_displacements_lead_to_the_true_positions(near):
    true = Scan(near=near, fractions=True)
    counts = true.intensities(true.object, true.probe)
    engine = true.sweeper(counts, true.object, true.probe)
    fractions = true.fractions + true.rng.uniform(-0.3, 0.3, (FRAMES, 2))
    errors = [np.abs(fractions - true.fractions).mean()]
    for _ in range(12):
        engine.set_fractions(fractions)
        fractions = fractions + gather_all(engine, track=True).displacements()
        errors.append(np.abs(fractions - true.fractions).mean())
    assert errors[1] < 0.8 * errors[0]
    assert errors[-1] < 0.1 * errors[0]


def test_displacements_need_tracking():
    scan, counts, obj, probe = noisy("far")
    with pytest.raises(BadValue, match="track=True"):
        gather_all(scan.sweeper(counts, obj, probe), poisson=True).displacements()


def test_exit_waves_are_mixed_constrained_and_kept():
    scan, counts, obj, probe = noisy("far, modes, subpixel")
    engine = scan.sweeper(counts, obj, probe)
    state = new_state(engine)
    waves = engine.plan.unpack(state.reshape(FRAMES, len(probe), -1))
    expected = np.stack([scan.patch(obj, j) * scan.moved(probe, j) for j in range(FRAMES)])
    np.testing.assert_allclose(waves, expected, atol=1e-5 * np.abs(expected).max())

    entry, keep, mix, replace = 1.7, 0.9, -0.6, 0.8
    engine.set_object(np.roll(obj, 1))
    sums = gather_all(engine, state=state, projection=(entry, keep, mix, replace))
    total = np.zeros_like(obj)
    for j in range(FRAMES):
        moved = scan.moved(probe, j)
        wave = scan.patch(np.roll(obj, 1), j) * moved
        far = scan.forward(entry * wave + (1 - entry) * expected[j], j)
        far *= np.sqrt(counts[j] / (np.abs(far) ** 2).sum(0))
        new = keep * expected[j] + mix * wave + replace * scan.back(far, j)
        kept = engine.plan.unpack(state[j].reshape(len(probe), -1))
        np.testing.assert_allclose(kept, new, atol=2e-5 * np.abs(new).max())
        scan.patch(total, j)[:] += (moved.conj() * new).sum(0)
    np.testing.assert_allclose(sums.object, total, atol=2e-5 * np.abs(total).max())


def test_the_overlap_of_consistent_exit_waves_is_the_object_and_the_probe():
    scan, counts, obj, probe = noisy("far, modes, subpixel")
    engine = scan.sweeper(counts, obj, probe)
    sums = overlap_all(engine, new_state(engine))
    lit = sums.object_weight > 1e-2 * sums.object_weight.max()
    np.testing.assert_allclose(sums.object[lit] / sums.object_weight[lit], obj[lit], atol=1e-4)

    scan, counts, obj, probe = noisy("far")
    engine = scan.sweeper(counts, obj, probe)
    sums = overlap_all(engine, new_state(engine), threads=2)
    np.testing.assert_allclose(sums.probe / sums.probe_weight, probe, atol=1e-4)


def test_exit_waves_that_do_not_fit_are_refused():
    scan, counts, obj, probe = noisy("far")
    engine = scan.sweeper(counts, obj, probe)
    for state in (np.zeros((FRAMES, N * N), "f4"), np.zeros((FRAMES, 2 * N * N))):
        with pytest.raises(BadValue, match="new_state"):
            overlap_all(engine, state)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_the_tally_compares_model_and_data(case, threads):
    scan, counts, obj, probe = noisy(case)
    counts = counts + 0.3  # shifted amplitudes are never 0
    background, scale = scan.rng.uniform(0.2, 1, FRAMES), scan.rng.uniform(0.5, 2, FRAMES)
    valid = scan.rng.random((N, N)) > 0.1
    engine = scan.sweeper(counts, obj, probe, valid)
    engine.set_scale(scale)
    shift, floor = 0.1 / scale, 1 / scale
    light = scan.intensities(obj, probe)
    measured = np.sqrt(counts / scale[:, None, None])
    plain = light + (background - shift)[:, None, None]
    weight = 1 / (plain + floor[:, None, None])
    root = measured - shift[:, None, None] / measured
    excess = weight * (root**2 - plain)
    terms = weight * light**2, excess * light, weight, excess
    expected = np.stack([(term * valid).sum((1, 2)) for term in terms], 1)
    found = tally_all(engine, background, shift, floor, threads)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
