"""The NumPy archive reader: keys as documented, centring and cutting, measured and malformed files."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pwm_ptychography.readers.archive import NumpyArchive

from pwm_core.errors import BadFile
from pwm_core.testing import checks_for

from .scans import measured, says, spot, walk

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def savez(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
    return folder / "a.npz"


# --- where the direct beam is, and what is cut around it ----------------------------------------------


@quick
@given(st.integers(12, 25), st.integers(12, 25), st.booleans())
def test_the_direct_beam_comes_to_the_middle(tmp_path: Path, y: int, x: int, corner: bool) -> None:
    frames = spot(6, y, x)
    stored = np.fft.ifftshift(frames, (1, 2)) if corner else frames
    mask = np.ones((y, x), bool)
    mask[1, 2] = False
    np.savez(
        tmp_path / "a.npz", data=stored, scan=walk() * 1e7, mask=np.fft.ifftshift(mask) if corner else mask
    )
    r = NumpyArchive(
        geometry="near", wavelength=1e-10, distance=1.0, detector_pixel=1e-6, focus_to_sample=1.0
    )
    assert np.array_equal(r.record(tmp_path / "a.npz").frames, stored)  # images are not rearranged
    r = NumpyArchive().record(tmp_path / "a.npz")
    side = min(y, x)  # far-field frames are made square
    top, left = y // 2 - side // 2, x // 2 - side // 2
    cut = np.s_[..., top : top + side, left : left + side]
    assert np.array_equal(r.frames, frames[cut])
    assert r.mask is None or np.array_equal(r.mask, mask[cut])


def test_the_setting_overrules_what_the_frames_look_like(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=spot(), scan=walk())
    assert np.array_equal(
        NumpyArchive(shifted=True).record(tmp_path / "a.npz").frames, np.fft.fftshift(spot(), (1, 2))
    )


def test_a_cut_keeps_probe_frames_and_positions_consistent(tmp_path: Path) -> None:
    """The far field of the cut probe is the cut far field, and pixels at the sample grow as frames shrink."""
    rng = np.random.default_rng(3)
    probe = rng.normal(size=(1, 32, 32)) + 1j * rng.normal(size=(1, 32, 32))
    np.savez(tmp_path / "a.npz", data=spot(6, 32, 32), scan=walk() * 1e7, probe=probe)
    r = NumpyArchive(size=16).record(tmp_path / "a.npz")
    assert r.probe is not None
    whole, part = (np.fft.fftshift(np.fft.fft2(p[0])) for p in (probe, r.probe))
    assert np.allclose(np.abs(part), np.abs(whole[8:24, 8:24]), rtol=1e-4, atol=1e-4)
    assert np.array_equal(r.frames, spot(6, 32, 32)[:, 8:24, 8:24])
    assert np.allclose(r.positions, walk() * 1e7 / 2)


def test_elements_that_are_no_counts_are_masked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = spot(dtype=np.float32) + 1
    data[:, 3, 3] = -2  # a gap, as detectors mark it
    data[:, 4, 4] = np.nan
    data[1, 5, 5] = np.inf
    data[2, 6, 6] = -0.5  # noise after dark subtraction
    np.savez(tmp_path / "a.npz", data=data, scan=walk())
    with caplog.at_level(logging.INFO, "pwm"):
        r = NumpyArchive().record(tmp_path / "a.npz")
    bad = np.zeros(data.shape, bool)
    bad[:, 3, 3] = bad[:, 4, 4] = bad[1, 5, 5] = True
    assert r.mask is not None
    assert np.array_equal(r.mask, ~bad)
    assert np.isfinite(r.frames).all()
    assert r.frames[2, 6, 6] == 0
    assert r.frames[~bad].sum() == pytest.approx(data[~bad & (data > 0)].sum())
    assert "2 detector elements hold no valid count" in caplog.text
    assert "1 values below zero" in caplog.text


def test_saturated_integers_are_masked_and_frames_keep_their_type(tmp_path: Path) -> None:
    data = spot(dtype=np.uint32)
    data[:, 0, :] = 2**32 - 1
    r = NumpyArchive().record(savez(tmp_path, data=data.astype(">u4"), scan=walk()))
    assert r.frames.dtype == np.dtype("=u4")
    assert r.mask is not None
    assert np.array_equal(r.mask, np.arange(16)[:, None] + np.zeros(16) > 0)


# --- keys and contents --------------------------------------------------------------------------------


def test_npz_as_tike_shapes_it(tmp_path: Path) -> None:
    probe = np.ones((1, 1, 1, 3, 16, 16), np.complex64)
    path = savez(tmp_path, data=np.fft.ifftshift(spot(), (1, 2))[None], scan=walk()[None] * 1e7, probe=probe)
    r = NumpyArchive().record(path)
    assert np.array_equal(r.frames, spot())
    assert np.array_equal(r.positions, walk() * 1e7)
    assert r.positions_unit == "px"
    assert r.probe is not None
    assert r.probe.shape == (3, 16, 16)


def test_npz_keys_as_documented(tmp_path: Path) -> None:
    mask = np.ones((16, 16), np.uint8)
    mask[2, 3] = 0
    facts = {
        "energy_ev": 8800.0,
        "distance": 0.5,
        "detector_pixel": 1e-6,
        "geometry": "near",
        "focus_to_sample": 0.1,
    }
    path = savez(tmp_path, data=spot(), positions_m=walk(), mask=mask, background=mask * 2.0, **facts)
    r = NumpyArchive().record(path)
    assert (r.positions_unit, r.geometry, r.distance, r.detector_pixel, r.focus_to_sample) == (
        "m",
        "near",
        0.5,
        1e-6,
        0.1,
    )
    assert r.wavelength == pytest.approx(0.140891e-9, rel=1e-5)
    assert np.array_equal(r.mask, mask == 1)
    assert np.array_equal(r.background, mask * 2.0)
    path = savez(
        tmp_path,
        data=spot(),
        positions=walk() * 1e6,
        positions_unit="um",
        wavelength=1e-10,
        distance=2,
        detector_pixel=1e-4,
    )
    assert np.allclose(NumpyArchive().record(path).positions, walk())


@pytest.mark.parametrize(("suffix", "pack"), [("bz2", bz2.compress), ("gz", gzip.compress)])
def test_npz_may_be_compressed(tmp_path: Path, suffix: str, pack) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"b.npz.{suffix}"
    path.write_bytes(pack(savez(tmp_path, data=spot(), scan=walk()).read_bytes()))
    assert NumpyArchive.accepts(path)
    assert np.array_equal(NumpyArchive().record(path).frames, spot())
    path.write_bytes(path.read_bytes()[:-40])
    says(NumpyArchive(), path, "damaged")


def test_a_probe_that_does_not_fit_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = savez(tmp_path, data=spot(), scan=walk(), probe=np.ones((8, 8), complex))
    assert NumpyArchive().record(path).probe is None
    assert "not used" in caplog.text


def member(shape: str, dtype: str = "<u2", body: bytes = b"") -> bytes:
    """A .npy file whose header claims a shape."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (member("(1000000, 100000, 100000)"), "claims shape"),
        (member("(6, 16, 16)"), "claims shape"),
        (member("(6, -16, 16)"), ""),
        (member("(6, 16, 16)", "|O", bytes(9000)), "object"),
        (b"not an array", "damaged"),
    ],
)
def test_npz_headers_are_not_believed(tmp_path: Path, array: bytes, word: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("data.npy", array)
    says(NumpyArchive(), tmp_path / "a.npz", word)


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"scan": walk()}, "no array named data"),
        ({"data": spot()}, "no positions"),
        ({"data": spot(), "scan": walk(5)}, "6 frames but 5 positions"),
        ({"data": spot(), "scan": walk()[:, :1]}, "(n, 2)"),
        ({"data": spot(), "scan": walk() * np.nan}, "not finite"),
        ({"data": spot().astype(complex), "scan": walk()}, "complex128"),
        ({"data": spot()[0], "scan": walk()}, "one stack"),
        ({"data": spot() > 3, "scan": walk()}, "bool"),
        ({"data": np.array([None] * 6), "scan": walk()}, "objects"),
        ({"data": spot(), "scan": walk(), "mask": np.ones((8, 8))}, "mask of shape"),
        ({"data": spot(), "scan": walk(), "geometry": "oblique"}, "'far' or 'near'"),
        ({"data": spot(), "positions_m": walk(), "energy_ev": -3.0}, "positive"),
        ({"data": spot(), "positions_m": walk(), "energy_ev": 8800.0}, "--assume distance=2m"),
        ({"data": spot(), "positions": walk(), "positions_unit": "inch"}, "positions_unit=um"),
    ],
)
def test_npz_contents_that_are_no_scan_are_refused(
    tmp_path: Path, arrays: dict[str, object], word: str
) -> None:
    says(NumpyArchive(), savez(tmp_path, **arrays), word)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_npz_never_raises_anything_but_its_sentence(tmp_path: Path, data: st.DataObject) -> None:
    stream = io.BytesIO()
    np.savez_compressed(
        stream, data=spot(4, 8, 8), scan=walk(4), probe=np.ones((8, 8), complex), distance=1.0
    )
    raw = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.npz"
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw))
    with contextlib.suppress(BadFile):
        assert NumpyArchive().record(path).frames.ndim == 3


# --- a measured file ----------------------------------------------------------------------------------


def test_siemens_star_of_the_velociprobe(caplog: pytest.LogCaptureFixture) -> None:
    path = measured("siemens-star-small.npz.bz2")
    with caplog.at_level(logging.INFO, "pwm"):
        r = NumpyArchive().record(path)
    assert r.frames.shape == (516, 128, 128)
    assert r.frames.dtype == np.float32
    assert (r.geometry, r.positions_unit, r.mask) == ("far", "px", None)
    assert r.probe is not None
    assert r.probe.shape == (1, 128, 128)
    assert r.positions.min() == pytest.approx(-164.39, abs=0.01)
    raw = np.load(io.BytesIO(bz2.decompress(path.read_bytes())))
    assert np.array_equal(r.frames[7], np.fft.fftshift(raw["data"][0, 7]))
    assert np.array_equal(r.positions, raw["scan"][0])
    assert "zero frequency moved from the corner of the frames to the middle" in caplog.text
    assert "516 frames of 128x128 float32, far field" in caplog.text


test_npz_keeps_the_contract = checks_for("npz")
