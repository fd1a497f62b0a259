"""The NXcxi_ptycho reader: motors, rasters and links as the definition has them; which reader opens what."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from pwm_ptychography.readers.cxi import CXI
from pwm_ptychography.readers.nexus import NXcxiPtycho
from pwm_ptychography.readers.ptyd import Ptyd

from pwm_core.testing import checks_for

from .scans import cxi, ptyd, says, spot, walk


def nexus(
    path: Path, raster: tuple[int, ...] = (6,), top: str = "entry_1", word: str = "NXcxi_ptycho"
) -> Path:
    """A NeXus file as the application definition lays it out, without positions."""
    with h5py.File(path, "w") as file:
        for where, kind in [
            ("", "NXentry"), ("instrument_1", "NXinstrument"), ("sample_1", "NXsample"),
            ("instrument_1/beam_1", "NXbeam"), ("instrument_1/source_1", "NXsource"),
            ("instrument_1/detector_1", "NXdetector"), ("sample_1/transformations", "NXtransformations"),
        ]:  # fmt: skip
            file.create_group(f"{top}/{where}").attrs["NX_class"] = kind
        file[f"{top}/definition"] = word
        facts = [("beam_1/incident_beam_energy", 8.8, "keV"), ("source_1/energy", 3.0, "GeV"),
                 ("detector_1/distance", 200.0, "cm"), ("detector_1/x_pixel_size", 75.0, "um"),
                 ("detector_1/y_pixel_size", 0.075, "mm")]  # fmt: skip
        for where, value, unit in facts:
            file[f"{top}/instrument_1/{where}"] = value
            file[f"{top}/instrument_1/{where}"].attrs["units"] = unit
        file[f"{top}/instrument_1/detector_1/data"] = spot(int(np.prod(raster))).reshape(*raster, 16, 16)
    return path


def place(path: Path, x: np.ndarray, y: np.ndarray, unit: str = "um", top: str = "entry_1") -> None:
    with h5py.File(path, "a") as file:
        for name, values, vector in (("x", x, [1, 0, 0]), ("y", y, [0, 1, 0])):
            stored = file.create_dataset(f"{top}/sample_1/transformations/{name}", data=values)
            stored.attrs["units"], stored.attrs["vector"] = unit, vector


@pytest.mark.parametrize("word", ["NXcxi_ptycho", "NXptycho"])
def test_nexus_motors_give_one_position_a_frame(tmp_path: Path, word: str) -> None:
    path = nexus(tmp_path / "a.nxs", top="entry", word=word)
    place(path, walk()[:, 1] * 1e6, walk()[:, 0] * 1e6, top="entry")
    r = NXcxiPtycho().record(path)
    assert np.allclose(r.positions, walk())
    assert np.array_equal(r.frames, spot())
    assert r.wavelength == pytest.approx(0.140891e-9, rel=1e-5)
    assert r.distance == pytest.approx(2.0)
    assert r.detector_pixel == pytest.approx(75e-6)


def test_nexus_raster_axes_are_spread_over_the_frames(tmp_path: Path) -> None:
    x, y = np.array([1.0, 2.0, 4.0]), np.array([5.0, 9.0])
    path = nexus(tmp_path / "a.nxs", raster=(2, 3))
    place(path, x, y)
    expected = np.array([(b, a) for b in y for a in x]) * 1e-6
    assert np.allclose(NXcxiPtycho().record(path).positions, expected)
    path = nexus(tmp_path / "b.nxs", raster=(3, 2))
    place(path, x, y)
    assert np.allclose(NXcxiPtycho().record(path).positions, np.array([(b, a) for a in x for b in y]) * 1e-6)
    path = nexus(tmp_path / "c.nxs", raster=(3, 2))
    place(path, x, y[:1])
    says(NXcxiPtycho(), path, "6 frames but 3 positions in x and 1 in y")


def test_nexus_directions_of_motors_count(tmp_path: Path) -> None:
    path = nexus(tmp_path / "a.nxs")
    place(path, walk()[:, 1], -walk()[:, 0], "m")
    with h5py.File(path, "a") as file:
        file["entry_1/sample_1/transformations/y"].attrs["vector"] = [0, -1, 0]
    assert np.allclose(NXcxiPtycho().record(path).positions, walk())


def test_nexus_translation_mask_and_beam_centre(tmp_path: Path) -> None:
    path = nexus(tmp_path / "a.nxs")
    here = "entry_1/instrument_1/detector_1"
    with h5py.File(path, "a") as file:
        file[f"{here}/translation"] = np.stack([walk()[:, 1], walk()[:, 0], np.zeros(6)], 1)
        file[f"{here}/translation"].attrs["units"] = "m"
        file[f"{here}/pixel_mask"] = np.eye(16, dtype=np.uint32)
        file[f"{here}/beam_center_y"] = 7.0
        file[f"{here}/beam_center_x"] = 9 * 75e-3
        file[f"{here}/beam_center_x"].attrs["units"] = "mm"
    r = NXcxiPtycho().record(path)
    assert np.allclose(r.positions, walk())
    assert np.array_equal(r.mask, np.eye(16) == 0)
    r = NXcxiPtycho(size=8).record(path)
    assert np.array_equal(r.frames, spot()[:, 3:11, 5:13])


def test_virtual_datasets_are_read_within_the_file_and_refused_beyond_it(tmp_path: Path) -> None:
    for name, source in (("in.nxs", "."), ("out.nxs", "other.h5")):
        path = nexus(tmp_path / name, raster=(2, 3))
        place(path, walk()[:, 1] * 1e6, walk()[:, 0] * 1e6)
        here = "entry_1/instrument_1/detector_1/data"
        with h5py.File(path, "a") as file:
            file.move(here, "raw")
            layout = h5py.VirtualLayout((6, 16, 16), np.uint16)
            for k in range(6):
                layout[k] = h5py.VirtualSource(source, "raw", (2, 3, 16, 16))[k // 3, k % 3]
            file.create_virtual_dataset(here, layout)
        if source == ".":
            assert np.array_equal(NXcxiPtycho().record(path).frames, spot())
        else:
            says(NXcxiPtycho(), path, "virtual dataset")


# --- which reader opens what --------------------------------------------------------------------------


def test_readers_of_one_suffix_tell_files_apart_by_contents(tmp_path: Path) -> None:
    files = {
        CXI: cxi(tmp_path / "a.h5"),
        Ptyd: ptyd(tmp_path / "b.h5"),
        NXcxiPtycho: nexus(tmp_path / "c.h5"),
    }
    strange = tmp_path / "d.h5"
    with h5py.File(strange, "w") as file:
        file["something/else"] = 1
    text = tmp_path / "e.h5"
    text.write_text("no HDF5")
    for path in [*files.values(), strange, text]:
        accepted = [r for r in files if r.accepts(path)]
        assert accepted == [r for r, own in files.items() if own == path]


def test_a_nexus_file_named_cxi_goes_to_the_nexus_reader(tmp_path: Path) -> None:
    path = nexus(tmp_path / "a.cxi")
    assert NXcxiPtycho.accepts(path)
    assert not CXI.accepts(path)


test_nxcxi_keeps_the_contract = checks_for("nxcxi")
