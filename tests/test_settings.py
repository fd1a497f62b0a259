"""Settings: types, bounds, text from the command line, units, and what is said when they are wrong."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pwm_core import PwmError, Settings, param
from pwm_core.errors import BadValue, UnknownName
from pwm_core.settings import describe, params
from pwm_core.units import quantity


class Toy(Settings):
    iterations: int = param(50, low=1, doc="steps")
    step: float = param(0.5, low=0, high=2)
    distance: float = param(1.0, low=0, unit="m")
    seed: int | None = param(None, low=0)
    verbose: bool = param(False)
    window: Literal["hann", "flat", 3] = param("hann")
    title: str = param("plain")
    note: str | None = param(None)
    level: float | Literal["auto"] = param("auto")
    shape: tuple[int, int] = (3, 4)


class Child(Toy):
    iterations: int = param(10, low=5)
    momentum: float = param(0.9)


# -- types and bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"iterations": 0}, "Toy: iterations must be int >= 1, got 0"),
        ({"iterations": 2.0}, "iterations must be int >= 1, got 2.0"),
        ({"iterations": True}, "iterations must be int >= 1, got True"),
        ({"iterations": "3"}, "iterations must be int >= 1, got '3'"),
        ({"iterations": None}, "iterations must be int >= 1, got None"),
        ({"step": 2.5}, r"step must be float in \[0, 2\], got 2.5"),
        ({"step": -1}, "step must be float"),
        ({"step": math.nan}, "step must be float"),
        ({"step": False}, "step must be float"),
        ({"distance": math.nan}, "distance must be float >= 0 m, got nan"),
        ({"seed": -1}, "seed must be int >= 0 or none, got -1"),
        ({"seed": 1.5}, "seed must be int >= 0 or none"),
        ({"verbose": 1}, "verbose must be bool, got 1"),
        ({"window": "hanning"}, "window must be 'hann' or 'flat' or 3, got 'hanning'"),
        ({"window": None}, "window must be 'hann'"),
        ({"window": 3.0}, "window must be 'hann'"),
        ({"window": ["hann"]}, "window must be 'hann'"),
        ({"title": 3}, "title must be str, got 3"),
        ({"level": "none"}, "level must be float or 'auto', got 'none'"),
        ({"step": np.array([1.0])}, "step must be float"),
        ({"step": torch.tensor(1.0)}, "step must be float"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(BadValue, match=words):
        Toy(**values)
    with pytest.raises(BadValue, match=words):
        Toy().replace(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"iterations": 1},
        {"step": 0.0},
        {"step": 2.0},
        {"distance": math.inf},
        {"seed": None},
        {"seed": 0},
        {"window": 3},
        {"level": 0.25},
        {"note": None},
        {"note": "x"},
    ],
)
def test_bounds_are_inclusive_and_alternatives_count(values: dict[str, Any]) -> None:
    settings = Toy(**values)
    for name, value in values.items():
        assert getattr(settings, name) == value


def test_a_whole_number_is_a_float_where_one_is_expected() -> None:
    assert type(Toy(step=1).step) is float
    assert type(Toy(level=1).level) is float


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("iterations", np.int64(7), int),
        ("iterations", np.uint8(7), int),
        ("step", np.float32(0.5), float),
        ("step", np.int64(1), float),
        ("step", np.array(0.5), float),
        ("verbose", np.bool_(True), bool),
        ("title", np.str_("x"), str),
        ("seed", np.int32(3), int),
    ],
)
def test_numpy_scalars_become_plain_values(name: str, value: Any, kind: type) -> None:
    held = getattr(Toy(**{name: value}), name)
    assert type(held) is kind
    assert held == value


def test_numpy_scalars_are_checked_like_plain_values() -> None:
    for values in ({"iterations": np.float64(3)}, {"iterations": np.int64(0)}, {"step": np.float64("nan")}):
        with pytest.raises(BadValue):
            Toy(**values)


def test_an_unknown_name_is_answered_with_the_closest_one() -> None:
    for make in (lambda: Toy(iteration=3), lambda: Toy.from_strings({"iteration": "3"})):
        with pytest.raises(UnknownName, match="Toy has no setting 'iteration'; did you mean 'iterations'"):
            make()
    with pytest.raises(UnknownName, match="it has: iterations, step, distance"):
        Toy.from_strings({"qqq": "3"})


# -- the object ---------------------------------------------------------------------------------


def test_settings_are_frozen_and_replaced_by_checked_copies() -> None:
    settings = Toy(step=1.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.step = 2.0  # type: ignore[misc]
    changed = settings.replace(iterations=3)
    assert (changed.step, changed.iterations, settings.iterations) == (1.5, 3, 50)
    with pytest.raises(UnknownName, match="did you mean 'step'"):
        settings.replace(stepp=1.0)
    with pytest.raises(TypeError):
        Toy(3)  # type: ignore[misc]


def test_settings_survive_pickling() -> None:
    settings = Child(step=1.5, seed=3, window=3)
    back = pickle.loads(pickle.dumps(settings))
    assert type(back) is Child
    assert back.values() == settings.values()
    assert back.shape == (3, 4)


def test_a_subclass_inherits_overrides_and_adds() -> None:
    child = Child()
    assert (child.iterations, child.step, child.momentum) == (10, 0.5, 0.9)
    assert [f.name for f in params(Child)][:2] == ["iterations", "step"]
    with pytest.raises(BadValue, match="Child: iterations must be int >= 5"):
        Child(iterations=1)
    assert Toy(iterations=1).iterations == 1
    with pytest.raises(BadValue, match="Child: step"):
        Child(step=9.0)


def test_values_are_the_declared_settings_alone() -> None:
    assert "shape" not in Toy().values()
    assert Toy(seed=4).values()["seed"] == 4
    assert list(Toy().values()) == [f.name for f in params(Toy)]
    assert eval(repr(Toy(step=1.25)), {"Toy": Toy}).values() == Toy(step=1.25).values()


def test_a_field_describes_what_it_takes() -> None:
    words = {f.name: describe(f, Toy.__annotations__[f.name]) for f in params(Toy)}
    hints = {"iterations": int, "distance": float, "seed": int | None}
    said = {n: describe(f, hints[n]) for f in params(Toy) if (n := f.name) in hints}
    assert words.keys() > said.keys()
    assert said == {"iterations": "int >= 1", "distance": "float >= 0 m", "seed": "int >= 0 or none"}


# -- text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("iterations", "100", 100),
        ("iterations", " 7 ", 7),
        ("step", "1e-3", 1e-3),
        ("step", "1", 1.0),
        ("distance", "3.65mm", 3.65e-3),
        ("distance", "3.65", 3.65),
        ("distance", "20 cm", 0.2),
        ("distance", "inf", math.inf),
        ("seed", "none", None),
        ("seed", "auto", None),
        ("seed", "12", 12),
        ("verbose", "true", True),
        ("verbose", "Yes", True),
        ("verbose", "on", True),
        ("verbose", "1", True),
        ("verbose", "false", False),
        ("verbose", "NO", False),
        ("verbose", "off", False),
        ("verbose", "0", False),
        ("window", "flat", "flat"),
        ("window", "3", 3),
        ("title", "none", "none"),
        ("title", "3.5", "3.5"),
        ("note", "None", None),
        ("note", "a word", "a word"),
        ("level", "auto", "auto"),
        ("level", "0.5", 0.5),
    ],
)
def test_text_is_read_by_the_type_of_its_field(name: str, text: str, value: Any) -> None:
    held = getattr(Toy.from_strings({name: text}), name)
    assert held == value
    assert type(held) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("iterations", "40.0", "iterations must be int >= 1, got '40.0'"),
        ("iterations", "1e3", "iterations must be int >= 1, got '1e3'"),
        ("iterations", "0", "iterations must be int >= 1, got 0"),
        ("iterations", "", "iterations must be int >= 1, got ''"),
        ("step", "fast", "step must be float"),
        ("step", "nan", "step must be float"),
        ("step", "1mm", "step must be float"),
        ("distance", "3.65kg", "distance must be float >= 0 m, got '3.65kg'"),
        ("distance", "-1mm", "distance must be float >= 0 m, got -0.001"),
        ("verbose", "maybe", "verbose must be bool"),
        ("window", "Hann", "window must be 'hann'"),
    ],
)
def test_text_that_does_not_fit_is_refused(name: str, text: str, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        Toy.from_strings({name: text})


def test_a_field_of_another_kind_is_not_made_of_text() -> None:
    class Shaped(Settings):
        size: tuple[int, int] = param((1, 2))
        kernel: np.ndarray | None = param(None)

    for name in ("size", "kernel"):
        with pytest.raises(BadValue, match=f"Shaped: {name} must be"):
            Shaped.from_strings({name: "12"})
    assert Shaped.from_strings({"kernel": "none"}, size=(3, 4)).size == (3, 4)


anything = st.fixed_dictionaries(
    {
        "iterations": st.integers(1, 10**30),
        "step": st.floats(0, 2),
        "distance": st.floats(0, allow_nan=False),
        "seed": st.none() | st.integers(0),
        "verbose": st.booleans(),
        "window": st.sampled_from(["hann", "flat", 3]),
        "title": st.text().filter(lambda t: t == t.strip()),
        "note": st.none()
        | st.text(min_size=1).filter(lambda t: t == t.strip() and t.lower() not in ("none", "auto")),
        "level": st.just("auto") | st.floats(allow_nan=False),
    }
)


@given(anything)
def test_what_settings_print_they_also_read(values: dict[str, Any]) -> None:
    settings = Toy(**values)
    assert settings.values() == values
    back = Toy.from_strings({name: str(value) for name, value in settings.values().items()})
    assert back.values() == values
    assert [type(v) for v in back.values().values()] == [type(v) for v in settings.values().values()]


# -- units --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("3.65mm", "m", 3.65e-3),
        ("3.65", "m", 3.65),
        ("  -2.5e-3 µm ", "nm", -2.5),
        ("1μm", "nm", 1000),
        ("5%", "%", 5),
        ("12.7keV", "keV", 12.7),
        ("12.7 keV", "eV", 12700),
        ("2Å", "nm", 0.2),
        ("2\u212b", "nm", 0.2),  # the sign for ångström rather than the letter
        ("2 angstrom", "Å", 2),
        ("180deg", "rad", math.pi),
        ("2 px", "px", 2),
        ("2 pixels", "px", 2),
        ("10 counts/quantum", "counts/quantum", 10),
        (".5mm", "m", 5e-4),
        ("5.mm", "m", 5e-3),
        ("20degC", "K", 293.15),
    ],
)
def test_a_quantity_is_converted_to_the_unit_of_its_field(text: str, unit: str, value: float) -> None:
    assert quantity(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("3kg", "m", "'3kg' cannot be expressed in m"),
        ("2 m", "px", "cannot be expressed in px"),
        ("5%", "m", "cannot be expressed in m"),
        ("3 parrots", "m", "'parrots' is not a unit that is known; expected m"),
        ("3mm", "", "has a unit, but a plain number is expected"),
        ("mm", "m", "is not a number with a unit, such as 3.65mm"),
        ("1.2.3mm", "m", "is not a number with a unit"),
        ("", "m", "is not a number with a unit"),
        ("3 m+", "m", "'m\\+' is not a unit that is known"),
        ("3 m 4", "m", "'m 4' is not a unit that is known"),
        ("three mm", "m", "is not a number with a unit"),
    ],
)
def test_a_quantity_of_the_wrong_dimension_or_none_is_refused(text: str, unit: str, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        quantity(text, unit)


@given(st.text(max_size=12), st.sampled_from(["m", "", "%", "px", "keV"]))
def test_no_text_trips_the_reader_of_quantities(text: str, unit: str) -> None:
    for word in (text, f"3 {text}"):
        try:
            assert isinstance(quantity(word, unit), float)
        except PwmError as error:
            assert str(error)  # noqa: PT017


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_with_the_fields_own_unit_is_that_number(value: float) -> None:
    assert quantity(f"{value!r}m", "m") == value
    assert quantity(f"{value!r}", "m") == value
