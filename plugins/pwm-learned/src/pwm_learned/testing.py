"""What shipped weights must hold, as ready tests for the packages that ship them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from pwm_core.driver import run
from pwm_core.modality import Modality
from pwm_core.problem import Problem
from pwm_core.registry import installed

from .features import features
from .method import Learned
from .training.examples import FIRST_VALIDATION, Source
from .training.validation import Validation
from .weights import read_card

LARGEST = 16 << 20  # bytes of one file
INVENTED = 0.2  # rms, in units of the noise, that may appear in the data of a featureless object
_BLUR = 1.5  # px, of the noise in a classical start
REPRODUCED = 0.02  # dB; other processors round differently


def shipped_tests(name: str) -> tuple[Callable[..., None], Callable[..., None], Callable[..., None]]:
    """Three pytest functions for the learned method called ``name``, each run for every modality of its card.

    The first looks at the files, the second asks for the absence of invented structure, the third, slow,
    repeats the validation on the model card.
    """
    import pytest

    entry = installed().find(name, "reconstructor", "denoiser")
    modalities = sorted(entry.card.modalities)

    @pytest.mark.parametrize("modality", modalities)
    def test_weights_are_sound(modality: str) -> None:
        weights_are_sound(entry.load(), modality, entry.card.modalities)

    @pytest.mark.parametrize("modality", modalities)
    def test_nothing_is_invented(modality: str) -> None:
        found = installed().find(modality, "modality").load()
        assert invented(entry.load(), found.small()) < INVENTED

    @pytest.mark.slow
    @pytest.mark.parametrize("modality", modalities)
    def test_validation_is_reproduced(modality: str) -> None:
        method = entry.load()
        network, card = method().model(modality)
        source = Source(installed().find(modality, "modality").load(), card.training["seed"])
        again = Validation.of(source).of_network(network, card.frames)
        assert again == pytest.approx(card.validation["psnr"], abs=REPRODUCED)

    return test_weights_are_sound, test_nothing_is_invented, test_validation_is_reproduced


def weights_are_sound(method: type[Learned], modality: str, announced: frozenset[str]) -> None:
    """The files are those that the card announces, small, sound, and better than the estimate alone."""
    there = {
        p.stem.removeprefix(f"{method.method}-") for p in method.folder().glob(f"{method.method}-*.json")
    }
    assert there == announced, f"weights for {sorted(there)}, the card says {sorted(announced)}"
    path = method.shipped(modality)
    assert path.stat().st_size <= LARGEST
    card = read_card(path.with_suffix(".json"))
    _, same = method().model(modality)  # reads the weights, and compares SHA-256
    assert (card, card.method, card.modality) == (same, method.method, modality)
    assert card.licence
    assert {"steps", "seconds", "seed", "device", "precision", "data"} <= set(card.training)
    first = int(card.validation["scenes"].split()[0])
    assert first == FIRST_VALIDATION
    assert card.validation["psnr"] > card.validation["others"]["estimate"]


def invented(method: type[Learned], modality: Modality) -> float:
    """What ``method`` sees in the measurement of a featureless object: rms, in the data, over the noise."""
    problem, truth = modality.simulate(modality.scenes[0], seed=0)
    flat = np.empty_like(truth.x)
    flat[...] = truth.x.mean((-2, -1), keepdims=True)
    y = problem.operator.sample(flat, np.random.default_rng(1)).astype(np.float32)
    problem = problem.replace(y=y, initial=None if problem.initial is None else _start(problem, y, flat))
    x = run(method(), problem, seed=0).x
    less = problem.reduced()
    noise = less.operator.noise()
    assert noise is not None
    expected = less.operator(flat)
    error = less.operator(np.asarray(x, flat.dtype)) - expected
    return float(np.sqrt(np.mean(error**2 / noise.variance(np.maximum(expected, 0)))))


def _start(problem: Problem, y: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """A start as a problem brings it: the flat object and what a blur leaves of the noise."""
    seen = features(problem.replace(y=y), problem.tensor(flat))
    asked = (seen.gradients[0] * seen.scale).numpy().reshape(flat.shape)
    return (flat + gaussian_filter(asked, (0, _BLUR, _BLUR)[-flat.ndim :])).astype(flat.dtype)
