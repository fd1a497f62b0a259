"""The CXI reader: layouts as published, round trips, far or near field, measured and malformed files."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pwm_ptychography.readers.cxi import CXI
from pwm_ptychography.readers.motion import motion, turned
from pwm_ptychography.recording import Recording
from pwm_ptychography.writers import write_cxi

from pwm_core.errors import BadValue
from pwm_core.testing import checks_for

from .scans import DETECTOR, cxi, measured, says, spot, walk

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- layouts and round trips --------------------------------------------------------------------------


def test_cxi_gives_frames_positions_and_geometry(tmp_path: Path) -> None:
    r = CXI().record(cxi(tmp_path / "a.cxi"))
    assert np.array_equal(r.frames, spot())
    assert r.frames.dtype == np.uint16
    assert np.allclose(r.positions, walk())
    assert (r.geometry, r.positions_unit, r.name) == ("far", "m", "a.cxi")
    assert r.wavelength == pytest.approx(0.140891e-9, rel=1e-5)
    assert (r.distance, r.detector_pixel, r.focus_to_sample, r.mask, r.probe) == (
        2.0,
        75e-6,
        None,
        None,
        None,
    )


@pytest.mark.parametrize("rows", ["+x", "-x", "+y", "-y"])
@pytest.mark.parametrize("sign", ["+", "-"])
def test_cxi_resolves_the_samples_motion_along_the_detectors_axes(
    tmp_path: Path, rows: str, sign: str
) -> None:
    cols = sign + ("y" if rows[1] == "x" else "x")
    lab = {"x": np.array([1e-6, 2e-6, -4e-6]), "y": np.array([5e-6, -1e-6, 3e-6])}  # the beam on the sample
    vectors = [[(-1 if a[0] == "-" else 1) * 75e-6 * (a[1] == c) for c in "xyz"] for a in (rows, cols)]
    shift = -np.stack([lab["x"], lab["y"], np.zeros(3)], 1)  # the sample goes the other way
    path = cxi(tmp_path / "a.cxi", data=spot(3), translation=shift, basis_vectors=np.array(vectors))
    expected = [(-1 if a[0] == "-" else 1) * lab[a[1]] for a in (rows, cols)]
    assert np.allclose(CXI().record(path).positions, np.stack(expected, 1))


def test_cxi_takes_transposed_arrays_as_pynx_and_cdtools_write_them(tmp_path: Path) -> None:
    beam = walk()
    path = cxi(
        tmp_path / "a.cxi",
        translation=np.stack([beam[:, 1], beam[:, 0], 0 * beam[:, 0]]),
        basis_vectors=np.array([[0, -75e-6], [-75e-6, 0], [0, 0]]),
    )
    assert np.allclose(CXI().record(path).positions, beam)


def test_cxi_masks_elements_by_any_bit_but_signal(tmp_path: Path) -> None:
    bits = np.zeros((16, 16), np.uint32)
    bits[0, :4] = [1, 2, 0x1000, 0x1001]
    mask = CXI().record(cxi(tmp_path / "a.cxi", mask=bits)).mask
    assert mask is not None
    assert mask[0, :5].tolist() == [False, False, True, False, True]
    assert mask.sum() == 256 - 3


def test_a_mask_per_frame_is_kept_and_a_constant_one_reduced(tmp_path: Path) -> None:
    bits = np.zeros((6, 16, 16), np.uint32)
    bits[:, 1, 1] = 1
    constant = CXI().record(cxi(tmp_path / "a.cxi", mask=bits)).mask
    bits[3, 2, 2] = 1
    varying = CXI().record(cxi(tmp_path / "b.cxi", mask=bits)).mask
    assert constant is not None
    assert varying is not None
    assert constant.shape == (16, 16)
    assert np.array_equal(varying, bits == 0)


def test_an_energy_in_kev_is_refused_and_may_be_supplied(tmp_path: Path) -> None:
    path = cxi(tmp_path / "a.cxi", energy=8.8)
    says(CXI(), path, "energy", "8.8 J", "--assume energy=8.8keV")
    r = CXI.from_strings({"energy": "8.8keV"}).record(path)
    assert r.wavelength == pytest.approx(0.140891e-9, rel=1e-5)


def test_units_attributes_count(tmp_path: Path) -> None:
    path = cxi(tmp_path / "a.cxi", energy=8.8, distance=2000.0)
    with h5py.File(path, "a") as file:
        file["entry_1/instrument_1/source_1/energy"].attrs["units"] = "keV"
        file[f"{DETECTOR}/distance"].attrs["units"] = np.bytes_("mm")
        file["entry_1/sample_1/geometry_1/translation"][...] *= 1e6
        file["entry_1/sample_1/geometry_1/translation"].attrs["units"] = "um"
    r = CXI().record(path)
    assert r.wavelength == pytest.approx(0.140891e-9, rel=1e-5)
    assert r.distance == pytest.approx(2.0)
    assert np.allclose(r.positions, walk())


@pytest.mark.parametrize(
    ("left_out", "word"),
    [("energy", "energy"), ("distance", "distance=2m"), ("x_pixel_size", "detector_pixel")],
)
def test_a_missing_fact_is_named_with_the_setting_that_supplies_it(
    tmp_path: Path, left_out: str, word: str
) -> None:
    path = cxi(
        tmp_path / "a.cxi", **{left_out: None, **({"y_pixel_size": None} if "pixel" in left_out else {})}
    )
    says(CXI(), path, "--assume", word)
    supplied = {"energy": "8.8keV", "distance": "2m", "detector_pixel": "75um"}
    assert CXI.from_strings(supplied).record(path).detector_pixel == pytest.approx(75e-6)


def test_positions_can_be_turned_and_rescaled(tmp_path: Path) -> None:
    path = cxi(tmp_path / "a.cxi")
    r = CXI(transpose_positions=True, flip_x=True).record(path)
    assert np.allclose(r.positions, np.stack([walk()[:, 1], -walk()[:, 0]], 1))
    beam = walk() * 1e9
    path = cxi(tmp_path / "b.cxi", translation=np.stack([beam[:, 1], beam[:, 0], 0 * beam[:, 0]], 1))
    says(CXI(), path, "--assume positions_unit=um")
    assert np.allclose(CXI(positions_unit="nm").record(path).positions, walk())


def test_frames_and_positions_must_be_of_one_number(tmp_path: Path) -> None:
    says(CXI(), cxi(tmp_path / "a.cxi", data=spot(5)), "5 frames but 6 positions")
    says(CXI(), cxi(tmp_path / "b.cxi", translation=None), "no positions")
    says(CXI(), cxi(tmp_path / "c.cxi", translation=np.zeros((6, 3))), "all the same")


def test_frames_without_a_position_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    beam = walk()
    beam[2] = np.nan
    path = cxi(tmp_path / "a.cxi", translation=np.stack([beam[:, 1], beam[:, 0], 0 * beam[:, 0]], 1))
    with caplog.at_level(logging.INFO, "pwm"):
        r = CXI().record(path)
    assert np.array_equal(r.frames, np.delete(spot(), 2, 0))
    assert len(r.positions) == 5
    assert "1 frames without a finite position left out" in caplog.text


@quick
@given(
    st.sampled_from(["far", "near", "parallel"]),
    st.sampled_from([np.uint8, np.uint16, np.int32, np.uint64, np.float32, np.float64]),
    st.integers(8, 17),
    st.booleans(),
)
def test_what_is_written_as_cxi_is_read_back(
    tmp_path: Path, kind: str, dtype: type, side: int, full: bool
) -> None:
    rng = np.random.default_rng(side)
    frames = np.minimum(spot(5, side, side, np.int64), 250).astype(dtype)
    wrote = Recording(
        frames=frames, positions=walk(5), geometry="far" if kind == "far" else "near", wavelength=1e-10,
        distance=1.5, detector_pixel=55e-6, focus_to_sample=3e-3 if kind == "near" else None,
        probe=(rng.normal(size=(2, side, side)) + 1j).astype(np.complex64) if full else None,
        mask=rng.random((side, side)) > 0.1 if full else None,
        background=rng.random((side, side)) if full else None,
    )  # fmt: skip
    write_cxi(tmp_path / "round.cxi", wrote)
    read = CXI().record(tmp_path / "round.cxi")
    assert list(tmp_path.iterdir()) == [tmp_path / "round.cxi"]
    assert read.frames.dtype == wrote.frames.dtype
    for name in ("frames", "positions", "mask", "background", "probe"):
        a, b = getattr(wrote, name), getattr(read, name)
        assert (a is None and b is None) or np.allclose(a, b, rtol=1e-5), name
    for name in ("geometry", "wavelength", "distance", "detector_pixel", "focus_to_sample", "positions_unit"):
        assert getattr(read, name) == getattr(wrote, name), name


def test_positions_in_pixels_are_written_in_metres_or_not_at_all(tmp_path: Path) -> None:
    known = Recording(spot(), walk() * 1e7, "px", wavelength=1e-10, distance=1.6, detector_pixel=1e-4)
    write_cxi(tmp_path / "a.cxi", known)
    pixel = 1e-10 * 1.6 / (16 * 1e-4)
    assert np.allclose(CXI().record(tmp_path / "a.cxi").positions, known.positions * pixel)
    with pytest.raises(BadValue, match="wavelength"):
        write_cxi(tmp_path / "b.cxi", Recording(spot(), walk(), "px"))
    assert not (tmp_path / "b.cxi").exists()


def test_a_cut_follows_the_stated_centre(tmp_path: Path) -> None:
    frames = np.zeros((6, 40, 64), np.uint16)
    frames[:, 6:22, 30:46] = spot()
    path = cxi(tmp_path / "a.cxi", data=frames)
    assert np.array_equal(CXI(size=16, center_row=14, center_col=38).record(path).frames, spot())
    corner = np.array([(38 + 0.5) * 75e-6, (14 + 0.5) * 75e-6, 2.0])  # of pixel 0,0; the beam is at x = y = 0
    path = cxi(tmp_path / "b.cxi", data=frames, corner_position=corner)
    assert np.array_equal(CXI(size=16).record(path).frames, spot())
    with pytest.raises(BadValue, match="smaller size"):
        CXI(size=32).record(path)


def test_a_raster_is_read_row_by_row(tmp_path: Path) -> None:
    data = spot(6).reshape(2, 3, 16, 16)
    path = cxi(tmp_path / "a.cxi", data=data)
    assert np.array_equal(CXI().record(path).frames, spot(6))


# --- far or near field ------------------------------------------------------------------------------


def shadows(step: float, magnification: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames of 48 px on which an object's shadow moves against the scan, in a smooth beam; positions."""
    rng = np.random.default_rng(5)
    side, grid = 48, np.stack(np.meshgrid(*[np.arange(6)] * 2, indexing="ij"), -1).reshape(-1, 2)
    canvas = np.kron(rng.uniform(0.3, 1, (60, 60)), np.ones((4, 4)))
    rows, cols = np.ogrid[:side, :side]
    beam = np.exp(-(((rows - 24) / 14) ** 2 + ((cols - 24) / 14) ** 2))
    beam_at = np.round(grid * step).astype(int) + 20
    frames = np.stack([canvas[r : r + side, c : c + side] * beam for r, c in beam_at])
    return rng.poisson(2000 * frames).astype(np.uint16), beam_at / magnification


def test_motion_measures_how_far_shadows_move() -> None:
    frames, positions = shadows(5, 2.5)
    found = motion(frames, positions)
    assert found is not None
    assert found.lawful
    assert np.allclose(found.matrix, -2.5 * np.eye(2), atol=0.2)
    assert turned(found.matrix) == ""


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("flips", [(1, 1), (1, -1), (-1, 1)])
def test_motion_names_the_settings_that_put_axes_right(
    tmp_path: Path, swap: bool, flips: tuple[int, int]
) -> None:
    frames, positions = shadows(5, 1.0)
    recorded = (positions * flips)[:, ::-1] if swap else positions * flips
    found = motion(frames, recorded)
    assert found is not None
    needed = [f"--assume flip_{a}=yes" for a, f in zip("yx", flips, strict=True) if f < 0]
    assert turned(found.matrix) == " ".join((["--assume transpose_positions=yes"] if swap else []) + needed)


def test_a_near_field_scan_with_its_axes_swapped_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    path = measured("PETRAIII_P25_Near_Field_Ptycho.cxi")
    with caplog.at_level(logging.INFO, "pwm"):
        CXI(focus_to_sample=3.65e-3).record(path)
        assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert "5.597 px/um follow" in caplog.text
        CXI(focus_to_sample=3.65e-3, transpose_positions=True).record(path)
    assert "try --assume transpose_positions=yes" in caplog.text


def test_noise_is_not_taken_for_motion() -> None:
    found = motion(spot(40, 32, 32), walk(40))
    assert found is None or not found.lawful


def test_a_near_field_scan_is_known_by_its_moving_shadows(tmp_path: Path) -> None:
    frames, pixels = shadows(5, 1.0)
    z, z1, p = 1.0, 5e-3, 55e-6
    metres = pixels * p / (1 + z / z1)
    shift = np.stack([metres[:, 1], metres[:, 0], 0 * metres[:, 0]], 1)
    path = cxi(tmp_path / "a.cxi", data=frames, translation=shift, distance=z, x_pixel_size=p, y_pixel_size=p)
    sentence = says(CXI(), path, "near-field", "--assume focus_to_sample=3.65mm")
    hint = float(sentence.split("about ")[1].split(" mm")[0])
    assert hint == pytest.approx(5.0, rel=0.1)
    assert CXI(focus_to_sample=z1).record(path).focus_to_sample == z1
    assert CXI(focus_to_sample=float("inf")).record(path).focus_to_sample is None
    assert CXI(geometry="far").record(path).geometry == "far"
    # the same pictures are a far-field scan where the beam is small beside the field that a frame holds
    path = cxi(
        tmp_path / "b.cxi", data=frames, translation=shift * 0.01, distance=z, x_pixel_size=p, y_pixel_size=p
    )
    assert CXI().record(path).geometry == "far"


# --- malformed HDF5 -----------------------------------------------------------------------------------


@quick
@given(st.floats(0, 0.999))
def test_a_truncated_hdf5_file_is_refused(tmp_path: Path, share: float) -> None:
    raw = cxi(tmp_path / "whole.cxi").read_bytes()
    path = tmp_path / "part.cxi"
    path.write_bytes(raw[: int(share * len(raw))])
    assert CXI.accepts(path)
    says(CXI(), path)


def with_item(path: Path, where: str, value: object) -> Path:
    cxi(path)
    with h5py.File(path, "a") as file:
        del file[where]
        file[where] = value
    return path


def test_links_and_types_that_are_refused(tmp_path: Path) -> None:
    data = f"{DETECTOR}/data"
    other = cxi(tmp_path / "other.cxi")
    says(CXI(), with_item(tmp_path / "a.cxi", data, h5py.ExternalLink(str(other), data)), "another file")
    says(CXI(), with_item(tmp_path / "b.cxi", data, h5py.SoftLink(f"/{data}")), "circle")
    says(CXI(), with_item(tmp_path / "c.cxi", data, h5py.SoftLink("/nowhere")), "no diffraction frames")
    says(CXI(), with_item(tmp_path / "d.cxi", data, [b"no", b"numbers"]), "plain numbers")
    says(CXI(), with_item(tmp_path / "e.cxi", f"{DETECTOR}/distance", [1.0, 2.0]), "not one finite value")
    says(CXI(), with_item(tmp_path / "f.cxi", f"{DETECTOR}/distance", np.inf), "not one finite value")
    says(CXI(), with_item(tmp_path / "g.cxi", f"{DETECTOR}/y_pixel_size", 50e-6), "not square")
    says(CXI(), cxi(tmp_path / "h.cxi", basis_vectors=np.ones((2, 2))), "basis_vectors")
    tilted = np.array([[0, -1, 1], [-1, 0, 0]]) * 75e-6
    says(CXI(), cxi(tmp_path / "i.cxi", basis_vectors=tilted), "tilted")
    says(CXI(), cxi(tmp_path / "j.cxi", mask=np.ones((16, 16))), "integers")
    says(CXI(), cxi(tmp_path / "k.cxi", data=spot(6, 16, 16).astype(complex)), "complex")


def test_a_chain_of_soft_links_inside_the_file_is_followed(tmp_path: Path) -> None:
    path = cxi(tmp_path / "a.cxi")
    with h5py.File(path, "a") as file:
        file["entry_1/data_1/data"] = h5py.SoftLink("../link")  # HDF5 has no .. in paths: leads nowhere
        file["entry_1/alias"] = h5py.SoftLink("instrument_1")
        file.move(f"{DETECTOR}/data", "raw")
        file["entry_1/instrument_1/detector_1/data"] = h5py.SoftLink("/entry_1/alias/detector_1/again")
        file["entry_1/instrument_1/detector_1/again"] = h5py.SoftLink("/raw")
    assert np.array_equal(CXI().record(path).frames, spot())


def test_frames_that_are_only_declared_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = cxi(tmp_path / "a.cxi", data=None)
    with h5py.File(path, "a") as file:
        file.create_dataset(f"{DETECTOR}/data", (10**9, 10**4, 10**4), np.uint16, chunks=(1, 64, 64))
    says(CXI(), path, "holds no data")
    path = cxi(tmp_path / "b.cxi", data=None)
    with h5py.File(path, "a") as file:
        data = file.create_dataset(f"{DETECTOR}/data", (10**8, 256, 256), np.uint16, chunks=(1, 256, 256))
        data[0] = 1
        del file["entry_1/sample_1/geometry_1/translation"]
        file.create_dataset("entry_1/sample_1/geometry_1/translation", (10**12, 3), np.float64, chunks=(1, 3))
    says(CXI(), path, "memory")


# --- a measured file ----------------------------------------------------------------------------------


def test_near_field_siemens_star_of_petra() -> None:
    path = measured("PETRAIII_P25_Near_Field_Ptycho.cxi")
    sentence = says(
        CXI(), path, "focus-to-sample distance of this near-field scan", "--assume focus_to_sample=3.65mm"
    )
    assert float(sentence.split("about ")[1].split(" mm")[0]) == pytest.approx(3.65, rel=0.1)
    r = CXI.from_strings({"focus_to_sample": "3.65mm"}).record(path)
    assert r.frames.shape == (200, 100, 100)
    assert r.frames.dtype == np.int32
    assert r.frames.max() == 29176
    assert (r.geometry, r.positions_unit, r.focus_to_sample) == ("near", "m", pytest.approx(3.65e-3))
    assert r.wavelength == pytest.approx(0.9794912e-10, rel=1e-6)
    assert r.distance == pytest.approx(1.12)
    assert r.detector_pixel == pytest.approx(55e-6)
    assert r.mask is not None
    assert np.count_nonzero(~r.mask) == 5
    with h5py.File(path) as file:
        shift = file["entry_1/sample_1/geometry_1/translation"][()]
    assert np.allclose(r.positions, shift[:, [1, 0]])  # row along y, column along x, no sign turned
    assert np.ptp(r.positions, axis=0) == pytest.approx([19.0e-6, 20.2e-6], rel=0.01)


test_cxi_keeps_the_contract = checks_for("cxi")
