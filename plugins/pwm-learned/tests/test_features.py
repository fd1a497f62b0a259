"""What networks see: units, invariances, and the way back to an object."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pwm_learned.features import channels_for, features, gain_of, plain, works_on_data
from pwm_learned.method import estimate, inverted

from pwm_core.errors import Unsuitable
from pwm_core.modality import Modality
from pwm_core.registry import installed


def small(name: str, scene: int = 5) -> tuple[Modality, object, object]:
    modality = installed().find(name, "modality").load().small()
    problem, truth = modality.simulate(scene, seed=2)
    return modality, problem.reduced(), truth


@pytest.mark.parametrize("name", ["stem", "fluoroscopy", "xrf", "stem-edx"])
def test_no_correction_gives_the_estimate_back(name):
    _, problem, _ = small(name)
    x = problem.start + 0.1 * torch.rand(problem.shape)
    seen = features(problem, x)
    back = seen.object(torch.zeros_like(seen.estimate)).reshape(problem.shape)
    torch.testing.assert_close(back, x, rtol=1e-4, atol=1e-5 * float(x.abs().max()))


@pytest.mark.parametrize("name", ["stem", "fluoroscopy", "xrf", "stem-edx"])
def test_the_channels_are_finite_and_as_many_as_announced(name):
    _, problem, _ = small(name)
    seen = features(problem, estimate("start" if name == "fluoroscopy" else "spectral-wiener", problem, None))
    for frames in (1, 5) if seen.frames else (1,):
        channels = seen.channels(0, frames)
        assert channels.shape[0] == channels_for(problem, frames)
        assert torch.isfinite(channels).all()


def test_the_gradient_vanishes_where_the_estimate_explains_the_data():
    _, problem, truth = small("xrf")
    exact = problem.replace(y=problem.operator(np.asarray(truth.x, np.float32)))
    seen = features(exact, torch.as_tensor(truth.x))
    assert float(seen.gradients[0].abs().max()) < 1e-3


@pytest.mark.parametrize("name", ["xrf", "stem-edx"])
def test_the_gradient_points_to_the_truth_map_by_map(name):
    """From an estimate that is too low in one map, that map's gradient asks for more, and only it."""
    _, problem, truth = small(name)
    x = torch.as_tensor(np.asarray(truth.x, np.float32))
    exact = problem.replace(y=problem.operator(np.asarray(truth.x, np.float32)))
    lower = x.clone()
    lower[1] -= 1.0
    seen = features(exact, lower)
    asked = (seen.gradients[0] * seen.scale).mean((1, 2))
    assert float(asked[1]) == pytest.approx(1.0, rel=0.25)
    assert float(asked[torch.arange(len(x)) != 1].abs().max()) < 0.2


def test_the_noise_level_is_that_of_the_gradient():
    """At the true object the misfit is noise alone, and s says how large."""
    modality = installed().find("stem", "modality").load().small().replace(current=200.0)
    problem, truth = modality.simulate(3, seed=1)
    clean = torch.as_tensor(problem.operator(np.asarray(truth.x, np.float32))) / gain_of(problem)
    seen = features(problem, clean)
    assert float((seen.gradients[0] / seen.noise).std()) == pytest.approx(1.0, abs=0.05)
    level = float((seen.gradients[1] / seen.noise).std())  # after Hᵀ, still the same level
    assert level == pytest.approx(1.0, abs=0.25)


def test_units_do_not_matter():
    images = np.random.default_rng(0).normal(3.0, 1.0, (2, 24, 24)).astype(np.float32)
    one, other = plain(images, 0.2, False, 4), plain(1e3 * images - 50, 200.0, False, 4)
    for k in range(2):
        torch.testing.assert_close(one.channels(k, 1), other.channels(k, 1), rtol=1e-3, atol=1e-3)


def test_frames_beyond_the_ends_of_a_video_repeat_the_last():
    video = plain(np.random.default_rng(1).normal(size=(3, 8, 8)), 0.1, True, 3)
    first = video.channels(0, 5)
    torch.testing.assert_close(first[0], first[2])
    torch.testing.assert_close(first[1], first[2])
    torch.testing.assert_close(first[3], video.estimate[1])


def test_masked_data_do_not_matter():
    _, problem, _ = small("stem")
    mask = np.ones(problem.y.shape, bool)
    mask[10:14, 20:25] = False
    x = torch.full(problem.shape, float(problem.start.mean()))
    wild = problem.y.copy()
    wild[~mask] = 1e6
    one, other = (features(problem.replace(y=y, mask=mask), x) for y in (problem.y, wild))
    torch.testing.assert_close(one.channels(0, 1), other.channels(0, 1))


def test_a_single_image_is_worked_on_before_inversion_and_inverting_its_clean_data_finds_it():
    modality, problem, truth = small("stem")
    assert works_on_data(problem)
    clean = torch.as_tensor(problem.operator(np.asarray(truth.x, np.float32))) / gain_of(problem)
    x = inverted(problem, clean)
    views = [modality.view(np.asarray(a), problem)[0].images for a in (x, truth.x)]
    assert np.linalg.norm(views[0] - views[1]) < 0.03 * np.linalg.norm(views[1])


def test_complex_objects_are_refused():
    modality = installed().find("ptychography", "modality").load().small()
    problem, _ = modality.simulate(1, seed=0)
    with pytest.raises(Unsuitable, match="complex"):
        features(problem, problem.start)
