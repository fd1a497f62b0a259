"""pwm's own files: what is written comes back as it was, and a file is replaced whole or not at all."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pwm_core import (
    Card,
    Denoiser,
    DenoiseThenInvert,
    Iterate,
    Operator,
    Problem,
    PwmError,
    Reconstructor,
    Result,
    Settings,
    Truth,
    param,
)
from pwm_core.errors import BadValue, PluginError
from pwm_core.formats import load_problem, load_result, load_truth, save_problem, save_result, save_truth
from pwm_core.formats.result import Recorded
from pwm_core.registry import Entry, installed


class Blur(Operator):
    symbol = "C"
    sigma: float = param(1.5, low=0.1, high=5, unit="px")

    def apply(self, x: torch.Tensor, sigma: Any) -> torch.Tensor:
        return x * sigma


class Optics(Settings):
    focus: float = param(0.1, low=0, unit="m")
    orders: tuple[int, ...] = (1, 2)


class Everything(Operator):
    shift: float = param(0.0, unit="m")
    weights: np.ndarray | None = param(None)
    array: np.ndarray | None = None
    flags: np.ndarray | None = None
    point: np.ndarray | None = None
    count: int = 3
    ratio: float = 0.1
    words: str = "ψ\0 \udc80"
    on: bool = True
    nothing: float | None = None
    pair: tuple[float, int] = (math.inf, 2)
    nested: tuple[Any, ...] = ((1, "a", None), [True, (2.5,)])
    choice: Literal["far", "near"] = "near"
    scalar: int = 0
    phase: complex = 0j
    optics: Optics = Optics()
    inner: Operator | None = None

    def apply(self, x: torch.Tensor, **theta: Any) -> torch.Tensor:
        return x


class Smooth(Denoiser):
    strength: float = param(1.0, low=0)

    def denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        return image


class Loop(Reconstructor):
    iterations: int = param(50, low=1)
    kernel: np.ndarray | None = None
    hook: Callable | None = None

    def solve(self, problem: Problem, rng: np.random.Generator) -> Iterator[Iterate]:
        yield Iterate(problem.start)


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    """Make the classes above those of an installed plugin."""
    entry = Entry(Card("toy", f"{__name__}:Loop", "reconstructor", "for these tests"), "pwm-toy", "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed(), "entries", [*installed().entries, entry])
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


def toy_problem(**changes: Any) -> Problem:
    blur = Blur(name="psf")
    y = np.arange(12, dtype=np.float32).reshape(3, 4)
    fields: dict[str, Any] = {"y": y, "operator": blur @ Blur(name="b"), "modality": "toy", "shape": (3, 4)}
    return Problem(**{**fields, **changes})


def toy_result(**changes: Any) -> Result:
    fields: dict[str, Any] = {
        "x": np.ones((2, 2), np.float32),
        "theta": {},
        "history": [{"step": 1, "seconds": 0.5, "loss": 2.0}],
        "status": "finished",
        "seconds": 0.5,
        "method": Loop(iterations=7),
    }
    return Result(**{**fields, **changes})


def assert_same_array(a: Any, b: Any) -> None:
    assert (a is None) == (b is None)
    if a is not None:
        assert type(a) is type(b)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def assert_same_problem(a: Problem, b: Problem) -> None:
    for name in ("y", "initial", "mask"):
        assert_same_array(getattr(a, name), getattr(b, name))
    for name in ("modality", "shape", "dtype", "axes", "pixel_size", "units", "ranges", "name"):
        assert getattr(a, name) == getattr(b, name), name
    assert a.operator.digest() == b.operator.digest()


# -- round trips --------------------------------------------------------------------------------

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
plain_dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="=")
    | hnp.unsigned_integer_dtypes(endianness="=")
    | hnp.floating_dtypes(endianness="=", sizes=(16, 32, 64))
    | hnp.complex_number_dtypes(endianness="=", sizes=(64, 128))
)


def arrays(shape: Any, dtype: Any = plain_dtypes) -> st.SearchStrategy[np.ndarray]:
    elements = {"allow_nan": False, "allow_infinity": False}
    return dtype.flatmap(
        lambda d: hnp.arrays(d, shape, elements=hnp.from_dtype(d, **(elements if d.kind in "fc" else {})))
    )


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    y = draw(arrays(draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))))
    mask_shape = y.shape[draw(st.integers(0, y.ndim)) :]
    scope = draw(st.text().filter(lambda t: "." not in t))
    operator = Blur(name=scope, label=draw(st.text()), sigma=draw(st.floats(0.1, 5))) @ Blur(name=scope + "2")
    low, high = sorted([draw(numbers), draw(numbers)])
    return Problem(
        y=y,
        operator=operator,
        modality=draw(st.text()),
        shape=shape,
        dtype=draw(st.sampled_from(["float32", "float64", "complex64", "complex128"])),
        axes=tuple(draw(st.lists(st.text(), max_size=4))),
        pixel_size=tuple(draw(st.lists(numbers, max_size=4))),
        units=tuple(draw(st.lists(st.text(), max_size=4))),
        ranges=draw(st.sampled_from([{}, {next(iter(operator.parameters)): (low, high)}])),
        initial=draw(st.none() | arrays(shape)),
        mask=draw(st.none() | hnp.arrays(bool, mask_shape)),
        name=draw(st.text(st.characters())),
    )


@settings(max_examples=35, deadline=None)
@given(problem=problems())
def test_a_problem_comes_back_as_it_was(problem: Problem, folder: Path) -> None:
    save_problem(folder / "p.h5", problem)
    assert_same_problem(load_problem(folder / "p.h5"), problem)


@settings(max_examples=25, deadline=None)
@given(
    x=arrays(hnp.array_shapes(max_dims=3, max_side=4)),
    theta=st.dictionaries(
        st.text(), numbers | st.integers() | st.complex_numbers(allow_nan=False, allow_infinity=False)
    ),
    positions=st.dictionaries(st.text(), arrays(hnp.array_shapes(max_dims=2, max_side=3)), max_size=3),
)
def test_a_truth_comes_back_as_it_was(x: Any, theta: dict, positions: dict, folder: Path) -> None:
    theta = {**theta, **positions}
    save_truth(folder / "t.h5", Truth(x, theta))
    back = load_truth(folder / "t.h5")
    assert_same_array(back.x, x)
    assert list(back.theta) == list(theta)
    for name, value in theta.items():
        assert np.array_equal(back.theta[name], value)
        assert np.asarray(back.theta[name]).dtype == np.asarray(value).dtype


rows = st.dictionaries(
    st.text(max_size=6), st.floats() | st.integers(-(2**60), 2**60), min_size=1, max_size=4
)


@settings(max_examples=35, deadline=None)
@given(history=st.lists(rows, max_size=6))
def test_a_history_comes_back_row_by_row(history: list[dict[str, float]], folder: Path) -> None:
    save_result(folder / "r.h5", toy_result(history=history))
    back = load_result(folder / "r.h5").history
    assert [row.keys() for row in back] == [row.keys() for row in history]
    for row, before in zip(back, history, strict=True):
        assert all(
            np.array_equal(row[k], float(before[k]), equal_nan=True) or row[k] == before[k] for k in row
        )


def test_whole_numbers_of_a_history_stay_whole(folder: Path) -> None:
    history = [{"step": 1, "loss": 0.5}, {"step": 2, "rank": 3}]
    save_result(folder / "r.h5", toy_result(history=history))
    back = load_result(folder / "r.h5").history
    assert back == history
    assert type(back[0]["step"]) is type(back[1]["rank"]) is int


def test_a_result_comes_back_with_method_and_parameters(folder: Path) -> None:
    theta = {"probe.error": 1.5, "probe.phase": 1 + 2j, "stage.xy": np.ones((3, 2)), "p": np.array([1j, 2])}
    result = toy_result(
        x=np.array([[1 + 1j, 2]], np.complex64),
        theta=theta,
        status="interrupted",
        seed=2**70,
        device="cuda:1",
        peak_memory=2**40,
        note="Ctrl-C",
        method=Loop(iterations=9, kernel=np.eye(3)),
    )
    save_result(folder / "r.h5", result)
    back = load_result(folder / "r.h5")
    assert_same_array(back.x, result.x)
    assert back.theta.keys() == theta.keys()
    assert back.theta["probe.phase"] == 1 + 2j
    assert_same_array(back.theta["stage.xy"], theta["stage.xy"])
    assert_same_array(back.theta["p"], theta["p"])
    for name in ("history", "status", "seconds", "seed", "device", "peak_memory", "note"):
        assert getattr(back, name) == getattr(result, name), name
    assert isinstance(back.method, Loop)
    assert back.method.iterations == 9
    assert_same_array(back.method.kernel, np.eye(3))


def test_a_denoiser_inside_a_method_is_rebuilt(folder: Path) -> None:
    save_result(folder / "r.h5", toy_result(method=DenoiseThenInvert(denoiser=Smooth(strength=2.0))))
    method = load_result(folder / "r.h5").method
    assert isinstance(method, DenoiseThenInvert)
    assert isinstance(method.denoiser, Smooth)
    assert method.denoiser.strength == 2


def test_a_diverged_result_keeps_its_values_and_a_finished_one_must_be_finite(folder: Path) -> None:
    bad = toy_result(x=np.array([np.nan, np.inf]), theta={"a": math.nan})
    with pytest.raises(BadValue, match="dataset 'x' has 2 non-finite"):
        save_result(folder / "r.h5", bad)
    bad.status = "diverged"
    save_result(folder / "r.h5", bad)
    back = load_result(folder / "r.h5")
    assert_same_array(back.x, bad.x)
    assert math.isnan(back.theta["a"])


@pytest.mark.parametrize(
    "status", ["method from a script", "denoiser from a script", "a setting that is code"]
)
def test_a_result_is_kept_even_where_its_method_cannot_be(folder: Path, status: str) -> None:
    class Script(Reconstructor):
        rate: float = param(0.5)

    class Sharp(Denoiser):
        pass

    method = {
        "method from a script": Script(rate=0.25),
        "denoiser from a script": DenoiseThenInvert(denoiser=Sharp()),
        "a setting that is code": Loop(kernel=np.eye(2), hook=print),
    }[status]
    save_result(folder / "r.h5", toy_result(method=method))
    back = load_result(folder / "r.h5")
    assert isinstance(back.method, Recorded)
    assert back.method.text == repr(method)
    with pytest.raises(PluginError, match="is not installed"):
        back.method.solve(toy_problem(), np.random.default_rng(0))
    save_result(folder / "r2.h5", back)
    assert repr(load_result(folder / "r2.h5").method) == repr(back.method)


def test_a_method_that_is_not_installed_here_is_named(folder: Path) -> None:
    save_result(folder / "r.h5", toy_result())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed(), "entries", [])
        method = load_result(folder / "r.h5").method
    assert isinstance(method, Recorded)
    assert method.type == f"{__name__}:Loop"
    assert "iterations=7" in method.text


def test_every_kind_of_field_of_an_operator_comes_back(folder: Path) -> None:
    node = Everything(
        name="all",
        shift=-2.5,
        weights=np.array([1, 2j]),
        array=np.zeros((2, 3), np.complex64),
        flags=np.array([True, False]),
        point=np.array(3.5),
        scalar=np.int64(7),
        phase=1 + 2j,
        optics=Optics(focus=0.2, orders=(3,)),
        inner=Blur(name="psf"),
    )
    save_problem(folder / "p.h5", toy_problem(operator=node))
    back = load_problem(folder / "p.h5").operator
    assert isinstance(back, Everything)
    for name in ("shift", "count", "ratio", "words", "on", "nothing", "pair", "nested", "choice"):
        assert getattr(back, name) == getattr(node, name), name
        assert type(getattr(back, name)) is type(getattr(node, name)), name
    assert back.scalar == 7
    assert back.phase == 1 + 2j
    for name in ("weights", "array", "flags", "point"):
        assert_same_array(getattr(back, name), getattr(node, name))
    assert back.optics.values() == node.optics.values()
    assert back.optics.orders == (3,)
    assert isinstance(back.inner, Blur)


def test_a_shared_node_stays_shared_and_the_physics_the_same(folder: Path) -> None:
    psf = Blur(name="psf", sigma=2.0)
    operator = (psf @ Blur(name="a")) + psf
    save_problem(folder / "p.h5", toy_problem(operator=operator))
    back = load_problem(folder / "p.h5").operator
    assert back.left.outer is back.right  # type: ignore[attr-defined]
    assert len(back.nodes()) == 2
    assert str(back) == str(operator)
    x = np.random.default_rng(0).random((3, 4))
    np.testing.assert_array_equal(back(x, {"psf.sigma": 3.0}), operator(x, {"psf.sigma": 3.0}))


def test_foreign_byte_order_becomes_native(folder: Path) -> None:
    problem = toy_problem(y=np.arange(12, dtype=">f4").reshape(3, 4))
    save_problem(folder / "p.h5", problem)
    back = load_problem(folder / "p.h5")
    assert back.y.dtype.isnative
    np.testing.assert_array_equal(back.data, problem.y.astype(np.float32))


def test_large_counts_are_compressed_and_come_back(folder: Path) -> None:
    counts = np.random.default_rng(0).poisson(2.0, (200, 64, 64)).astype(np.uint16)
    mask = np.zeros((200, 64, 64), bool)
    save_problem(folder / "big.h5", toy_problem(y=counts, mask=mask))
    assert (folder / "big.h5").stat().st_size < counts.nbytes / 2
    assert_same_problem(load_problem(folder / "big.h5"), toy_problem(y=counts, mask=mask))


def test_values_under_the_mask_need_not_be_finite(folder: Path) -> None:
    y = np.array([[1.0, np.nan], [np.inf, 2.0]], np.float32)
    problem = toy_problem(y=y, shape=(2, 2), mask=np.isfinite(y))
    save_problem(folder / "p.h5", problem)
    assert_same_problem(load_problem(folder / "p.h5"), problem)
    with pytest.raises(BadValue, match="dataset 'y' has 2 non-finite"):
        save_problem(folder / "p.h5", problem.replace(mask=None))


def test_what_could_not_be_read_back_is_not_written(folder: Path) -> None:
    class Local(Operator):
        pass

    path = folder / "never.h5"
    for bad, words in [
        (toy_problem(operator=Local()), "no class of an installed package"),
        (toy_problem(operator=Everything(words={"a": 1})), "cannot be stored"),
        (toy_problem(operator=Everything(count="three")), "Everything.count cannot be a str"),
        (toy_problem(operator=Everything(array=np.array(["a", None], object))), "no plain number"),
        (toy_problem(dtype="int8"), "'dtype' is 'int8'"),
        (toy_problem(name=3), "'name' must be of type str"),
    ]:
        with pytest.raises(BadValue, match=words):
            save_problem(path, bad)
    with pytest.raises(BadValue, match="no numbers"):
        save_result(path, toy_result(history=[{"loss": "low"}]))
    with pytest.raises(BadValue, match="parameter 'a' has 1 non-finite value,"):
        save_truth(path, Truth(np.ones(2), {"a": math.inf}))
    assert not path.exists()


# -- atomic writing -----------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "problem.h5"
    save_problem(path, toy_problem())
    return path


@pytest.fixture(params=["unnamed", "named"])
def temporary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of writing: a file without a name, and, where a system has none, one with a name."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return request.param


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "Ctrl-C"]
)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    saved: Path, temporary: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()
    create = h5py.Group.create_dataset

    def fail(self: h5py.Group, name: str, *args: Any, **kwargs: Any) -> Any:
        create(self, name, *args, **kwargs)
        raise error

    monkeypatch.setattr(h5py.Group, "create_dataset", fail)
    with pytest.raises((PwmError, KeyboardInterrupt)) as caught:
        save_problem(saved, toy_problem(y=np.zeros((3, 4))))
    if isinstance(error, OSError):
        assert str(caught.value) == f"{saved} cannot be written: No space left on device"
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_success_leaves_one_file_of_the_usual_permissions(tmp_path: Path, temporary: str) -> None:
    (tmp_path / "plain").touch()
    target = tmp_path / "target.h5"
    (tmp_path / "link.h5").symlink_to(target)
    save_truth(tmp_path / "link.h5", Truth(np.ones(3)))
    save_truth(tmp_path / "link.h5", Truth(np.zeros(3)))
    assert not load_truth(target).x.any()
    assert sorted(os.listdir(tmp_path)) == ["link.h5", "plain", "target.h5"]
    assert (tmp_path / "link.h5").is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def in_child(action: Callable[[], None]) -> int:
    """Do this in a forked process; how that ended: its exit code, or the negative of the signal."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            action()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="this system has no files without a name")
def test_a_kill_in_the_middle_leaves_the_old_file_and_nothing_else(saved: Path) -> None:
    before = saved.read_bytes()

    def killed() -> None:
        os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        save_problem(saved, toy_problem(y=np.zeros((500, 500))))

    assert in_child(killed) == -signal.SIGKILL
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_full_disk_is_told_and_leaves_the_old_file(saved: Path) -> None:
    before = saved.read_bytes()

    def fills_the_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(PwmError, match=f"{saved} cannot be written"):
            save_problem(saved, toy_problem(y=np.zeros((500, 500))))

    assert in_child(fills_the_disk) == 0
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(PwmError, match="cannot be written: No such file or directory"):
        save_truth(tmp_path / "absent" / "t.h5", Truth(np.ones(3)))
