"""The conformance kit: good plugins pass every check, and each bad habit trips just its own check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pwm_core import Calibrator, Denoiser, Iterate, Reader, Reconstructor, param
from pwm_core.commands.check import check as check_command
from pwm_core.errors import BadFile, UnknownName, Unsuitable
from pwm_core.executors import Processes, Serial
from pwm_core.modality import View
from pwm_core.registry import installed
from pwm_core.testing import check_entry, check_method, check_modality, checks_for
from pwm_core.testing.card_checks import (
    check_card_is_complete,
    check_card_is_light,
    check_requirement_is_capped,
)
from pwm_core.testing.kit import CARD, CHECKS, checks_of, subject_of
from pwm_core.testing.method_checks import check_leaves_global_state_alone
from pwm_core.testing.problems import LeastSquares, Widefield
from pwm_core.testing.report import CheckFailed, Report, outcomes

HERE = __name__
DOI = "10.2307/2372313"


# -- reconstructors ------------------------------------------------------------------------------


class Good(Reconstructor):
    """Steepest descent from a random start; the bad ones below change one thing each."""

    iterations: int = param(4, low=1, high=1000, doc="steps")
    spread: float = param(0.1, low=0.0, high=1.0, doc="size of the random start")

    def solve(self, problem, rng):
        start = problem.start + self.spread * problem.tensor(rng.standard_normal(problem.shape))
        solver = LeastSquares(iterations=self.iterations)
        for iterate in solver.solve(problem.replace(initial=start.numpy()), rng):
            yield from self.give(iterate, problem)

    def give(self, iterate, problem):
        yield iterate


class NotANumber(Good):
    def give(self, iterate, problem):
        x = iterate.x.clone()
        x[3, 3] = np.nan
        yield Iterate(x, loss=iterate.loss)


class WrongShape(Good):
    def give(self, iterate, problem):
        yield Iterate(iterate.x[:, :-1], loss=iterate.loss)


class NeedlesslyComplex(Good):
    def give(self, iterate, problem):
        yield Iterate(iterate.x + 0j, loss=iterate.loss)


class GrowingLoss(Good):
    def give(self, iterate, problem):
        yield Iterate(iterate.x, loss=-iterate.loss)


class WorseThanTheStart(Good):
    def give(self, iterate, problem):
        yield Iterate(-iterate.x)


class OwnRandomness(Good):
    def give(self, iterate, problem):
        noise = np.random.default_rng().standard_normal(problem.shape)
        yield Iterate(iterate.x + problem.tensor(1e-3 * noise), loss=iterate.loss)


class GlobalRandomness(Good):
    def give(self, iterate, problem):
        yield Iterate(iterate.x + 1e-3 * torch.randn(problem.shape), loss=iterate.loss)


class SeedsGlobally(Good):
    def give(self, iterate, problem):
        torch.manual_seed(0)
        yield iterate


class WritesToData(Good):
    def give(self, iterate, problem):
        problem.y[0, 0] += 1
        yield iterate


class LeaksNoGrad(Good):
    def give(self, iterate, problem):
        with torch.no_grad():
            yield iterate


class ChangesDefaultDtype(Good):
    def give(self, iterate, problem):
        torch.set_default_dtype(torch.float64)
        yield iterate


class ChangesThreads(Good):
    def give(self, iterate, problem):
        torch.set_num_threads(2 if torch.get_num_threads() == 1 else 1)
        yield iterate


class SilencesNumpy(Good):
    def give(self, iterate, problem):
        np.seterr(all="ignore")
        yield iterate


class AlwaysDouble(Good):
    def give(self, iterate, problem):
        yield Iterate(iterate.x.double(), loss=iterate.loss)


class CannotBeClosed(Good):
    def give(self, iterate, problem):
        try:
            yield iterate
        except GeneratorExit:
            yield iterate


class UndocumentedSetting(Good):
    strength: float = param(1.0, low=0)


class PlainField(Good):
    strength: float = 1.0


class UncheckedBounds(Good):
    def __post_init__(self):
        pass


class CannotBePickled(Good):
    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "_callback", lambda: None)


BAD_METHODS: dict[type, set[str]] = {
    NotANumber: {"result_is_sound"},
    WrongShape: {"result_is_sound"},
    NeedlesslyComplex: {"result_is_sound"},
    GrowingLoss: {"data_fit_improves"},
    WorseThanTheStart: {"data_fit_improves"},
    OwnRandomness: {"same_seed_same_result"},
    GlobalRandomness: {"same_seed_same_result", "leaves_global_state_alone"},
    SeedsGlobally: {"leaves_global_state_alone"},
    LeaksNoGrad: {"leaves_global_state_alone"},
    ChangesDefaultDtype: {"leaves_global_state_alone"},
    ChangesThreads: {"leaves_global_state_alone"},
    SilencesNumpy: {"leaves_global_state_alone"},
    WritesToData: {"problem_untouched", "accepts_read_only_data"},
    AlwaysDouble: {"works_in_both_precisions"},
    CannotBeClosed: {"stops_when_told"},
    UndocumentedSetting: {"settings_are_documented"},
    PlainField: {"settings_are_documented"},
    UncheckedBounds: {"out_of_bounds_refused"},
    CannotBePickled: {"defaults_build"},
}


# -- denoisers -----------------------------------------------------------------------------------


class GoodDenoiser(Denoiser):
    """Keeps the Fourier coefficients that stand out of the noise."""

    threshold: float = param(3.0, low=0, doc="in units of the noise")

    def denoise(self, image, sigma):
        spectrum = np.fft.rfft2(image)
        level = self.threshold * sigma * np.sqrt(image.shape[-1] * image.shape[-2])
        return np.fft.irfft2(np.where(np.abs(spectrum) >= level, spectrum, 0), s=image.shape[-2:]).astype(
            image.dtype
        )


class Idle(Denoiser):
    def denoise(self, image, sigma):
        return image.copy()


class OneUnitOnly(GoodDenoiser):
    def denoise(self, image, sigma):
        return super().denoise(image, min(sigma, 0.5)) if image.max() < 100 else image.copy()


class NeverRests(GoodDenoiser):
    def denoise(self, image, sigma):
        return super().denoise(image, sigma or 0.1 * float(np.ptp(image)))


class DoubleImages(GoodDenoiser):
    def denoise(self, image, sigma):
        return super().denoise(image, sigma).astype(np.float64)


class LosesStacks(GoodDenoiser):
    def denoise(self, image, sigma):
        clean = super().denoise(image, sigma)
        return clean[0] if clean.ndim == 3 else clean


class WritesToImage(GoodDenoiser):
    def denoise(self, image, sigma):
        image += 0
        return super().denoise(image, sigma)


BAD_DENOISERS: dict[type, set[str]] = {
    Idle: {"reduces_noise"},
    OneUnitOnly: {"reduces_noise"},
    NeverRests: {"no_noise_no_change"},
    DoubleImages: {"keeps_shape_and_type"},
    LosesStacks: {"keeps_shape_and_type"},
    WritesToImage: {"keeps_shape_and_type"},
}


# -- calibrators ---------------------------------------------------------------------------------


class GoodCalibrator(Calibrator):
    """Tries values across each range, one parameter after another."""

    tries: int = param(5, low=2, doc="values across a range")

    def solve(self, problem, reconstructor, rng):
        best = {k: v for k, v in problem.operator.theta.items() if k in problem.ranges}
        for name, (low, high) in problem.ranges.items():
            lowest = np.inf
            for value in np.linspace(low, high, self.tries):
                guess = problem.replace(operator=problem.operator.at({**best, name: float(value)}))
                *_, last = reconstructor.solve(guess, rng)
                if last.loss < lowest:
                    lowest, theta, x = last.loss, {**best, name: float(value)}, last.x
            best = theta
            yield self.give(x, dict(best), lowest, high - low)

    def give(self, x, theta, loss, width):
        return Iterate(x, loss=loss, theta=theta, info={f"std:{k}": width / self.tries for k in theta})


class OutOfRange(GoodCalibrator):
    def give(self, x, theta, loss, width):
        good = super().give(x, theta, loss, width)
        return Iterate(x, loss=loss, theta={k: v + 2 * width for k, v in theta.items()}, info=good.info)


class StaysNominal(GoodCalibrator):
    def give(self, x, theta, loss, width):
        good = super().give(x, theta, loss, width)
        return Iterate(x, loss=loss, theta=dict.fromkeys(theta, 0.0), info=good.info)


class SilentOnErrors(GoodCalibrator):
    def give(self, x, theta, loss, width):
        return Iterate(x, loss=loss, theta=theta)


BAD_CALIBRATORS: dict[type, set[str]] = {
    OutOfRange: {"theta_stays_in_range", "likelihood_improves"},
    StaysNominal: {"likelihood_improves"},
    SilentOnErrors: {"states_what_data_determine"},
}


# -- modalities ----------------------------------------------------------------------------------


class UnseededNoise(Widefield):
    name = "unseeded-noise"

    def simulate(self, scene, *, seed=0, theta=None):
        problem, truth = super().simulate(scene, seed=seed, theta=theta)
        y = problem.operator.sample(truth.x, np.random.default_rng())
        return problem.replace(y=y), truth


class OneNoise(Widefield):
    name = "one-noise"

    def simulate(self, scene, *, seed=0, theta=None):
        return super().simulate(scene, seed=0, theta=theta)


class TruthInside(Widefield):
    name = "truth-inside"

    def simulate(self, scene, *, seed=0, theta=None):
        problem, truth = super().simulate(scene, seed=seed, theta=theta)
        return problem.replace(initial=truth.x.copy()), truth


class NoisierThanStated(Widefield):
    name = "noisier-than-stated"

    def simulate(self, scene, *, seed=0, theta=None):
        problem, truth = super().simulate(scene, seed=seed, theta=theta)
        noise = 40 * np.random.default_rng(seed).standard_normal(problem.y.shape)
        return problem.replace(y=(problem.y + noise).astype(problem.y.dtype)), truth


class WrongUnit(Widefield):
    name = "wrong-unit"
    specs = tuple(dataclasses.replace(s, unit="nm") for s in Widefield.specs)


class AlignMovesTruth(Widefield):
    name = "align-moves-truth"

    def align(self, x, truth, problem):
        return np.roll(x, 1, axis=0)


class FlatViews(Widefield):
    name = "flat-views"

    def view(self, x, problem):
        return (View("emission", "photons", x),)


class FalselyComplex(Widefield):
    name = "falsely-complex"


class OtherName(Widefield):
    name = "quite-another"


BAD_MODALITIES: dict[type, set[str]] = {
    UnseededNoise: {"seed_fixes_scene"},
    OneNoise: {"other_seed_other_noise"},
    TruthInside: {"truth_is_out_of_reach"},
    NoisierThanStated: {"operator_explains_data"},
    WrongUnit: {"parameters_act"},
    AlignMovesTruth: {"truth_is_aligned", "views_can_be_scored"},
    FlatViews: {"views_can_be_scored"},
    FalselyComplex: {"traits_are_true"},
    OtherName: {"scenes_simulate"},
}


# -- readers -------------------------------------------------------------------------------------


class GoodReader(Reader):
    def read(self, path):
        raise BadFile(f"{path.name} is not a real file")


class CrashingReader(Reader):
    def read(self, path):
        return np.load(path)


class LosesErrors(Serial):
    def open(self, workers, threads):
        executor = super().open(workers, threads)
        submit = executor.submit

        def forgiving(fn, /, *args):
            future = submit(fn, *args)
            return future if future.exception() is None else submit(lambda: None)

        executor.submit = forgiving
        return executor


class RunsThreads(Serial):
    def open(self, workers, threads):
        return ThreadPoolExecutor(workers)


class ForgetsThreads(Serial):
    def open(self, workers, threads):
        return super().open(workers, 1)


class GivesUp(Processes):
    """Reports a lost worker as if the call had come to its end."""

    def open(self, workers, threads):
        executor = super().open(workers, threads)
        submit = executor.submit

        def quiet(fn, /, *args):
            future, shown = submit(fn, *args), Future()
            future.add_done_callback(lambda f: shown.set_result("" if f.exception() else f.result()))
            return shown

        executor.submit = quiet
        return executor


# -- the fake installation -----------------------------------------------------------------------


def card(cls: type, role: str, name: str = "", **more: object) -> str:
    facts = {"licence": "MIT", "cite": DOI, **more}
    words = ", ".join(f"{k}={v!r}" for k, v in facts.items())
    return f"Card({name or words_of(cls)!r}, {f'{HERE}:{cls.__name__}'!r}, {role!r}, 'a summary', {words})"


def words_of(cls: type) -> str:
    """NotANumber -> "not-a-number"."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__).strip("-")


def distribution(
    site: Path, package: str, cards: list[str], top: str = "", requires: str = "pwm-core>=0.1,<0.2"
):
    module = package.replace("-", "_")
    hook = f"@hookimpl\ndef pwm_cards():\n    return [{', '.join(cards)}]\n"
    (site / f"{module}.py").write_text(f"{top}\nfrom pwm_core import Card, hookimpl\n{hook}")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Dist: {requires}\n"
    )
    (info / "entry_points.txt").write_text(f"[pwm]\nmain = {module}\n")


METHODS = [card(c, "reconstructor", traits={"linear"}) for c in (Good, *BAD_METHODS)]
DENOISERS = [card(c, "denoiser", traits={"image"}) for c in (GoodDenoiser, *BAD_DENOISERS)]
CALIBRATORS = [card(c, "calibrator") for c in (GoodCalibrator, *BAD_CALIBRATORS)]
OFFERS = {"linear", "image", "nonnegative"}
MODALITIES = [
    card(c, "modality", traits=OFFERS | ({"complex"} if c is FalselyComplex else set()))
    for c in (Widefield, *BAD_MODALITIES)
]
EXECUTORS = [
    card(c, "executor") for c in (Serial, Processes, LosesErrors, RunsThreads, ForgetsThreads, GivesUp)
]
READERS = [card(c, "reader", traits={"widefield"}, suffixes=(".npy",)) for c in (GoodReader, CrashingReader)]
INCOMPLETE = {
    "no-licence": (card(Good, "reconstructor", "no-licence", licence=""), "the card has no licence"),
    "no-citation": (card(Good, "reconstructor", "no-citation", cite=""), "the card has no citation"),
    "no-doi": (card(Good, "reconstructor", "no-doi", cite="Landweber 1951"), "is not a DOI"),
    "odd-trait": (
        card(Good, "reconstructor", "odd-trait", traits={"linaer"}),
        "the trait 'linaer' is neither",
    ),
    "odd-role": (card(Good, "denoiser", "odd-role"), "no Denoiser"),
}
REQUIREMENTS = {
    "pwm-core>=0.1,<0.2": "",
    "pwm_core[torch]~=0.1.0": "",
    "pwm-core>=0.1": "would accept pwm-core 0.2",
    "pwm-core>=0.1,<1": "would accept pwm-core 0.2",
    "numpy": "does not require pwm-core; write 'pwm-core>=0.1,<0.2'",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    distribution(folder, "acme-methods", [*METHODS, *DENOISERS, *CALIBRATORS])
    distribution(folder, "acme-modalities", [*MODALITIES, *READERS, *EXECUTORS])
    distribution(folder, "acme-incomplete", [text for text, _ in INCOMPLETE.values()])
    distribution(folder, "acme-heavy", [card(Good, "reconstructor", "heavy")], top="import numpy, h5py")
    for n, requirement in enumerate(REQUIREMENTS):
        distribution(folder, f"acme-req-{n}", [card(Good, "reconstructor", f"req-{n}")], requires=requirement)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture
def only(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Restricts the registry to these packages for one test."""

    def restrict(*packages: str) -> None:
        monkeypatch.setenv("PWM_PLUGINS", ",".join(packages))
        installed.cache_clear()

    yield restrict
    installed.cache_clear()


def conduct(name: str) -> Report:
    """Every check but those of the card, which need a fresh interpreter and have tests of their own."""
    entry = installed().find(name)
    return Report(name, list(outcomes([c for c in checks_of(entry) if c not in CARD], subject_of(entry))))


# -- tests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [Good, GoodDenoiser, GoodCalibrator])
def test_a_good_method_passes_every_check_without_any_modality_installed(only, cls: type) -> None:
    only("acme-methods")
    report = check_method(words_of(cls))
    assert report.ok, str(report)
    count = len(CHECKS[installed().find(words_of(cls)).card.role])
    assert f"{count} of {count} checks passed" in str(report)


def test_a_good_modality_passes_every_check(only) -> None:
    only("acme-modalities")
    report = check_modality("widefield")
    assert report.ok, str(report)
    assert len(report.passed) == len(CHECKS["modality"])


@pytest.mark.parametrize(
    ("cls", "tripped"), [*BAD_METHODS.items(), *BAD_DENOISERS.items(), *BAD_CALIBRATORS.items()]
)
def test_each_bad_habit_of_a_method_trips_its_check_alone(only, cls: type, tripped: set[str]) -> None:
    only("acme-methods")
    report = conduct(words_of(cls))
    assert set(report.failed) == tripped, str(report)


@pytest.mark.parametrize(("cls", "tripped"), BAD_MODALITIES.items())
def test_each_fault_of_a_modality_trips_its_check_alone(only, cls: type, tripped: set[str]) -> None:
    only("acme-modalities")
    report = conduct(words_of(cls))
    assert set(report.failed) == tripped, str(report)


def test_methods_are_tried_on_every_installed_modality_that_suits(only) -> None:
    only("acme-methods", "acme-modalities")
    tried = {c.modality for c in subject_of(installed().find("good")).cases}
    assert tried == {e.card.name for e in installed().of("modality")}
    only("acme-methods")
    assert {c.modality for c in subject_of(installed().find("good")).cases} == {
        "widefield",
        "dithered-widefield",
    }


def test_a_method_that_nothing_suits_is_told_so(only) -> None:
    only("acme-incomplete")
    with pytest.raises(Unsuitable, match="no installed modality offers linaer"):
        _ = subject_of(installed().find("odd-trait")).cases


@pytest.mark.parametrize(("name", "reason"), [(n, why) for n, (_, why) in INCOMPLETE.items()])
def test_an_incomplete_card_is_refused_with_what_it_lacks(only, name: str, reason: str) -> None:
    only("acme-incomplete")
    report = Report(name, list(outcomes([check_card_is_complete], subject_of(installed().find(name)))))
    assert reason in report.failed["card_is_complete"]


@pytest.mark.parametrize(("n", "reason"), list(enumerate(REQUIREMENTS.values())))
def test_the_requirement_on_the_core_must_be_there_and_capped(only, n: int, reason: str) -> None:
    only(f"acme-req-{n}")
    subject = subject_of(installed().find(f"req-{n}"))
    report = Report("", list(outcomes([check_requirement_is_capped], subject)))
    assert report.ok == (not reason)
    assert reason in report.failed.get("requirement_is_capped", "")


def test_a_plugin_that_imports_heavy_modules_is_named_with_them(only) -> None:
    only("acme-heavy")
    report = Report("", list(outcomes([check_card_is_light], subject_of(installed().find("heavy")))))
    assert "listing acme-heavy imports numpy, h5py;" in report.failed["card_is_light"]


def test_a_reader_must_refuse_bad_files_with_bad_file(only) -> None:
    only("acme-modalities")
    assert conduct("good-reader").ok
    assert set(conduct("crashing-reader").failed) == {"bad_files_refused"}


def test_an_executor_must_hand_errors_over_and_run_calls_where_they_can_be_limited(only) -> None:
    only("acme-modalities")
    assert conduct("acme-modalities/serial").ok
    assert set(conduct("loses-errors").failed) == {"hands_errors_over"}
    assert set(conduct("runs-threads").failed) == {"calls_can_be_limited"}
    assert set(conduct("forgets-threads").failed) == {"calls_can_be_limited"}


@pytest.mark.slow
def test_an_executor_must_say_which_call_cost_a_worker(only) -> None:
    only("acme-modalities")
    assert conduct("processes").ok
    assert "lost_worker_costs_one_call" in conduct("gives-up").failed


def test_an_expected_failure_is_no_failure_but_must_fail(only) -> None:
    only("acme-methods")
    report = check_method("always-double", expect={"works_in_both_precisions": "known, see the notes"})
    assert report.ok, str(report)
    assert "known, see the notes" in report.expected["works_in_both_precisions"]
    assert "13 of 14 checks passed, 1 failed as expected" in str(report)
    report = check_method("good", expect={"works_in_both_precisions": "known"})
    assert "passes; drop it from expect=" in report.failed["works_in_both_precisions"]
    assert not report.ok
    with pytest.raises(UnknownName, match="did you mean 'data_fit_improves'"):
        check_method("good", expect={"data_fit_improve": "known"})


def test_checks_for_is_one_pytest_test_a_check(only) -> None:
    only("acme-methods")
    test = checks_for("always-double", expect={"card_is_light": "made up"})
    (mark,) = test.pytestmark
    ends = {mark.kwargs["ids"](c): outcome_in_pytest(test, c) for c in mark.args[1]}
    assert len(ends) == 14
    assert ends.pop("works_in_both_precisions") == "failed"
    assert ends.pop("card_is_light") == "failed"  # it was expected to, and does not
    assert set(ends.values()) == {"passed"}
    test = checks_for("always-double", expect={"works_in_both_precisions": "known"})
    (check,) = [c for c in mark.args[1] if c.__name__ == "check_works_in_both_precisions"]
    assert outcome_in_pytest(test, check) == "xfailed"


def outcome_in_pytest(test: Callable, check: Callable) -> str:
    try:
        test(check)
    except pytest.xfail.Exception:
        return "xfailed"
    except pytest.fail.Exception:
        return "failed"
    return "passed"


def test_the_command_prints_every_check_and_says_by_its_status_how_it_went(only, capsys) -> None:
    only("acme-methods")
    assert check_command("good") == 0
    assert "14 of 14 checks passed" in capsys.readouterr().out
    assert check_command("growing-loss") == 1
    printed = capsys.readouterr().out
    assert "13 of 14 checks passed" in printed
    assert "the loss went from" in printed
    with pytest.raises(UnknownName):
        check_entry("gooood")


def test_the_kit_leaves_the_process_as_it_found_it(only) -> None:
    only("acme-methods")
    before = (
        torch.get_rng_state(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
    )
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    for name in ("changes-default-dtype", "leaks-no-grad", "changes-threads", "global-randomness"):
        with pytest.raises(CheckFailed):
            check_leaves_global_state_alone(subject_of(installed().find(name)))
    after = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert np.array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002


def test_every_check_has_a_one_line_reason() -> None:
    for check in {c for checks in CHECKS.values() for c in checks}:
        lines = (check.__doc__ or "").strip().splitlines()
        assert len(lines) == 1, check.__name__
        assert lines[0].endswith("."), check.__name__
