"""The methods: the contract, fixed points, convergence, modes, masks, near field, measured scans."""

from pathlib import Path

import numpy as np
import pytest
from pwm_ptychography.align import aligned
from pwm_ptychography.assembly import assemble, far_field, near_field
from pwm_ptychography.modality import Ptychography, illuminated
from pwm_ptychography.operator import diffraction_of
from pwm_sdr.lsqml import LSQML
from pwm_sdr.maximum import PoissonML, PtychoAuto
from pwm_sdr.projections import RAAR, DifferenceMap
from pwm_sdr.sdr import SDR

from pwm_core import Problem, run
from pwm_core.metrics import nrmse
from pwm_core.testing import checks_for

METHODS = {
    "sdr": SDR,
    "difference-map": DifferenceMap,
    "raar": RAAR,
    "lsq-ml": LSQML,
    "poisson-ml": PoissonML,
    "ptycho-auto": PtychoAuto,
}
every_method = pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
everywhere = pytest.mark.parametrize(
    "propagate", [far_field(), near_field(0.1, 1e-10, 1e-6)], ids=["far", "near"]
)


test_sdr_keeps_the_contract = checks_for("sdr")
test_difference_map_keeps_the_contract = checks_for("difference-map")
test_raar_keeps_the_contract = checks_for("raar")
test_lsq_ml_keeps_the_contract = checks_for("lsq-ml")
test_poisson_ml_keeps_the_contract = checks_for("poisson-ml")
test_ptycho_auto_keeps_the_contract = checks_for("ptycho-auto")


def scan(propagate=None, modes=1, window=32, side=6, seed=0):
    """A scan of a smooth object without noise; the problem starts at the truth."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((window, window)) - window // 2
    gauss = np.exp(-(y**2 + x**2) / (0.05 * window**2)) * np.exp(0.01j * (y**2 + 1.2 * x**2))
    waves = 30 * np.stack([gauss, 0.5 * x / 4 * gauss][:modes])
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    positions = np.round(5.0 * grid + rng.uniform(-1, 1, grid.shape))
    operator = assemble(wave=waves, positions=positions, pixel=1.0, propagate=propagate or far_field())
    shape = operator.scan.shape
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    a, b = (
        np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * np.exp(-((k / 0.12) ** 2))).real for _ in range(2)
    )
    truth = ((0.8 + 0.2 * a / abs(a).max()) * np.exp(1j * b / abs(b).max())).astype(np.complex64)
    problem = Problem(
        y=operator(truth),
        operator=operator,
        modality="ptychography",
        shape=shape,
        dtype="complex64",
        initial=truth,
    )
    return problem, truth


def error(x, problem, truth):
    region = illuminated(diffraction_of(problem))
    return nrmse(aligned(x, truth, region)[region], truth[region])


def flat(problem):
    return problem.replace(initial=np.ones(problem.shape, np.complex64))


@every_method
@everywhere
def test_the_truth_is_a_fixed_point_of_noise_free_data(kind, propagate):
    problem, truth = scan(propagate)
    result = run(kind(iterations=4), problem, device="cpu", threads=1)
    assert error(result.x, problem, truth) < 2e-3
    assert result.history[-1]["loss"] < 1e-6


@every_method
@everywhere
def test_noise_free_data_are_reconstructed_from_a_flat_object(kind, propagate):
    problem, truth = scan(propagate)
    region = illuminated(diffraction_of(problem))
    start = nrmse(flat(problem).initial[region], truth[region])
    result = run(kind(iterations=100), flat(problem), device="cpu", threads=1)
    assert error(result.x, problem, truth) < 0.2 * start


@every_method
def test_a_wrong_probe_is_corrected_unless_it_is_held(kind):
    problem, _ = scan()
    wave = diffraction_of(problem).probe.wave
    y, x = np.indices(wave.shape[1:]) - wave.shape[-1] // 2
    wrong = wave * np.exp(0.01j * (y**2 + x**2))
    positions = diffraction_of(problem).scan.positions
    given = flat(problem).replace(
        operator=assemble(wave=wrong, positions=positions, pixel=1.0, propagate=far_field())
    )
    held, found = (
        run(kind(iterations=50, update_probe=u), given, device="cpu", threads=1) for u in (False, True)
    )
    np.testing.assert_allclose(held.theta["probe.modes"], wrong, atol=1e-3)
    fits = [Ptychography().residuals(given.operator(r.x, r.theta), given)["residual"] for r in (held, found)]
    assert fits[1] < 0.5 * fits[0]


@every_method
def test_the_same_method_can_be_held_at_the_probe_of_the_model(kind):
    held = kind(iterations=7).held()
    assert (held.iterations, held.update_probe) == (7, False)
    assert held.held() is held


@every_method
def test_two_modes_explain_two_mode_data_better_than_one(kind):
    problem, _ = scan(modes=2)
    given = flat(problem)
    one, two = (run(kind(iterations=50, modes=m), given, device="cpu", threads=1) for m in (1, 2))
    fits = [Ptychography().residuals(given.operator(r.x, r.theta), given)["residual"] for r in (one, two)]
    assert fits[1] < 0.3 * fits[0]
    assert two.theta["probe.modes"].shape[0] == 2


@every_method
def test_masked_elements_have_no_effect(kind):
    problem, _ = scan()
    mask = np.random.default_rng(1).random((32, 32)) > 0.1
    results = []
    for absurd in (0.0, 1e6):
        given = flat(problem).replace(y=np.where(mask, problem.y, absurd), mask=mask)
        results.append(run(kind(iterations=5), given, device="cpu", threads=1, seed=3).x)
    np.testing.assert_array_equal(*results)


@every_method
def test_the_seed_decides_and_positions_may_be_listed_in_any_order(kind):
    problem, truth = scan()
    runs = [run(kind(iterations=5), flat(problem), device="cpu", threads=1, seed=s).x for s in (1, 1)]
    np.testing.assert_array_equal(*runs)
    order = np.random.default_rng(0).permutation(len(problem.y))
    d = diffraction_of(problem)
    operator = assemble(
        wave=d.probe.wave, positions=d.scan.positions[order], pixel=1.0, propagate=far_field()
    )
    listed = problem.replace(y=problem.y[order], operator=operator)
    results = [run(kind(iterations=60), flat(p), device="cpu", threads=1).x for p in (problem, listed)]
    errors = [error(x, problem, truth) for x in results]
    assert max(errors) < 0.2


@every_method
def test_frames_without_light_stay_finite(kind):
    problem, _ = scan()
    counts = np.array(problem.y)
    counts[3] = 0
    result = run(kind(iterations=15), flat(problem).replace(y=counts), device="cpu", threads=1)
    assert np.isfinite(result.x).all()


DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ptychography"


def residual_of(kind, name, **assume):
    """The residual that a method with its defaults leaves on a measured file."""
    from pwm_core.reader import find_reader
    from pwm_core.registry import installed

    path = DATA / name
    if not path.exists():
        pytest.skip(f"measured file {name} is not here")
    problem = find_reader(installed(), path, "ptychography").load().from_strings(assume).read(path)
    result = run(kind(), problem, device="cpu")
    return Ptychography().residuals(problem.operator(result.x, result.theta), problem)["residual"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SDR, PtychoAuto], ids=["sdr", "ptycho-auto"])
def test_measured_siemens_star(kind):
    """40 sweeps of ePIE leave 0.0134."""
    assert residual_of(kind, "siemens-star-small.npz.bz2") <= 0.0134


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SDR, PtychoAuto], ids=["sdr", "ptycho-auto"])
def test_measured_near_field_scan(kind):
    """12 sweeps of ePIE leave 0.0052."""
    assert residual_of(kind, "PETRAIII_P25_Near_Field_Ptycho.cxi", focus_to_sample="3.65mm") <= 0.0052
