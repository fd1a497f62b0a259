"""Kernels: the transform against SciPy, sweeps against the formulas in double precision, threads, edges."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.fft
from pwm_ptychography.kernels.batch import new_state, overlap_all
from pwm_ptychography.kernels.layout import radices_for
from pwm_ptychography.kernels.pie import Sweeper
from pwm_ptychography.kernels.plan import plan

from pwm_core.errors import BadValue, Unsuitable

EPIE = {"object_step": 0.9, "probe_step": 0.8}
RPIE = {**EPIE, "alpha": 0.3, "beta": 0.5, "relax": 0.8}


def ramp(fraction, shape):
    y, x = (np.exp(-2j * np.pi * f * np.fft.fftfreq(n)) for f, n in zip(fraction, shape, strict=True))
    return y[:, None] * x


class Reference:
    """The formulas of `Sweeper.sweep` in complex128, written without regard to speed."""

    def __init__(self, amplitudes, corners, obj, probe, mask=None, fractions=None, propagator=None):
        self.amplitudes, self.corners = np.asarray(amplitudes, float), corners
        self.object, self.probe = np.array(obj, complex), np.array(probe, complex)
        self.window = probe.shape[-2:]
        self.mask = np.ones(self.amplitudes.shape) * (1 if mask is None else mask)
        self.ramps = [1.0 if fractions is None else ramp(f, self.window) for f in fractions or corners]
        self.propagator = propagator

    def forward(self, wave, j):
        if self.propagator is None:
            return np.fft.fft2(wave, norm="ortho")
        return np.fft.ifft2(np.fft.fft2(wave) * self.propagator * np.conj(self.ramps[j]))

    def inverse(self, wave, j):
        if self.propagator is None:
            return np.fft.ifft2(wave, norm="ortho")
        return np.fft.ifft2(np.fft.fft2(wave) * np.conj(self.propagator) * self.ramps[j])

    def place(self, j):
        (r, c), (h, w) = self.corners[j], self.window
        return slice(r, r + h), slice(c, c + w)

    def moved_probe(self, j):
        return np.fft.ifft2(np.fft.fft2(self.probe) * self.ramps[j])

    def intensity(self, j):
        return (np.abs(self.forward(self.object[self.place(j)] * self.moved_probe(j), j)) ** 2).sum(0)

    def sweep(self, order, object_step=1.0, alpha=1.0, probe_step=1.0, beta=1.0, relax=1.0, background=0.0):
        misfit = np.zeros(len(self.corners))
        background = np.broadcast_to(background, misfit.shape)
        for j in order:
            patch, probe = self.object[self.place(j)].copy(), self.moved_probe(j)
            wave = self.forward(patch * probe, j)
            model = np.sqrt((np.abs(wave) ** 2).sum(0) + background[j])
            distance = (self.amplitudes[j] - model) * self.mask[j]
            misfit[j] = (distance**2).sum()
            chi = self.inverse(wave * (1 + relax * distance / model), j) - patch * probe
            light, thickness = (np.abs(probe) ** 2).sum(0), np.abs(patch) ** 2
            weight = object_step / ((1 - alpha) * light + alpha * light.max())
            self.object[self.place(j)] += weight * (probe.conj() * chi).sum(0)
            weight = probe_step / ((1 - beta) * thickness + beta * thickness.max())
            self.probe += np.fft.ifft2(np.fft.fft2(weight * patch.conj() * chi) * np.conj(self.ramps[j]))
        return misfit


def smooth(shape, rng, cut=0.1):
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    white = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    field = np.fft.ifft2(np.fft.fft2(white) * np.exp(-((k / cut) ** 2)))
    return field / np.abs(field).max()


def fresnel(shape):
    y, x = (np.fft.fftfreq(n) for n in shape)
    return np.exp(-4j * np.pi * (y[:, None] ** 2 + x**2))


def scene(shape, modes=1, near=False, fractions=False, mask=False, frames=24, seed=0):
    """Noisy amplitudes of a smooth object and a start: (amplitudes, corners, obj, probe), options."""
    rng = np.random.default_rng(seed)
    h, w = shape
    y, x = np.arange(h)[:, None] / h - 0.5, np.arange(w) / w - 0.5
    gauss = 10 * np.exp(-(y**2 + x**2) * 12) * np.exp(4j * (y**2 + x**2))
    probe = np.stack([gauss, 3 * x * gauss, 3 * y * gauss][:modes])
    size = 3 * h, 4 * w
    corners = np.stack([rng.integers(0, s - n + 1, frames) for s, n in zip(size, shape, strict=True)], 1)
    corners[0], corners[1] = 0, np.subtract(size, shape)
    options = {}
    if near:
        options["propagator"] = fresnel(shape)
    if fractions:
        options["fractions"] = rng.uniform(-0.5, 0.5, (frames, 2)).tolist()
    obj = 1 + 0.4 * smooth(size, rng)
    truth = Reference(np.zeros((frames, *shape)), corners, obj, probe, **options)
    amplitudes = np.sqrt([rng.poisson(20 * truth.intensity(j)) / 20 for j in range(frames)]).astype("f4")
    amplitudes[3] = 0  # a frame without a photon
    if mask:
        options["mask"] = rng.random(shape) > 0.1
        amplitudes[:, ~options["mask"]] = 77
    start = probe * 1.1 * np.exp(0.3j * smooth(shape, rng).real)
    return (amplitudes, corners, np.ones(size, "c8"), start.astype("c8")), options


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def assert_same_sweep(shape, steps, modes=1, **features):
    arguments, options = scene(shape, modes, **features)
    tested, reference = Sweeper(*arguments, **options), Reference(*arguments, **options)
    order = np.random.default_rng(1).permutation(len(arguments[0]))
    misfit, expected = tested.sweep(order, **steps), reference.sweep(order, **steps)
    np.testing.assert_allclose(misfit, expected, rtol=2e-4)
    obj, probe = tested.result()
    assert distance(obj, reference.object) < 3e-5
    assert distance(probe, reference.probe) < 1e-4


@pytest.mark.parametrize(
    ("n", "width"), [(16, None), (24, None), (40, 8), (64, None), (96, 8), (128, None), (256, None)]
)
def test_the_transform_agrees_with_scipy_and_keeps_energy(n, width):
    p, rng = plan(n, width), np.random.default_rng(n)
    x = (rng.normal(size=(2, n, n)) + 1j * rng.normal(size=(2, n, n))).astype("c8")
    spectrum = p.forward(x)
    assert distance(spectrum, scipy.fft.fft2(x.astype("c16"))) < 4e-7
    np.testing.assert_allclose((np.abs(spectrum) ** 2).sum(), n * n * (np.abs(x) ** 2).sum(), rtol=1e-5)
    if n < 128:
        assert distance(p.inverse(spectrum) / n**2, x) < 6e-7


@pytest.mark.parametrize(("n", "width"), [(16, 16), (24, 8), (48, 16), (64, 8), (256, 16)])
def test_orders_are_undone_exactly(n, width):
    p, rng = plan(n, width), np.random.default_rng(n)
    x = (rng.normal(size=(2, n, n)) + 1j * rng.normal(size=(2, n, n))).astype("c8")
    np.testing.assert_array_equal(np.sort(p.order), np.arange(n * n))
    np.testing.assert_array_equal(p.unpermute(p.permute(x)), x)
    np.testing.assert_array_equal(p.unpack(p.pack(x)), x)
    np.testing.assert_array_equal(p.unpack_spectrum(p.pack_spectrum(x)), x)
    np.testing.assert_array_equal(p.unrows(p.rows(x.real)), x.real)


def test_native_sizes_are_multiples_of_eight_with_small_factors():
    native = {n for n in range(1, 2100) if radices_for(n)}
    assert {16, 24, 40, 64, 96, 128, 200, 256, 320, 512, 1024, 2048} <= native
    assert not native & {8, 12, 20, 56, 63, 88, 2056}
    assert all(np.prod(radices_for(n)) == n for n in native)


@pytest.mark.parametrize("fractions", [False, True], ids=["whole", "subpixel"])
@pytest.mark.parametrize("near", [False, True], ids=["far", "near"])
@pytest.mark.parametrize("modes", [1, 3])
def test_a_sweep_follows_the_formulas(modes, near, fractions):
    steps = RPIE if (modes == 3) ^ near ^ fractions else EPIE
    assert_same_sweep((16, 16), steps, modes, near=near, fractions=fractions, mask=near == fractions)


@pytest.mark.slow
@pytest.mark.parametrize("n", [24, 64])
@pytest.mark.parametrize("steps", [EPIE, RPIE], ids=["epie", "rpie"])
@pytest.mark.parametrize("mask", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("fractions", [False, True], ids=["whole", "subpixel"])
@pytest.mark.parametrize("near", [False, True], ids=["far", "near"])
@pytest.mark.parametrize("modes", [1, 2, 3])
def test_a_sweep_follows_the_formulas_in_every_combination(n, modes, near, fractions, mask, steps):
    assert_same_sweep((n, n), steps, modes, near=near, fractions=fractions, mask=mask)


def test_other_sizes_are_refused():
    arguments, options = scene((15, 15))
    with pytest.raises(Unsuitable, match="15 x 15"):
        Sweeper(*arguments, **options)


def test_a_background_for_each_position_counts_in_the_model():
    arguments, options = scene((16, 16))
    background = np.linspace(0, 2, 24)
    tested, reference = Sweeper(*arguments, **options), Reference(*arguments, **options)
    misfit = tested.sweep(range(24), **EPIE, background=background)
    np.testing.assert_allclose(misfit, reference.sweep(range(24), **EPIE, background=background), rtol=2e-4)
    assert distance(tested.get_object(), reference.object) < 3e-5


def test_a_probe_step_of_zero_keeps_the_probe_to_the_bit():
    arguments, options = scene((16, 16))
    tested = Sweeper(*arguments, **options)
    tested.sweep(range(24), probe_step=0.0)
    np.testing.assert_array_equal(tested.get_probe(), arguments[3])
    assert np.abs(tested.get_object() - 1).max() > 0.01


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("modes", "steps"), [(1, {}), (3, {"alpha": 0.01, "beta": 0.01})])
def test_darkness_stays_finite(modes, steps, threads):
    (_, corners, obj, probe), options = scene((16, 16), modes)
    amplitudes = np.zeros((24, 16, 16), "f4")
    amplitudes[12:] = 1
    for dark_obj, dark_probe in [(obj, 0 * probe), (0 * obj, probe), (0 * obj, 0 * probe)]:
        tested = Sweeper(amplitudes, corners, dark_obj, dark_probe, **options)
        for _ in range(2):
            assert np.isfinite(tested.sweep(range(24), threads=threads, **steps)).all()
        assert all(np.isfinite(part).all() for part in tested.result())


def test_masked_pixels_are_never_looked_at():
    (amplitudes, *rest), options = scene((16, 16), mask=True)
    results = []
    for value in (0, 1e6):
        amplitudes[:, ~options["mask"]] = value
        tested = Sweeper(amplitudes, *rest, **options)
        tested.sweep(range(24), **EPIE)
        results.append(tested.result())
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("fractions", [False, True])
def test_object_and_probe_can_be_exchanged_between_sweeps(fractions):
    arguments, options = scene((16, 16), modes=3, fractions=fractions, near=fractions)
    first, second = Sweeper(*arguments, **options), Sweeper(*arguments, **options)
    first.sweep(range(24), **RPIE)
    second.set_object(first.get_object())
    second.set_probe(first.get_probe())
    first.sweep(range(24), **RPIE)
    second.sweep(range(24), **RPIE)
    assert distance(second.get_object(), first.get_object()) < 1e-5
    assert distance(second.get_probe(), first.get_probe()) < 1e-5
    with pytest.raises(BadValue, match=r"\(3, 16, 16\)"):
        first.set_probe(first.get_probe()[:2])


def test_the_parts_of_the_object_are_a_view_of_it():
    (amplitudes, corners, obj, probe), options = scene((16, 16))
    obj = obj + 1j * np.arange(obj.size).reshape(obj.shape)
    tested = Sweeper(amplitudes, corners, obj, probe, **options)
    parts = tested.object_parts()
    np.testing.assert_array_equal(parts[:, 0] + 1j * parts[:, 1], obj.astype("c8"))
    parts *= np.float32(2)
    np.testing.assert_array_equal(tested.get_object(), 2 * obj.astype("c8"))


@pytest.mark.parametrize("start", [False, True], ids=["whole", "subpixel"])
def test_positions_can_be_moved_without_the_data(start):
    (amplitudes, corners, obj, probe), options = scene((16, 16), fractions=True)
    fractions = options.pop("fractions")
    first = {"fractions": np.zeros((24, 2))} if start else {}
    moved = Sweeper(amplitudes, np.zeros_like(corners), obj, probe, **first, **options)
    moved.set_fractions(fractions, corners)
    fresh = Sweeper(amplitudes, corners, obj, probe, fractions=fractions, **options)
    for tested in (moved, fresh):
        tested.sweep(range(24), **RPIE)
    assert distance(moved.get_object(), fresh.get_object()) < 1e-5
    assert distance(moved.get_probe(), fresh.get_probe()) < 1e-5


def test_a_scale_replaces_an_earlier_one():
    (amplitudes, *rest), options = scene((16, 16), mask=True)
    scale = np.linspace(0.5, 2, 24)
    scaled = Sweeper(amplitudes, *rest, **options)
    scaled.set_scale(7.0)
    scaled.set_scale(scale)
    divided = Sweeper(amplitudes / np.sqrt(scale)[:, None, None], *rest, **options)
    np.testing.assert_allclose(scaled.sweep(range(24), **EPIE), divided.sweep(range(24), **EPIE), rtol=1e-4)
    assert distance(scaled.get_object(), divided.get_object()) < 1e-5


class Lazy:
    """Frames made when asked for, in order, one at a time."""

    def __init__(self, frames):
        self.frames, self.asked = frames, []

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, j):
        self.asked.append(j)
        return self.frames[j].astype("f8")


def test_frames_are_asked_for_one_at_a_time():
    (amplitudes, *rest), options = scene((16, 16), mask=True)
    lazy = Lazy(amplitudes)
    tested, eager = Sweeper(lazy, *rest, **options), Sweeper(amplitudes, *rest, **options)
    assert lazy.asked == list(range(24))
    np.testing.assert_array_equal(tested.data, eager.data)


def test_what_does_not_fit_is_refused():
    (amplitudes, corners, obj, probe), options = scene((16, 16))
    outside = corners.copy()
    outside[5] = obj.shape[0] - 15, 0
    with pytest.raises(BadValue, match="position 5"):
        Sweeper(amplitudes, outside, obj, probe, **options)
    with pytest.raises(BadValue, match=r"\(24, 2\)"):
        Sweeper(amplitudes, corners[:5], obj, probe, **options)
    with pytest.raises(BadValue, match="fractions"):
        Sweeper(amplitudes, corners, obj, probe, fractions=np.zeros((3, 2)))
    tested = Sweeper(amplitudes, corners, obj, probe, **options)
    for order in ([24], [-1], [[0]]):
        with pytest.raises(BadValue, match="from 0 to 23"):
            tested.sweep(order)
    with pytest.raises(BadValue, match="background"):
        tested.sweep([0], background=np.zeros(3))
    tested.sweep([])


SCRIPT = """
import numpy as np
from test_kernels import Reference
from pwm_ptychography.kernels.pie import Sweeper
from pwm_ptychography.kernels.sweeps import make_sweep
from pwm_ptychography.kernels.vector import native_width
rng = np.random.default_rng(0)
obj, probe = np.ones((64, 64)), np.hanning(32)[:, None] * np.hanning(32) * (1 + rng.random((2, 32, 32)))
amplitudes, corners = np.full((9, 32, 32), 0.1, "f4"), rng.integers(0, 33, (9, 2))
fractions = rng.random((9, 2)) - 0.5
pair = [cls(amplitudes, corners, obj, probe, fractions=list(fractions)) for cls in (Sweeper, Reference)]
for s in pair:
    s.sweep(range(9), alpha=0.5)
error = np.abs(pair[0].get_object() - pair[1].object).max()
hits = make_sweep(32, native_width(), 1, 1, 0, 1, 0, 0).stats.cache_hits
print(native_width(), error < 1e-4, sum(hits.values()))
"""


def run_script(**environment):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cpu", "features"), [("haswell", "+avx,+avx2,+fma"), ("x86-64", "+sse2"), ("generic", "")]
)
def test_narrower_processors_give_the_same(cpu, features, tmp_path):
    width, same, _ = run_script(
        NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features, NUMBA_CACHE_DIR=str(tmp_path)
    )
    assert (width, same) == ("8", "True")


@pytest.mark.slow
def test_compiled_sweeps_are_found_again_by_the_next_process(tmp_path):
    hits = [run_script(NUMBA_CACHE_DIR=str(tmp_path))[2] for _ in range(2)]
    assert hits == ["0", "1"]


def test_a_varying_probe_with_weights_of_one_is_the_plain_one():
    """One component with weight 1 everywhere is the plain sweep, but for the change of its weight."""
    (amplitudes, corners, obj, probe), options = scene((16, 16))
    varied = Sweeper(amplitudes, corners, obj, probe, weights=np.ones((24, 1)), **options)
    plain = Sweeper(amplitudes, corners, obj, probe, **options)
    for tested in (varied, plain):
        tested.sweep(range(24), **RPIE)
    assert distance(varied.get_object(), plain.get_object()) < 1e-5
    assert distance(varied.get_probe(), plain.get_probe()) < 1e-5
    assert np.abs(varied.get_weights() - 1).max() > 1e-3
    with pytest.raises(BadValue, match="weights"):
        plain.set_weights(np.ones((24, 1)))
    with pytest.raises(Unsuitable, match="one probe"):
        overlap_all(varied, new_state(varied))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_varying_probe_is_swept_by_several_threads(threads):
    (amplitudes, corners, obj, probe), options = scene((16, 16), modes=3, mask=True)
    weights = np.zeros((24, 3), complex)
    weights[:, 0] = 1
    varied = Sweeper(amplitudes, corners, obj, probe, weights=weights, **options)
    misfits = [varied.sweep(range(24), threads=threads, **RPIE).sum() for _ in range(10)]
    assert misfits[-1] < 0.7 * misfits[0]
    assert np.isfinite(varied.get_weights()).all()
