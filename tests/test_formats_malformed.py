"""Malformed and hostile files: each is refused in one sentence, and none is acted upon."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pwm_core import Card, Iterate, Operator, Problem, Reconstructor, Result, Truth, param
from pwm_core.errors import BadFile
from pwm_core.formats import load_problem, load_result, load_truth, save_problem, save_result, save_truth
from pwm_core.registry import Entry, installed


class Blur(Operator):
    symbol = "C"
    sigma: float = param(1.5, low=0.1, high=5, unit="px")

    def apply(self, x: torch.Tensor, sigma: Any) -> torch.Tensor:
        return x * sigma


class Loop(Reconstructor):
    iterations: int = param(50, low=1)
    kernel: np.ndarray | None = None

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


def edit_record(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    with h5py.File(path, "r+") as f:
        record = json.loads(f["record"][()])
        change(record)
        del f["record"]
        f["record"] = np.bytes_(json.dumps(record))


def assert_refused(
    path: Path,
    load: Callable[..., Any],
    words: str,
    record: Callable[[dict], Any] | None = None,
    **options: Any,
) -> None:
    if record is not None:
        edit_record(path, record)
    with pytest.raises(BadFile, match=words) as caught:
        load(path, **options)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 500


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "problem.h5"
    save_problem(path, toy_problem(ranges={"psf.sigma": (0.5, 2.0)}, name="scene"))
    return path


def test_what_is_no_hdf5_file_is_refused(tmp_path: Path) -> None:
    for name, content in [("text.h5", b"not one at all"), ("empty.h5", b""), ("zip.h5", b"PK\3\4" * 100)]:
        (tmp_path / name).write_bytes(content)
        assert_refused(tmp_path / name, load_problem, "is not an HDF5 file")
    assert_refused(tmp_path / "absent.h5", load_problem, "there is no file")
    assert_refused(tmp_path, load_problem, "there is no file")


def test_a_truncated_file_is_refused_wherever_it_ends(saved: Path) -> None:
    whole = saved.read_bytes()
    for end in [*range(0, 128, 9), *range(128, len(whole), 997), len(whole) - 1]:
        saved.write_bytes(whole[:end])
        assert_refused(saved, load_problem, "is truncated" if end > 200 else "HDF5|truncated")


def root(**attributes: Any) -> Callable[[h5py.File], None]:
    def change(f: h5py.File) -> None:
        for name, value in attributes.items():
            del f.attrs[name]
            if value is not None:
                f.attrs[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (root(format=np.bytes_("pwm-truth")), "'format' is 'pwm-truth', expected 'pwm-problem'"),
        (root(format=None), "'format' is missing"),
        (root(format="pwm-problem"), "'format' is neither"),  # of variable length
        (root(format=np.int64(3)), "'format' is 3"),
        (root(format=np.bytes_("x" * 1000)), "'format' is neither"),
        (root(version=None), "'version' is missing"),
        (root(version=2), "version.*written by a newer pwm"),
        (root(version=0), "'version' is 0"),
        (root(version=np.bytes_("1")), "'version' is '1'"),
        (root(version=[1, 1]), "'version' is neither"),
        (root(version=1.0), "'version' is neither"),
    ],
)
def test_wrong_root_attributes_are_refused(saved: Path, change: Callable, words: str) -> None:
    with h5py.File(saved, "r+") as f:
        change(f)
    assert_refused(saved, load_problem, words)


def put(**options: Any) -> Callable[[h5py.File], None]:
    """Replace y by a dataset made with these options."""

    def change(f: h5py.File) -> None:
        del f["y"]
        f.create_dataset("y", **options)

    return change


def external(f: h5py.File) -> None:
    (Path(f.filename).parent / "raw.bin").write_bytes(bytes(48))
    put(shape=(3, 4), dtype="f4", external=[("raw.bin", 0, 48)])(f)


def virtual(f: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(3, 4), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "y", shape=(3, 4))
    del f["y"]
    f.create_virtual_dataset("y", layout)


def linked(name: str, target: Any) -> Callable[[h5py.File], None]:
    def change(f: h5py.File) -> None:
        if name in f:
            del f[name]
        f[name] = target(f) if callable(target) else target

    return change


def filtered(*codes: int) -> Callable[[h5py.File], None]:
    def change(f: h5py.File) -> None:
        del f["y"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((3, 4))
        for code in codes:
            plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (1,))
        h5py.h5d.create(f.id, b"y", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((3, 4)), plist)

    return change


def nulls(f: h5py.File) -> None:
    del f["y"]
    f["y"] = h5py.Empty("f4")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (linked("y", h5py.ExternalLink("other.h5", "/y")), "'y' is an external link"),
        (linked("y", h5py.SoftLink("/record")), "'y' is a soft link"),
        (linked("unused", h5py.SoftLink("/nowhere")), "'unused' is a soft link"),
        (linked("g/unused", h5py.ExternalLink("o.h5", "/y")), "'g/unused' is an external link"),
        (linked("record", h5py.SoftLink("/y")), "'record' is a soft link"),
        (linked("loop", lambda f: f["/"]), "lies inside a group"),
        (linked("deep/er/still", np.arange(3)), "'deep/er' lies inside a group"),
        (linked("type", np.dtype("f4")), "'type' is neither a group nor a dataset"),
        (virtual, "'y' is a virtual dataset"),
        (external, "'y' keeps its values in an external file"),
        (put(data="text of variable length"), "'y' has variable-length"),
        (put(shape=(3, 4), dtype=h5py.vlen_dtype(np.float32)), "'y' has variable-length"),
        (put(shape=(3, 4), dtype=h5py.ref_dtype), "'y' has variable-length or reference"),
        (put(shape=(3, 4), dtype=h5py.regionref_dtype), "'y' has variable-length or reference"),
        (put(shape=(3, 4), dtype=[("a", "f4"), ("b", "i4")]), "'y' has dtype"),
        (put(shape=(3, 4), dtype=[("a", "f4"), ("b", h5py.ref_dtype)]), "'y' has variable-length"),
        (put(shape=(3,), dtype=np.dtype(("f4", 4))), "'y' has dtype"),
        (put(shape=(3, 4), dtype="V8"), "'y' has dtype"),
        (put(shape=(3, 4), dtype="S3"), "'y' has dtype"),
        (put(shape=(3, 4), dtype=h5py.enum_dtype({"A": 1}, "i1")), "'y' has dtype"),
        (put(shape=(3, 4), dtype=np.longdouble), "'y' has dtype"),
        (nulls, "'y' has no shape"),
        (put(shape=(10**6, 10**6), dtype="f4"), "'y' claims .* over the limit of 16 GiB"),
        (put(shape=(2**62, 2**62), dtype="f4", chunks=(1, 1)), "'y' claims .* over the limit"),
        (put(shape=(10**4, 10**4), dtype="f4"), "'y' claims .* more than a file of"),
        (put(shape=(10**4, 10**4), dtype="f4", chunks=(100, 100)), "'y' claims .* more than a file of"),
        (put(shape=(10**4, 10**5), dtype="f4", chunks=(100, 100), compression=9), "more than a file of"),
        (put(shape=(3, 4), dtype="f4", compression="lzf"), "'y' is filtered by"),
        (filtered(32015), "'y' is filtered by"),
        (filtered(1, 1), "'y' is filtered by"),
        (put(data=np.full((3, 4), np.nan)), "'y' has 12 non-finite values"),
        (put(data=np.array([np.inf, 1j])), "'y' has 1 non-finite value,"),
        (lambda f: f.__delitem__("y"), "dataset 'y' is missing"),
        (linked("mask", np.ones((3, 5), bool)), "mask has shape"),
        (linked("mask", np.ones((9, 3, 4), bool)), "mask has shape"),
        (linked("mask", np.ones((3, 4))), "'mask' has dtype float64, expected bool"),
        (linked("initial", np.ones((4, 3))), "initial has shape"),
        (linked("initial", np.full((3, 4), np.inf)), "'initial' has 12 non-finite"),
    ],
)
def test_malformed_objects_are_refused(saved: Path, change: Callable, words: str) -> None:
    with h5py.File(saved, "r+") as f:
        change(f)
    assert_refused(saved, load_problem, words)


def test_the_limit_holds_for_each_array_and_for_all_together(saved: Path) -> None:
    assert_refused(saved, load_problem, "over the limit", limit=40)
    with h5py.File(saved, "r+") as f:
        f["unused"] = np.arange(1000.0)
    assert_refused(saved, load_problem, "'unused' takes the file over", limit=8100)
    assert load_problem(saved, limit=10_000).name == "scene"


def test_a_file_of_countless_objects_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pwm_core.formats.safe._OBJECTS", 50)
    with h5py.File(saved, "r+") as f:
        for i in range(49):
            f[f"many/{i}"] = f["y"]
    assert_refused(saved, load_problem, "more than 50 objects")


def test_damaged_values_are_noticed_where_a_checksum_guards_them(saved: Path) -> None:
    with h5py.File(saved, "r+") as f:
        del f["y"]
        d = f.create_dataset("y", data=np.arange(12.0).reshape(3, 4), fletcher32=True)
        offset = d.id.get_chunk_info(0).byte_offset
    assert load_problem(saved).y[2, 3] == 11
    content = bytearray(saved.read_bytes())
    content[offset + 8] ^= 0xFF
    saved.write_bytes(content)
    assert_refused(saved, load_problem, "'y' is damaged")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.bytes_("{not json"), "is not JSON"),
        (np.bytes_("[1, 2]"), "is not one JSON object"),
        (np.bytes_("[" * 100_000), "is not JSON"),
        (np.bytes_("[" * 900 + "]" * 900), "is not one JSON object"),
        (np.bytes_(b"\xff\xfe\xfa"), "is not JSON"),
        (np.array([b"{}", b"{}"]), "is not one JSON object"),
        (np.arange(3), "'record' has dtype"),
        ("{}", "'record' has variable-length"),
        (None, "dataset 'record' is missing"),
    ],
)
def test_a_malformed_record_is_refused(saved: Path, value: Any, words: str) -> None:
    with h5py.File(saved, "r+") as f:
        del f["record"]
        if value is not None:
            f["record"] = value
    assert_refused(saved, load_problem, words)


def node(index: int, **changes: Any) -> Callable[[dict], None]:
    return lambda record: record["operator"]["nodes"][index].update(changes)


def field(index: int, name: str, value: Any) -> Callable[[dict], None]:
    return lambda record: record["operator"]["nodes"][index]["fields"].update({name: value})


def doubling(record: dict) -> None:
    nodes = record["operator"]["nodes"][:1]
    for i in range(60):
        both = {"left": {"node": i}, "right": {"node": i}}
        nodes.append({"type": "pwm_core.operator:Sum", "fields": both})
    record["operator"] = {"root": 60, "nodes": nodes}


def endless(record: dict) -> None:
    nodes = record["operator"]["nodes"][:1]
    for i in range(3000):
        both = {"outer": {"node": 0}, "inner": {"node": i}}
        nodes.append({"type": "pwm_core.operator:Compose", "fields": both})
    record["operator"] = {"root": 3000, "nodes": nodes}


def deep(record: dict) -> None:
    value: Any = 1
    for _ in range(400):
        value = {"tuple": [value]}
    record["operator"]["nodes"][0]["fields"]["name"] = value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.pop("modality"), "'modality' is missing"),
        (lambda r: r.update(modality=3), "'modality' must be of type str, got 3"),
        (lambda r: r.update(shape="big"), "'shape' must be of type"),
        (lambda r: r.update(shape=[3, 4.5]), "'shape' must be of type"),
        (lambda r: r.update(shape=[True, 4]), "'shape' must be of type"),
        (lambda r: r.update(shape=[10**9, 10**9]), "'shape' is .* no object can have"),
        (lambda r: r.update(shape=[-3, -4]), "no object can have"),
        (lambda r: r.update(dtype="object"), "'dtype' is 'object', expected one of float32"),
        (lambda r: r.update(axes=[1]), "'axes' must be of type"),
        (lambda r: r.update(pixel_size=["1"]), "'pixel_size' must be of type"),
        (lambda r: r.update(ranges={"psf.sgma": [0, 1]}), "the range of 'psf.sgma' belongs to no parameter"),
        (lambda r: r.update(ranges={"psf.sigma": [0, 1, 2]}), "must be two numbers"),
        (lambda r: r.update(ranges={"psf.sigma": 3}), "'ranges' must be of type"),
        (lambda r: r.update(operator=[]), "'operator' must be of type dict"),
        (lambda r: r["operator"].pop("nodes"), "has no list of nodes"),
        (lambda r: r["operator"].update(root=9), "refers to node 9"),
        (lambda r: r["operator"].update(root=-1), "refers to node -1"),
        (lambda r: r["operator"].update(root=True), "refers to node True"),
        (lambda r: r["operator"].update(root=None), "refers to node None"),
        (lambda r: r["operator"].update(nodes=[3]), "node 0 .* type and fields"),
        (node(0, type="os:system"), "node 0 .* neither to pwm-core nor to a plugin"),
        (node(0, type="subprocess:Popen"), "neither to pwm-core nor to a plugin"),
        (node(0, type="pwm_core.__main__:Blur"), "is no class of an installed package"),
        (node(0, type="pwm_core.operator:Compose.outer"), "is no class of an installed package"),
        (node(0, type="pwm_core.operator:absent"), "is no Operator"),
        (node(0, type="pwm_core.absent:Blur"), "cannot be imported"),
        (node(0, type="pwm_core.noise:Poisson"), "is no Operator"),
        (node(0, type="pwm_core.formats.problem:Path"), "is no Operator"),
        (node(0, type=f"{__name__}:Operator"), "is no Operator"),  # not where it is defined
        (node(0, type=["os", "system"]), "is no class"),
        (node(0, fields=[]), "type and fields"),
        (node(2, fields={"outer": {"node": 2}, "inner": {"node": 0}}), "refers to node 2"),
        (field(2, "inner", {"node": 7}), "refers to node 7"),
        (field(2, "inner", {"node": "0"}), "refers to node '0'"),
        (field(2, "inner", 3), "Compose.inner cannot be a int"),
        (lambda r: r["operator"]["nodes"][2]["fields"].pop("inner"), "Compose refuses its values"),
        (field(0, "sigma", 1000.0), "Blur: sigma must be float in"),
        (field(0, "sigma", "wide"), "Blur.sigma cannot be a str"),
        (field(0, "sigma", True), "Blur.sigma cannot be a bool"),
        (field(0, "apply", 1), "has no field 'apply'"),
        (field(0, "__class__", 1), "has no field '__class__'"),
        (field(0, "name", {"array": "y"}), "Blur.name cannot be a ndarray"),
        (field(0, "sigma", {"array": "../y"}), "dataset '../y' is missing"),
        (field(0, "sigma", {"array": ["y"]}), "is missing"),
        (field(0, "sigma", {"eval": "1"}), "no kind of stored value"),
        (field(0, "sigma", {"tuple": 3}), "no kind of stored value"),
        (field(0, "sigma", {}), "no kind of stored value"),
        (field(0, "name", {"settings": {"type": "os:system", "fields": {}}}), "neither to pwm-core"),
        (field(0, "name", {"settings": {"type": "pwm_core.card:Card", "fields": {}}}), "is no Settings"),
        (doubling, "absurdly large graph"),
        (endless, "absurdly large graph"),
        (deep, "Blur.name cannot be a tuple|nested too deeply"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(saved: Path, change: Callable, words: str) -> None:
    assert_refused(saved, load_problem, words, record=change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.update(status="splendid"), "'status' is 'splendid'"),
        (lambda r: r.update(seconds="1"), "'seconds' must be of type float"),
        (lambda r: r.update(steps=10**12), "'steps' is 1000000000000"),
        (lambda r: r.update(steps=-1), "'steps' is -1"),
        (lambda r: r.update(steps=2), r"'history/loss' is \(1,\) float64|expected a column of 2"),
        (lambda r: r.update(history={}), "which no history of 0 columns"),
        (lambda r: r["history"].update(loss={"values": "x"}), "expected a column of 1 steps"),
        (lambda r: r["history"].update(loss={}), "dataset None is missing"),
        (lambda r: r["history"].update(loss=[1]), "'history' must be of type"),
        (lambda r: r["method"].update(type=3), "must have a type and a text"),
        (lambda r: r["method"]["fields"].update(iterations=0), "Loop: iterations must be int >= 1"),
        (lambda r: r["method"]["fields"].update(speed=1), "has no field 'speed'"),
        (lambda r: r.update(theta={"a": "b"}), "'theta' must be of type"),
        (lambda r: r.update(theta={"a": math.nan}), "parameter 'a' has 1 non-finite"),
        (lambda r: r.update(theta={"a": {"array": "theta/a"}}), "'theta/a' is missing"),
        (lambda r: r.update(theta={"a": {"settings": "x"}}), "'theta' is refused"),
    ],
)
def test_a_malformed_result_is_refused(tmp_path: Path, change: Callable, words: str) -> None:
    save_result(tmp_path / "r.h5", toy_result())
    assert_refused(tmp_path / "r.h5", load_result, words, record=change)


def test_a_malformed_truth_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    save_truth(path, Truth(np.ones(3), {"a": np.ones(2)}))
    assert_refused(path, load_problem, "'format' is 'pwm-truth', expected 'pwm-problem'")
    with h5py.File(path, "r+") as f:
        f["theta/a"][1] = np.nan
    assert_refused(path, load_truth, "parameter 'a' has 1 non-finite value,")
    with h5py.File(path, "r+") as f:
        f["x"][1] = np.nan
    assert_refused(path, load_truth, "dataset 'x' has 1 non-finite value,")


def test_a_hostile_file_imports_nothing_of_its_own(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pwm_hostile.py").write_text("raise SystemExit('code from outside was run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert_refused(
        saved, load_problem, "neither to pwm-core nor to a plugin", node(0, type="pwm_hostile:Blur")
    )
    assert "pwm_hostile" not in sys.modules


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=5),
    lambda v: (
        st.lists(v, max_size=3)
        | st.dictionaries(
            st.sampled_from(["array", "node", "tuple", "settings", "type", "fields", "x"]), v, max_size=2
        )
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def originals(folder: Path) -> list[tuple[Path, Callable, dict]]:
    paths = [folder / "original-p.h5", folder / "original-r.h5"]
    save_problem(paths[0], toy_problem())
    save_result(paths[1], toy_result(theta={"a": np.ones(2)}, method=Loop(kernel=np.eye(2))))
    files = [h5py.File(p) for p in paths]
    return [
        (p, load, json.loads(f["record"][()]))
        for p, load, f in zip(paths, (load_problem, load_result), files, strict=True)
    ]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_scrambled_record_is_read_or_refused_but_never_trips_the_reader(
    data: st.DataObject, originals: list[tuple[Path, Callable, dict]]
) -> None:
    path, load, original = data.draw(st.sampled_from(originals))
    record: Any = copy.deepcopy(original)
    spot = record
    while True:
        key = data.draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot))))
        if not isinstance(spot[key], (dict, list)) or not spot[key] or data.draw(st.integers(0, 3)) == 0:
            break
        spot = spot[key]
    spot[key] = data.draw(json_values)
    scrambled = path.with_name("scrambled.h5")
    scrambled.write_bytes(path.read_bytes())
    edit_record(scrambled, lambda r: (r.clear(), r.update(record)))
    with contextlib.suppress(BadFile):  # and no other error
        load(scrambled)


def test_a_finished_result_with_non_finite_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    save_result(path, toy_result(x=np.array([np.nan, np.inf]), status="diverged"))
    assert_refused(path, load_result, "'x' has 2 non-finite", record=lambda r: r.update(status="finished"))


def test_a_damaged_structure_is_told(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes().replace(b"HEAP", b"PEAH"))
    assert_refused(saved, load_problem, "the file's structure is damaged")
