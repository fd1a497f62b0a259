"""Spectrum images larger than memory: spectra that stay in their file give the same numbers as in memory."""

import h5py
import numpy as np
import pytest
from pwm_spectroscopy.readers.base import SpectrumReader
from pwm_spectroscopy.readers.maps import MAPS
from pwm_spectroscopy.readers.nexus import NeXusXRF
from pwm_spectroscopy.readers.pyxrf import PyXRF
from pwm_spectroscopy.xrf import XRF

from pwm_core import stored
from pwm_core.driver import Result
from pwm_core.errors import BadFile, BadValue
from pwm_core.method import Reconstructor
from pwm_core.stored import StoredArray

from .test_readers_formats import WRITERS, counts, write_maps, write_nexus, write_pyxrf

HDF5 = [row for row in WRITERS if row[2] not in ("a.mda", "a.bin")]


@pytest.fixture
def left(monkeypatch):
    """A function: from now on data of more than a kilobyte stay in their file."""

    def change(block=5000):
        monkeypatch.setattr(stored, "limit", lambda: 1000.0)
        monkeypatch.setattr(stored, "BLOCK", block)

    return change


@pytest.mark.parametrize(
    "asked", [{}, {"low": 1.0, "high": 4.0}, {"bin": 2}, {"bin_energy": 3, "low": 0.5}], ids=str
)
@pytest.mark.parametrize(("reader", "write", "name", "settings"), HDF5)
def test_spectra_in_the_file_are_those_in_memory(tmp_path, left, reader, write, name, settings, asked):
    path = tmp_path / name
    write(path, counts())
    opener: SpectrumReader = reader(**({"low": 0.0} | settings | asked))
    whole = opener.record(path)
    left()
    got = opener.record(path)
    assert isinstance(got.counts, StoredArray) == (not {"bin", "bin_energy"} & set(asked))
    np.testing.assert_array_equal(np.asarray(got.counts), whole.counts)
    np.testing.assert_allclose(got.spectrum, whole.spectrum, rtol=1e-12)
    assert (got.zero, got.gain, got.pixel_size) == (whole.zero, whole.gain, whole.pixel_size)
    assert (got.live_time is None) == (whole.live_time is None)


def test_blocks_follow_the_layout_of_the_file(tmp_path, left):
    left()
    write_maps(tmp_path / "a.h5", counts())
    write_nexus(tmp_path / "b.nxs", counts())
    assert MAPS(energy=10.0).record(tmp_path / "a.h5").counts.axis == 0  # (energy, y, x)
    assert NeXusXRF().record(tmp_path / "b.nxs").counts.axis == 1  # (y, x, energy)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        data = np.zeros((4000, 100, 100), np.uint8)
        file.create_dataset("spectra", data=data, chunks=(4000, 1, 1), compression="gzip")
        file.create_dataset("planes", data=data, chunks=(1, 100, 100), compression="gzip")
        assert [StoredArray(tmp_path / "c.h5", file[n]).axis for n in ("spectra", "planes")] == [1, 0]


def test_spectra_that_are_no_counts_are_refused_from_the_file_too(tmp_path, left):
    for k, (value, words) in enumerate([(np.nan, "not finite"), (-1.0, "negative")]):
        spectra = counts()
        spectra[300, 2, 3] = value
        write_nexus(tmp_path / f"{k}.nxs", spectra)
        left()
        with pytest.raises(BadFile, match=words):
            NeXusXRF().record(tmp_path / f"{k}.nxs")


def test_a_list_of_points_is_one_row(tmp_path, left):
    write_nexus(tmp_path / "a.nxs", counts())
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        group = file["entry/instrument/detector"]
        flat = group["data"][()].reshape(12, 512)
        del group["data"]
        group["data"] = flat
        group["data"].attrs["interpretation"] = "spectrum"
    whole = NeXusXRF(low=0.0).record(tmp_path / "a.nxs").counts
    left()
    got = NeXusXRF(low=0.0).record(tmp_path / "a.nxs").counts
    assert got.shape == whole.shape == (len(whole), 1, 12)
    np.testing.assert_array_equal(np.asarray(got), whole)


def test_detector_elements_of_pyxrf_are_taken_as_their_sum_or_one_by_one(tmp_path, left):
    path = tmp_path / "a.h5"
    write_pyxrf(path, counts())
    with h5py.File(path, "a") as file:
        for k in (1, 2):
            file[f"xrfmap/det{k}/counts"] = np.moveaxis(counts(k), 0, -1)
    left()
    np.testing.assert_array_equal(np.asarray(PyXRF(low=0.0).record(path).counts), counts())
    with h5py.File(path, "a") as file:
        del file["xrfmap/detsum"]
    with pytest.raises(BadFile, match="detectors=1"):
        PyXRF(low=0.0).record(path)
    one = PyXRF(low=0.0, detectors="2").record(path).counts
    np.testing.assert_array_equal(np.asarray(one), counts(2))


def test_what_is_left_after_binning_must_fit(tmp_path, left, monkeypatch):
    write_nexus(tmp_path / "a.nxs", counts())
    left()
    monkeypatch.setattr("pwm_spectroscopy.readers.base.available", lambda: 1000.0)
    with pytest.raises(BadValue, match="after binning"):
        NeXusXRF(bin=2).record(tmp_path / "a.nxs")


@pytest.mark.parametrize("layout", [(1, 2, 0), (0, 1, 2)], ids=["pixels first", "energies first"])
@pytest.mark.parametrize("masked", [False, True])
def test_scores_figure_and_reduction_go_by_blocks(tmp_path, left, layout, masked):
    modality = XRF.small()
    whole, truth = modality.simulate(modality.scenes[0])
    if masked:
        whole = whole.replace(mask=np.random.default_rng(0).random(whole.y.shape[1:]) > 0.2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["y"] = whole.y.transpose(layout)
    left(30000)
    with h5py.File(tmp_path / "a.h5") as file:
        filed = whole.replace(y=StoredArray(tmp_path / "a.h5", file["y"], tuple(np.argsort(layout).tolist())))
    np.testing.assert_array_equal(filed.y[10:20], whole.y[10:20])
    model = [p.predict(truth.x) for p in (whole, filed)]
    np.testing.assert_allclose(np.asarray(model[1]), model[0], rtol=1e-5, atol=1e-6)
    expected, got = (modality.residuals(m, p) for m, p in zip(model, (whole, filed), strict=True))
    assert got == pytest.approx(expected, rel=1e-6)
    reduced = [p.reduced() for p in (whole, filed)]
    np.testing.assert_allclose(reduced[1].y, reduced[0].y, rtol=1e-5, atol=1e-5)
    assert len(list(filed.y.blocks())) > 5
    result = Result(truth.x, {}, [], "finished", 0.0, Reconstructor())
    modality.figure(filed, result, None, None, "from a file")
