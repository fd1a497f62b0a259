"""Which checks are made of what, and the ways to make them: here, from pytest, from the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..operator import Operator
from ..registry import METHODS, Entry, installed
from . import calibrator_checks as calibrator
from . import card_checks as card
from . import denoiser_checks as denoiser
from . import executor_checks as executor
from . import method_checks as method
from . import modality_checks as modality
from . import operator_checks as operator
from . import reader_checks as reader
from . import settings_checks as settings
from .report import Check, CheckFailed, Report, check_name, explain, known_names, outcomes, unexpected
from .subject import Subject

CARD: list[Check] = [card.check_card_is_light, card.check_card_is_complete, card.check_requirement_is_capped]
SETTINGS: list[Check] = [
    settings.check_defaults_build,
    settings.check_settings_are_documented,
    settings.check_out_of_bounds_refused,
]
CONDUCT: list[Check] = [
    method.check_result_is_sound,
    method.check_same_seed_same_result,
    method.check_problem_untouched,
    method.check_stops_when_told,
    method.check_accepts_read_only_data,
    method.check_works_in_both_precisions,
    method.check_leaves_global_state_alone,
]
OPERATOR: list[Check] = [
    operator.check_borders_are_kept,
    operator.check_operator_is_pure,
    operator.check_unknown_parameter_refused,
    operator.check_linearity_is_declared,
    operator.check_derivative_to_object,
    operator.check_derivative_to_parameters,
]
CHECKS: dict[str, list[Check]] = {
    "reconstructor": [*CARD, *SETTINGS, *CONDUCT, method.check_data_fit_improves],
    "denoiser": [
        *CARD,
        *SETTINGS,
        denoiser.check_keeps_shape_and_type,
        denoiser.check_reduces_noise,
        denoiser.check_no_noise_no_change,
        denoiser.check_denoises_then_inverts,
        *CONDUCT,
        method.check_data_fit_improves,
    ],
    "calibrator": [
        *CARD,
        *SETTINGS,
        calibrator.check_theta_stays_in_range,
        calibrator.check_likelihood_improves,
        calibrator.check_states_what_data_determine,
        *CONDUCT,
    ],
    "modality": [
        *CARD,
        *SETTINGS,
        modality.check_scenes_simulate,
        modality.check_seed_fixes_scene,
        modality.check_other_seed_other_noise,
        modality.check_operator_explains_data,
        modality.check_traits_are_true,
        modality.check_parameters_act,
        modality.check_views_can_be_scored,
        modality.check_truth_is_aligned,
        modality.check_truth_is_out_of_reach,
        *OPERATOR,
    ],
    "reader": [*CARD, *SETTINGS, reader.check_suffixes_are_given, reader.check_bad_files_refused],
    "executor": [
        *CARD,
        *SETTINGS,
        executor.check_runs_calls,
        executor.check_hands_errors_over,
        executor.check_calls_can_be_limited,
        executor.check_lost_worker_costs_one_call,
    ],
    "command": CARD,
}


def check_entry(name: str, *roles: str, expect: Mapping[str, str] | None = None) -> Report:
    """Check the installed entry called ``name`` (or ``package/name``), of one of ``roles`` if any are given.

    ``expect`` maps the name of a check that is known to fail to the reason; if it passes after all,
    that counts as a failure. UnknownName if there is no such entry or no such check.
    """
    entry = installed().find(name, *roles)
    return Report(entry.card.name, list(outcomes(CHECKS[entry.card.role], subject_of(entry), expect)))


def check_method(name: str, *, expect: Mapping[str, str] | None = None) -> Report:
    """Check a reconstructor, denoiser or calibrator on a small problem of every modality that suits it."""
    return check_entry(name, *METHODS, "calibrator", expect=expect)


def check_modality(name: str, *, expect: Mapping[str, str] | None = None) -> Report:
    """Check a modality and its operator, at the size that its ``small()`` gives."""
    return check_entry(name, "modality", expect=expect)


def check_operator(
    operator_: Operator,
    x: np.ndarray,
    *,
    theta: Mapping[str, float] | None = None,
    expect: Mapping[str, str] | None = None,
) -> Report:
    """Check an operator at the object ``x``, its derivatives at ``theta`` (default: the nominal one)."""
    double = np.asarray(x, np.complex128 if np.iscomplexobj(x) else np.float64)
    subject = operator.OperatorSubject(operator_, double, theta or {})
    return Report(str(operator_), list(outcomes(OPERATOR, subject, expect)))


def checks_for(name: str, *, expect: Mapping[str, str] | None = None) -> Callable[[Check], None]:
    """A ready pytest function, one test a check: ``test_mine = checks_for("mymethod")``.

    ``expect`` is that of :func:`check_entry`; the checks named in it show up as xfailed.
    """
    import pytest

    entry, expected = installed().find(name), expect or {}
    checks, subject = CHECKS[entry.card.role], subject_of(entry)
    known_names(checks, expected)

    @pytest.mark.parametrize("check", checks, ids=check_name)
    def test(check: Check) -> None:
        __tracebackhide__ = True
        reason = expected.get(check_name(check))
        try:
            check(subject)
        except CheckFailed as error:
            if reason is None:
                pytest.fail(f"{check.__doc__}\n{explain(error)}", pytrace=False)
            pytest.xfail(reason)
        except Exception:
            if reason is None:
                raise
            pytest.xfail(reason)
        if reason is not None:
            pytest.fail(unexpected(reason), pytrace=False)

    return test


def subject_of(entry: Entry) -> Subject:
    """The entry as what its checks look at."""
    return (modality.ModalitySubject if entry.card.role == "modality" else Subject)(entry)


def checks_of(entry: Entry) -> Sequence[Check]:
    """The checks that are made of this entry."""
    return CHECKS[entry.card.role]
