"""Factorisation: losses that fall, factors that are found, constraints that hold, data of any kind."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_mls.cube import Cube
from pwm_nmf.counts import Counts
from pwm_nmf.euclidean import hals, on_simplex
from pwm_nmf.kernels import set_share
from pwm_nmf.kullback_leibler import KullbackLeibler
from pwm_nmf.nmf import Factorisation
from pwm_nmf.phases import Physical
from pwm_nmf.start import count_phases, nndsvda
from pwm_spectroscopy.xrf import XRF
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment, nnls
from scipy.sparse import csc_array

from pwm_core import Problem, run
from pwm_core.errors import BadValue, Unsuitable
from pwm_core.noise import Poisson
from pwm_core.operator import Operator
from pwm_core.testing import checks_for

test_nmf = checks_for("nmf")

SIDE, CHANNELS = 20, 60
LOSSES = pytest.mark.parametrize("loss", ["kullback-leibler", "euclidean"])
SPECTRA = pytest.mark.parametrize("spectra", ["physics", "free"])


class Spectra(Operator):
    """Counted spectra: matrix (energy, component) times maps (component, y, x)."""

    matrix: np.ndarray

    def apply(self, x):
        return torch.tensordot(torch.as_tensor(self.matrix).to(x), x, dims=1)

    def noise(self, theta=None):
        return Poisson()


def peaks(components=6):
    """Gaussians that overlap with their neighbours, each with a faint second one."""
    channel = np.arange(CHANNELS)[:, None]
    at = np.linspace(8, CHANNELS - 16, components)
    return np.exp(-0.5 * ((channel - at) / 3) ** 2) + 0.2 * np.exp(-0.5 * ((channel - at - 12) / 2) ** 2)


def phases():
    """Three phases of six elements: contents (element, phase) and shares (phase, y, x) that add up to one."""
    contents = np.array([[5, 0, 1], [0, 4, 1], [2, 2, 0], [0, 3, 0], [1, 0, 6], [0, 0, 3.0]])
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    shares = np.array([(1 - x) * (1 - y), x, (1 - x) * y])
    shares[:, :5, :5], shares[:, -5:, -5:], shares[:, -5:, :5] = (np.eye(3)[:, [j], None] for j in range(3))
    return contents, shares


def posed(dose=1.0, seed=None, **more):
    contents, shares = phases()
    x = np.tensordot(dose * contents, shares, 1)
    operator = Spectra(matrix=peaks())
    y = operator(x) if seed is None else np.random.default_rng(seed).poisson(operator(x)).astype(float)
    problem = Problem(
        y=y,
        operator=operator,
        modality="spectra",
        shape=x.shape,
        dtype="float64",
        axes=("component", "y", "x"),
    )
    return problem.replace(**more), x


def solved(problem, **options):
    return run(Factorisation(**options), problem, device="cpu", threads=1)


def losses(result):
    return np.array([row["loss"] for row in result.history])


@LOSSES
@SPECTRA
@pytest.mark.parametrize("simplex", [False, True])
@pytest.mark.parametrize("dose", [0.05, 20.0])
def test_the_loss_never_rises(loss, spectra, simplex, dose):
    problem, _ = posed(dose, seed=0)
    found = losses(solved(problem, loss=loss, spectra=spectra, simplex=simplex, iterations=60, tolerance=0.0))
    assert len(found) > 5
    assert np.diff(found).max() <= 1e-9 * abs(found[0])


@LOSSES
@SPECTRA
def test_maps_are_found_in_data_without_noise(loss, spectra):
    problem, x = posed()
    found = solved(problem, loss=loss, spectra=spectra, phases=3, iterations=2000, tolerance=1e-9).x
    assert np.linalg.norm(found - x) < 0.02 * np.linalg.norm(x)


@LOSSES
def test_factors_are_found_up_to_their_order(loss):
    """Pure pixels and shares that add up to one leave nothing open."""
    problem, _ = posed(50.0, seed=1)
    engine, _ = Factorisation(loss=loss, phases=3, simplex=True)._engine(problem)
    for _ in range(600):
        engine.step()
    contents, shares = phases()
    cost = np.linalg.norm(engine.phases.amounts[:, :, None] / 50 - contents[:, None], axis=0)
    mine, true = linear_sum_assignment(cost)
    assert cost[mine, true].max() < 0.35
    error = engine.shares.T[mine] - shares[true].reshape(3, -1)
    assert np.sqrt(np.mean(error**2)) < 0.03


@LOSSES
def test_fewer_phases_than_components_leave_noise_out(loss):
    problem, x = posed(1.0, seed=2)
    few, all_ = (solved(problem, loss=loss, phases=p).x for p in (3, 6))
    assert np.linalg.norm(few - x) < 0.9 * np.linalg.norm(all_ - x)


def test_counts_are_better_served_by_their_own_likelihood():
    problem, x = posed(0.1, seed=3)
    errors = [
        np.linalg.norm(solved(problem, loss=loss, phases=3).x - x)
        for loss in ("kullback-leibler", "euclidean")
    ]
    assert errors[0] < errors[1]


@pytest.mark.parametrize(("scene", "phases"), [(501, 2), (505, 2), (506, 3)])
def test_few_phases_end_no_worse_than_from_the_spectra_themselves(scene, phases):
    """Where the likelihood has several minima: least squares alone lead to a divergence 17 % higher."""
    problem, _ = XRF(size=32, channels=256).simulate(scene)
    method = Factorisation(spectra="free", phases=phases)
    ours, _ = method._engine(problem)
    spectra, shares = nndsvda(problem.y.reshape(len(problem.y), -1).astype(float), phases)
    theirs = KullbackLeibler(
        ours.counts, method._phases(spectra, np.ones(256), np.eye(phases)), shares, False
    )
    for _ in range(60):
        loss, other = ours.step(), theirs.step()
    assert loss < 1.002 * other


@LOSSES
@SPECTRA
def test_shares_of_the_simplex_add_up_to_one(loss, spectra):
    problem, _ = posed(0.5, seed=4)
    engine, _ = Factorisation(loss=loss, spectra=spectra, simplex=True)._engine(problem)
    for _ in range(10):
        engine.step()
    np.testing.assert_allclose(engine.shares.sum(1), 1, atol=1e-9)
    assert engine.shares.min() >= 0


def test_the_number_of_phases_is_read_from_the_data():
    for dose in (1.0, 30.0):
        assert solved(posed(dose, seed=5)[0], iterations=1).history[0]["phases"] == 3
    noise = np.random.default_rng(0).standard_normal((8, 4000))
    assert count_phases(noise) == 1


def test_sparse_and_dense_data_take_the_same_steps():
    problem, _ = posed(0.05, seed=6)
    engine, _ = Factorisation()._engine(problem)
    assert engine.counts.sparse
    full = Counts(engine.counts.data.toarray(), engine.counts.channels, engine.counts.pixels)
    start = Physical(engine.phases.columns, engine.phases.amounts)
    other = KullbackLeibler(full, start, engine.shares.T.copy(), False)
    for _ in range(5):
        assert engine.step() == pytest.approx(other.step(), rel=1e-10)
    np.testing.assert_allclose(engine.shares, other.shares, rtol=1e-7, atol=1e-9)


def test_the_loss_is_the_divergence_of_the_data():
    problem, _ = posed(0.5, seed=7)
    engine, _ = Factorisation(spectra="free")._engine(problem)
    spectra = engine.phases.spectra
    loss = engine.step()
    mean, y = spectra @ engine.shares.T, problem.y.reshape(CHANNELS, -1)
    assert loss == pytest.approx(np.sum(y * np.log(np.where(y > 0, y, 1) / mean) - y + mean), rel=1e-9)


@LOSSES
@SPECTRA
def test_masked_channels_and_pixels_do_not_matter(loss, spectra):
    problem, _ = posed(5.0, seed=8)
    mask = np.ones(problem.y.shape, bool)
    mask[:4], mask[:, :, :3] = False, False
    one, other = (
        solved(
            problem.replace(y=np.where(mask, problem.y, v), mask=mask),
            loss=loss,
            spectra=spectra,
            iterations=20,
        ).x
        for v in (0.0, 1e5)
    )
    np.testing.assert_array_equal(one, other)
    assert not one[:, :, :3].any()
    assert one[:, :, 3:].any(0).all()


def test_what_cannot_be_factorised_is_refused():
    problem, _ = posed(seed=9)
    with pytest.raises(BadValue, match="at most the number of components, 6"):
        solved(problem, phases=7)
    with pytest.raises(BadValue, match="negative"):
        solved(problem.replace(y=np.where(problem.y == problem.y.min(), -1.0, problem.y)))
    mask = np.ones(problem.y.shape, bool)
    mask[3, 3, 3] = False
    with pytest.raises(Unsuitable, match="mask"):
        solved(problem.replace(mask=mask))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), phases=st.integers(1, 7))
def test_nndsvda_is_positive_and_starts_near_the_maps(seed, phases):
    rng = np.random.default_rng(seed)
    maps = rng.random((7, phases)) @ rng.random((phases, 50))
    w, h = nndsvda(maps, phases)
    assert min(w.min(), h.min()) > 0
    if phases == 1:
        np.testing.assert_allclose(w @ h, maps, rtol=1e-6)


def test_hals_goes_to_the_nonnegative_least_squares_solution():
    rng = np.random.default_rng(0)
    a, y = rng.random((30, 4)), rng.standard_normal((30, 25))
    x = np.ones((4, 25))
    for _ in range(60):
        x = hals(x, a.T @ a, a.T @ y)
    np.testing.assert_allclose(x, np.array([nnls(a, c)[0] for c in y.T]).T, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), phases=st.integers(1, 6))
def test_projection_on_the_simplex_is_the_nearest_point(seed, phases):
    rng = np.random.default_rng(seed)
    x, sums = 3 * rng.standard_normal((phases, 1)), np.array([rng.uniform(0.1, 5)])
    near = on_simplex(x, sums)
    assert near.min() >= 0
    assert near.sum() == pytest.approx(sums[0])
    others = sums * rng.dirichlet(np.ones(phases), 200).T
    assert np.sum((near - x) ** 2) <= np.sum((others - x) ** 2, 0).min() + 1e-9


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), phases=st.integers(1, 6), dark=st.booleans())
def test_constrained_shares_are_the_best_on_the_simplex(seed, phases, dark):
    """argmax Σ gain log(share) − sum · share over shares that add up to one."""
    rng = np.random.default_rng(seed)
    gain, sums = rng.exponential(1, phases) * 10.0 ** rng.uniform(-3, 3), rng.uniform(0.1, 10, phases)
    if dark:
        gain[rng.random(phases) < 0.6] = 0.0
    share = np.empty(phases)
    set_share(share, gain.copy(), sums, True)
    assert share.sum() == pytest.approx(1, abs=1e-8)
    assert share.min() >= 0
    others = rng.dirichlet(np.ones(phases), 300)
    others = np.r_[others, 0.98 * share + 0.02 * others]

    def value(s):
        return np.sum(np.where(gain > 0, gain * np.log(np.maximum(s, 1e-300)), 0) - sums * s, -1)

    assert value(share) >= value(others).max() - 1e-6 * abs(value(share)) - 1e-9


def test_sparse_storage_is_by_pixel():
    problem, _ = posed(0.05, seed=10)
    engine, _ = Factorisation()._engine(problem)
    assert isinstance(engine.counts.data, csc_array)
    np.testing.assert_array_equal(engine.counts.data.toarray(), problem.y.reshape(CHANNELS, -1))


@pytest.mark.parametrize("dtype", ["u1", ">u2", "f4", "f8"])
def test_sparse_storage_is_that_of_scipy(dtype):
    problem, _ = posed(0.02, seed=11)
    y = np.minimum(problem.y, 200).astype(dtype)
    y[:, 3, 4] = 0
    mask = np.ones(y.shape, bool)
    mask[7] = mask[:, 0, 5] = False
    for valid in (None, mask):
        found = Counts.of(Cube(problem.replace(y=y, mask=valid))).data
        kept = y.reshape(CHANNELS, -1) if valid is None else y[valid].reshape(CHANNELS - 1, -1)
        wanted = csc_array(kept.astype(found.dtype))
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), strict=True)


@pytest.mark.slow
def test_a_measured_dust_particle_shows_its_structure():
    """Silicate grains hold O, Mg and Si together; platinum and copper surround them."""
    path = Path(__file__).resolve().parents[4] / "shared" / "data" / "stem_edx" / "L2083-K-4-1_tilt+00.bcf"
    if not path.exists():
        pytest.skip("the measured spectrum image of the dust particle is not there")
    pytest.importorskip("rsciio", reason="rosettasciio is not installed")
    from pwm_mls.mls import MultipleLeastSquares
    from pwm_spectroscopy.readers.rosetta import Rosetta

    problem = Rosetta().read(path)
    for method in (MultipleLeastSquares(), Factorisation()):
        x = gaussian_filter(run(method, problem, device="cpu", threads=1).x, (0, 2, 2)).reshape(
            problem.shape[0], -1
        )
        alike = dict(zip(problem.operator.components, np.corrcoef(x), strict=True))
        at = problem.operator.components.index
        assert min(alike["O"][at("Mg")], alike["O"][at("Si")], alike["Pt"][at("Cu")]) > 0.7
        assert max(alike["O"][at("Pt")], alike["Si"][at("Pt")]) < -0.2
