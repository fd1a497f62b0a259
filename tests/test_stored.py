"""Arrays that stay in their file: the same indices and numbers as in memory, in blocks, and honest errors."""

import pickle

import h5py
import numpy as np
import pytest

from pwm_core import stored
from pwm_core.errors import BadFile, BadValue, PwmError
from pwm_core.record import array_hash
from pwm_core.scratch import Scratch
from pwm_core.stored import StoredArray, blocks


@pytest.fixture
def whole():
    return np.random.default_rng(0).integers(0, 60000, (7, 5, 6), dtype=np.uint16)


@pytest.fixture
def path(tmp_path, whole):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["flat"] = whole
        file.create_dataset("packed", data=whole, chunks=(2, 5, 3), compression="gzip")
    return tmp_path / "a.h5"


def array(path, name="flat", axes=None):
    with h5py.File(path) as file:
        return StoredArray(path, file[name], axes)


INDICES = (
    3, -1, slice(2, 5), slice(None, None, -2), slice(5, 2), (..., 2), (1, 2, 3), (slice(1, 3), ..., -1),
    [3, 0, 3], (slice(None), [2, 0]), np.array([], int), (0, ..., np.array([True, False] * 4)),
)  # fmt: skip


@pytest.mark.parametrize("name", ["flat", "packed"])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_any_part_is_that_of_the_array_in_memory(path, whole, name, axes):
    got, turned = array(path, name, axes), whole.transpose(axes)
    for index in INDICES:
        if isinstance(index, tuple) and np.size(index[-1]) == 8:  # a mask must be as long as the axis
            index = (*index[:-1], index[-1][: turned.shape[-1]])
        assert got[index].dtype == whole.dtype
        np.testing.assert_array_equal(got[index], turned[index], err_msg=str(index))


@pytest.mark.parametrize("block", [1, 200, 1 << 20])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
def test_blocks_make_up_the_whole(path, whole, axes, block, monkeypatch):
    monkeypatch.setattr(stored, "BLOCK", block)
    got, turned = array(path, "packed", axes), whole.transpose(axes)
    filled = np.zeros_like(turned)
    for box, part in got.blocks():
        np.testing.assert_array_equal(part, turned[box])
        filled[box] += part
    np.testing.assert_array_equal(filled, turned)
    np.testing.assert_array_equal(np.stack(list(got)), turned)
    assert (got.ndim, got.size, got.nbytes, len(got)) == (3, turned.size, turned.nbytes, len(turned))


def test_a_cut_of_a_cut_another_type_and_a_new_axis(path, whole):
    cut = array(path).cut(slice(2, 7), slice(0, 5), slice(1, 6)).cut(slice(1, 3), slice(2, 4), slice(1, 5))
    np.testing.assert_array_equal(np.asarray(cut), whole[3:5, 2:4, 2:6])
    single = pickle.loads(pickle.dumps(cut.astype(np.float32)))
    assert single[0].dtype == np.float32
    np.testing.assert_array_equal(single[:, 1], whole[3:5, 3, 2:6])
    with h5py.File(path, "a") as file:
        file["row"] = whole[0]
    np.testing.assert_array_equal(array(path, "row", (1, None, 0))[2:4], whole[0].T[2:4, None])


def test_an_array_in_memory_is_one_block(whole):
    ((box, part),) = blocks(whole)
    assert part is whole
    assert whole[box].shape == whole.shape


def test_the_digest_is_that_of_the_array_in_memory(path, whole, monkeypatch):
    monkeypatch.setattr(stored, "BLOCK", 300)
    assert array_hash(array(path)) == array_hash(whole)
    monkeypatch.setattr(stored, "BLOCK", 900)
    turned = array(path, "packed", (2, 0, 1))
    first = array_hash(turned)
    monkeypatch.setattr(stored, "BLOCK", 100)
    assert array_hash(turned) == first


def test_a_file_that_changed_or_vanished_is_refused_in_one_sentence(path):
    got = array(path)
    with h5py.File(path, "a") as file:
        file["more"] = np.zeros(1000)
    with pytest.raises(BadFile, match=r"a\.h5 has changed"):
        got[0]
    path.unlink()
    with pytest.raises(BadFile, match=r"a\.h5 is gone"):
        np.asarray(got)


def test_what_memory_does_not_hold_is_not_read_whole(path, monkeypatch):
    got = array(path)
    monkeypatch.setattr(stored, "available", lambda: 3 * 4.0 * got.size - 1)
    with pytest.raises(BadValue, match=r"a\.h5: .* take a method that goes through the data in blocks"):
        np.asarray(got)
    assert got[0].shape == (5, 6)
    assert stored.too_large((got.size, 1))
    assert not stored.too_large((got.size // 2, 1))


def test_only_one_list_of_indices_and_no_new_axes(path):
    for index in ((None, 0), ([0, 1], [0, 1]), (0, 0, 0, 0)):
        with pytest.raises(IndexError):
            array(path)[index]


def test_free_memory_is_that_of_the_machine():
    assert 1e6 < stored.available() <= stored.memory()


def test_a_scratch_array_keeps_its_values_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    scratch = Scratch(50, 1000)
    assert not scratch.array.any()
    values = np.random.default_rng(0).random((50, 1000), np.float32)
    scratch.array[:] = values
    scratch.release(3, 40)
    scratch.fetch(3, 40)
    np.testing.assert_array_equal(scratch.array, values)
    assert not list(tmp_path.iterdir())


def test_no_room_for_a_scratch_array_is_said(tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(PwmError, match="TMPDIR"):
        Scratch(1 << 30, 1 << 20)
