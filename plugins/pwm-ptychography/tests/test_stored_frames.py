"""Scans larger than memory: frames that stay in their file give the same numbers as frames in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from pwm_ptychography.engine import make_engine
from pwm_ptychography.kernels import disk
from pwm_ptychography.kernels.batch import gather_all, new_state
from pwm_ptychography.kernels.pie import Sweeper
from pwm_ptychography.modality import Ptychography
from pwm_ptychography.readers.cxi import CXI
from pwm_ptychography.readers.frames import Stack, Window
from pwm_ptychography.readers.nexus import NXcxiPtycho
from pwm_ptychography.readers.ptyd import Ptyd
from pwm_ptychography.readers.stored import StoredFrames
from pwm_ptychography.writers import write_cxi

from pwm_core import run, stored
from pwm_core.driver import Result
from pwm_core.errors import BadValue
from pwm_core.methods import build, find_method
from pwm_core.record import array_hash
from pwm_core.registry import installed

from .scans import DETECTOR, cxi, ptyd, spot, walk
from .test_kernels import scene
from .test_reader_nxcxi import nexus, place


@pytest.fixture
def left(monkeypatch):
    """A function: from now on data of more than a kilobyte stay in their file."""

    def change(block: int = 3000) -> None:
        monkeypatch.setattr(stored, "limit", lambda: 1000.0)
        monkeypatch.setattr(stored, "BLOCK", block)

    return change


def same(reader, path, left, **settings):
    """The recording in memory and with its frames left in the file, found equal."""
    opener = reader.from_strings(settings)
    whole = opener.record(path)
    left()
    got = opener.record(path)
    assert isinstance(whole.frames, np.ndarray)
    assert isinstance(got.frames, StoredFrames)
    assert got.frames.dtype == whole.frames.dtype
    np.testing.assert_array_equal(np.asarray(got.frames), whole.frames)
    np.testing.assert_array_equal(got.frames[[4, 1]], whole.frames[[4, 1]])
    np.testing.assert_array_equal(got.positions, whole.positions)
    return whole, got


def dirty() -> np.ndarray:
    """Frames with what detectors and dark subtraction leave; in single frames only values below zero."""
    frames = spot(dtype=np.float32)
    frames[:, 3, 4], frames[:, 7, 0], frames[2, 5, 5], frames[0, 8, 8] = -1, np.nan, -3, -2
    return frames


CXIS = {
    "plain": ({}, {}),
    "dirty": ({"data": dirty()}, {}),
    "dark": ({"data": dirty(), "data_dark": np.full((16, 16), 2.0)}, {}),
    "cut": ({"data": spot(6, 16, 20)}, {"size": "12", "center_row": "8", "center_col": "9"}),
    "corner": ({"data": np.fft.ifftshift(dirty(), axes=(1, 2))}, {}),
    "saturated": ({"data": np.where(np.eye(16, dtype=bool), 65535, spot()).astype(np.uint16)}, {}),
    "big-endian": ({"data": spot(dtype=">i4")}, {}),
}


@pytest.mark.parametrize("case", CXIS)
def test_cxi_frames_in_the_file_are_those_in_memory(tmp_path: Path, left, case: str) -> None:
    items, settings = CXIS[case]
    path = cxi(tmp_path / "a.cxi", **items)
    reader = CXI.from_strings(settings)
    expected = reader.read(path)
    whole, got = same(CXI, path, left, **settings)
    assert (got.mask is None) == (whole.mask is None)
    assert got.mask is None or np.array_equal(got.mask, whole.mask)
    problem = reader.read(path)
    assert isinstance(problem.y, StoredFrames)
    assert array_hash(problem.y) == array_hash(expected.y)
    np.testing.assert_allclose(problem.operator.probe.wave, expected.operator.probe.wave, rtol=1e-6)


def test_frames_without_a_position_are_left_out(tmp_path: Path, left) -> None:
    beam = walk()
    beam[[1, 4]] = np.nan
    path = cxi(tmp_path / "a.cxi", translation=np.stack([beam[:, 1], beam[:, 0], 0 * beam[:, 0]], 1))
    whole = CXI().record(path)
    left()
    got = CXI().record(path)
    assert len(got.frames) == 4
    np.testing.assert_array_equal(np.asarray(got.frames), whole.frames)
    np.testing.assert_array_equal(got.frames[2], whole.frames[2])


def test_saturated_values_in_single_frames_are_masked_in_all(tmp_path: Path, left) -> None:
    frames = spot()
    frames[2, 8, 9] = 65535
    path = cxi(tmp_path / "a.cxi", data=frames)
    left()
    r = CXI().record(path)
    assert r.mask is not None
    assert r.mask.shape == (16, 16)
    assert np.argwhere(~r.mask).tolist() == [[8, 9]]
    assert r.frames[2, 8, 9] == 0


def test_a_nexus_raster(tmp_path: Path, left) -> None:
    path = nexus(tmp_path / "a.nxs", raster=(2, 3))
    place(path, np.array([1.0, 2.0, 4.0]), np.array([5.0, 9.0]))
    _, got = same(NXcxiPtycho, path, left)
    np.testing.assert_array_equal(got.frames[1:5], spot()[1:5])


def test_the_chunks_of_a_ptyd_file(tmp_path: Path, left) -> None:
    _, got = same(Ptyd, ptyd(tmp_path / "a.ptyd"), left)
    np.testing.assert_array_equal(got.frames[3:8], spot(12)[3:8])


def test_a_scan_that_stays_in_its_file_can_be_written(tmp_path: Path, left) -> None:
    whole, got = same(CXI, cxi(tmp_path / "a.cxi"), left)
    write_cxi(tmp_path / "b.cxi", got)
    with h5py.File(tmp_path / "b.cxi") as file:
        np.testing.assert_array_equal(file[f"{DETECTOR}/data"][()], whole.frames)


def pair(tmp_path: Path, left):
    """A simulated scan of 64 frames of 32² as a problem in memory, and one whose frames are in a file."""
    modality = Ptychography.small()
    problem, _ = modality.simulate("chart")
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["y"] = problem.y
    left(40000)
    with h5py.File(path) as file:
        window = Window(False, slice(0, 32), slice(0, 32))
        frames = StoredFrames(path, Stack("scan", [file["y"]]), window)
    return modality, problem, problem.replace(y=frames)


def reconstruct(method: str, problem, seed: int = 3, **settings) -> Result:
    return run(build(find_method(installed(), method), settings), problem, seed=seed, device="cpu")


@pytest.mark.parametrize("method", ["epie", "rpie", "lsq-ml", "raar", "ptycho-auto"])
def test_methods_give_the_same_from_the_file(tmp_path: Path, left, method: str) -> None:
    """With all frames in one segment the order of frames is the same, and so is every number."""
    _, whole, filed = pair(tmp_path, left)
    expected, got = (reconstruct(method, p, iterations="4") for p in (whole, filed))
    np.testing.assert_allclose(got.x, expected.x, rtol=1e-6, atol=1e-7)
    assert got.history[-1]["loss"] == pytest.approx(expected.history[-1]["loss"], rel=1e-6)


def test_position_refinement_from_the_file(tmp_path: Path, left, monkeypatch) -> None:
    _, whole, filed = pair(tmp_path, left)
    settings = {"iterations": "5", "positions": "yes", "positions_start": "3"}
    expected, got = (reconstruct("rpie", p, **settings) for p in (whole, filed))
    np.testing.assert_allclose(got.theta["scan.positions"], expected.theta["scan.positions"], atol=1e-13)


def test_scores_figure_and_predictions_go_by_blocks(tmp_path: Path, left) -> None:
    modality, whole, filed = pair(tmp_path, left)
    result = reconstruct("epie", whole, iterations="3")
    model = filed.predict(result.x, result.theta)
    np.testing.assert_allclose(
        model[10:20], whole.predict(result.x, result.theta)[10:20], rtol=1e-5, atol=1e-3
    )
    expected, got = (modality.residuals(p.predict(result.x, result.theta), p) for p in (whole, filed))
    assert got == pytest.approx(expected, rel=1e-6)
    modality.figure(filed, result, None, None, "from a file")


def test_frames_mixed_segment_by_segment_converge_like_frames_in_random_order(
    tmp_path: Path, left, monkeypatch
) -> None:
    modality, whole, filed = pair(tmp_path, left)
    monkeypatch.setattr(disk, "_SEGMENT", 4 * 4 * 32 * 32)
    file = make_engine(filed).sweeper.file
    order = make_engine(filed).random_order(np.random.default_rng(0)).numpy()
    assert sorted(order.tolist()) == list(range(64))
    assert [len(part) for part in file.stretches(order)] == [32, 32]
    assert len(set(order[:32] // 4)) == 8  # every segment but once
    truth = modality.simulate("chart")[1]

    def error(problem, seed: int) -> float:
        x = modality.align(reconstruct("rpie", problem, seed, iterations="60").x, truth, problem)
        mine, true = (modality.view(part, problem)[0].images for part in (x, truth.x))
        return float(np.linalg.norm(mine - true))

    expected, got = ([error(p, seed) for seed in range(6)] for p in (whole, filed))
    assert np.mean(got) < 1.2 * np.mean(expected)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("features", [{}, {"mask": True}, {"near": True}, {"fractions": True}])
def test_amplitudes_on_disk_are_swept_as_in_memory(threads: int, features: dict, monkeypatch) -> None:
    monkeypatch.setattr(disk, "_SEGMENT", 2 * 4 * 16 * 16)
    arguments, options = scene((16, 16), **features)
    memory, filed = Sweeper(*arguments, **options), Sweeper(*arguments, **options, on_disk=True)
    np.testing.assert_array_equal(filed.data, memory.data)
    order = filed.random_order(np.random.default_rng(0))
    for stretch in filed.stretches(order):  # the same rounds of threads in memory
        expected = memory.sweep(stretch, threads=threads)
    got = filed.sweep(order, threads=threads)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(filed.get_object(), memory.get_object())
    np.testing.assert_array_equal(filed.get_probe(), memory.get_probe())
    sums = [gather_all(s, track=True, weights=True, threads=threads) for s in (memory, filed)]
    for name in ("object", "probe", "object_weight", "probe_weight", "misfit", "moves"):
        a, b = (getattr(s, name) for s in sums)
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5 * np.abs(a).max())


def test_waves_of_all_frames_must_fit_into_memory(monkeypatch) -> None:
    arguments, options = scene((16, 16))
    filed = Sweeper(*arguments, **options, on_disk=True)
    assert new_state(filed).shape == (24, 512)
    monkeypatch.setattr("pwm_ptychography.kernels.batch.available", lambda: 49151.0)
    with pytest.raises(BadValue, match="a wave for every frame"):
        new_state(filed)


def test_engines_that_need_all_frames_say_so(tmp_path: Path, left, monkeypatch) -> None:
    _, _, filed = pair(tmp_path, left)
    double = filed.replace(dtype="complex128")
    assert make_engine(double).object.dtype == torch.complex128  # it fits
    monkeypatch.setattr(stored, "available", lambda: 500e3)
    with pytest.raises(BadValue, match="take a method that goes through the data in blocks"):
        make_engine(double)


MEASURE = """
import json, resource, sys
from pathlib import Path
import numpy as np
from pwm_core import run, stored
from pwm_core.methods import build, find_method
from pwm_core.record import array_hash
from pwm_core.registry import installed
from pwm_ptychography.modality import Ptychography
from pwm_ptychography.readers.cxi import CXI

method = build(find_method(installed(), "epie"), {"iterations": "3"})
small, _ = Ptychography.small().replace(window=64, detector_pixel=150.0).simulate("chart")
run(method, small)  # code and kernels are in memory before anything is measured
stored.limit = lambda: 100e6
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
problem = CXI().read(Path(sys.argv[1]))
result = run(method, problem, seed=0)
Ptychography().residuals(problem.predict(result.x, result.theta), problem)
array_hash(problem.y)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"grown": 1024 * (after - before), "data": 4 * problem.y.size,
                  "losses": [row["loss"] for row in result.history]}))
"""


@pytest.mark.slow
def test_a_scan_of_400_mb_takes_less_than_150_mb(tmp_path: Path) -> None:
    side = 160
    rows, columns = np.mgrid[:side, :side].reshape(2, -1) * 40e-9
    with h5py.File(cxi(tmp_path / "a.cxi", data=None, translation=None), "a") as file:
        file["entry_1/sample_1/geometry_1/translation"] = np.stack([columns, rows, 0 * rows], 1)
        data = file.create_dataset(f"{DETECTOR}/data", (side**2, 64, 64), np.uint16)
        frames = spot(side, 64, 64)
        for k in range(side):
            data[k * side : (k + 1) * side] = np.roll(frames, k, 0)
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "a.cxi")], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["data"] > 400e6
    assert found["grown"] < 150e6
    assert np.isfinite(found["losses"]).all()
    assert found["losses"][-1] < found["losses"][0]
