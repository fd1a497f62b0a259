"""Scale, rotation and shear of the whole scan are found with object and probe."""

import numpy as np
import pytest
import torch
from pwm_epie.affine import Affine, decomposed
from pwm_epie.pie import RPIE
from pwm_ptychography.engine import make_engine
from pwm_ptychography.modality import Ptychography
from pwm_ptychography.operator import diffraction_of

from pwm_core import run, score

ERRORS = {
    "scale": [[0.02, 0.0], [0.0, 0.02]],
    "rotation": [[np.cos(0.026) - 1, -np.sin(0.026)], [np.sin(0.026), np.cos(0.026) - 1]],
    "shear": [[0.0, 0.02], [0.0, 0.0]],
}


def distorted_scan(by, side=10):
    """A measured scan whose true positions are (1 + D) times the given ones: and its true positions (px)."""
    modality = Ptychography(side=side)
    problem, _ = modality.simulate("chart")
    scan = diffraction_of(problem).scan
    away = (scan.positions - scan.positions.mean(0)) @ np.transpose(by)
    true = problem.operator.at({"scan.jitter": 1e9 * away})
    truth = modality.simulate("chart")[1]
    y = true.sample(truth.x, np.random.default_rng(0)).astype(np.float32)
    return modality, problem.replace(y=y), truth, (scan.positions + away) / scan.pixel_size


def error(positions, true, pixel):
    """Residual of the positions, rms in pixels, whatever the shift of the whole scan."""
    left = positions / pixel - true
    return float(np.sqrt(((left - left.mean(0)) ** 2).sum(1).mean()))


@pytest.mark.parametrize("kind", ERRORS)
def test_a_distorted_scan_is_recovered(kind):
    modality, problem, truth, true = distorted_scan(ERRORS[kind])
    pixel = problem.pixel_size[0]
    before = error(diffraction_of(problem).scan.positions, true, pixel)
    singly, fitted = (
        run(RPIE(iterations=60, **s), problem, device="cpu") for s in ({"positions": True}, {"affine": True})
    )
    after = error(fitted.theta["scan.positions"], true, pixel)
    frames = error(singly.theta["scan.positions"], true, pixel)
    print(f"{kind}: {before:.3f} px before, {frames:.3f} px frame by frame, {after:.3f} px with the map")
    assert after < 0.35 * before
    assert after < 0.5 * frames
    psnr = [score(r.x, problem, truth, modality, r.theta).psnr for r in (singly, fitted)]
    assert psnr[1] > psnr[0] + 3
    wanted = decomposed(torch.eye(2, dtype=torch.float64) + torch.tensor(ERRORS[kind], dtype=torch.float64))
    for name, value in wanted.items():
        assert fitted.history[-1][name] == pytest.approx(value, abs=0.6 if name == "rotation" else 0.01)


def test_the_map_is_added_to_what_single_frames_are_displaced():
    """Both errors at once: each is found in the presence of the other."""
    _, problem, truth, true = distorted_scan(ERRORS["scale"])
    pixel = problem.pixel_size[0]
    shift = np.random.default_rng(3).normal(0, 0.7, true.shape)
    true = true + shift
    given = diffraction_of(problem).scan.positions
    exact = problem.operator.at({"scan.jitter": 1e9 * (true * pixel - given)})
    problem = problem.replace(y=exact.sample(truth.x, np.random.default_rng(0)).astype(np.float32))
    alone, both = (
        run(RPIE(iterations=80, positions=True, affine=a), problem, device="cpu") for a in (False, True)
    )
    left = [error(r.theta["scan.positions"], true, pixel) for r in (alone, both)]
    print(f"positions alone {left[0]:.3f} px, with the map {left[1]:.3f} px")
    assert left[1] < 0.6 * left[0]


def test_the_affine_part_of_displacements_is_taken_off_exactly():
    problem, _ = Ptychography.small().simulate("circuit")
    affine = Affine(make_engine(problem))
    places = affine.places.numpy()
    by = np.array([[0.02, -0.01], [0.03, 0.015]])
    own = np.random.default_rng(0).normal(size=places.shape)
    own -= np.c_[places, np.ones(len(places))] @ np.linalg.lstsq(np.c_[places, np.ones(len(places))], own)[0]
    displacements = torch.from_numpy(own + places @ by.T + [0.3, -0.2])
    np.testing.assert_allclose(affine.without(displacements).numpy(), own, atol=1e-9)


@pytest.mark.parametrize(
    ("sy", "sx", "shear", "degrees"), [(1.02, 0.97, 0.03, 1.5), (0.9, 1.1, -0.2, -170.0)]
)
def test_a_map_is_decomposed_exactly(sy, sx, shear, degrees):
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.array([[1, shear], [0, 1]]) @ np.diag([sy, sx])
    parts = decomposed(torch.from_numpy(matrix))
    assert parts == pytest.approx({"scale_y": sy, "scale_x": sx, "shear": shear, "rotation": degrees})


def test_positions_stay_as_given_unless_they_are_refined():
    problem, _ = Ptychography.small().simulate("circuit")
    plain = run(RPIE(iterations=12), problem, device="cpu")
    assert "scan.positions" not in plain.theta
    late = run(RPIE(iterations=12, affine=True, positions=True, positions_start=13), problem, device="cpu")
    given = diffraction_of(problem).scan.positions
    np.testing.assert_allclose(late.theta["scan.positions"], given, rtol=1e-12)
    refined = run(RPIE(iterations=30, affine=True, positions=True), problem, device="cpu")
    assert "scan.positions" in refined.theta
    drift = (refined.theta["scan.positions"] - given).mean(0) / problem.pixel_size[0]
    np.testing.assert_allclose(drift, 0, atol=0.02)
