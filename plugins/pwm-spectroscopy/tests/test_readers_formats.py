"""Readers of spectrum images: what was written comes back; malformed files are refused in one sentence."""

import struct

import h5py
import numpy as np
import pytest
from pwm_spectroscopy.readers.base import XRFReader
from pwm_spectroscopy.readers.cards import cards
from pwm_spectroscopy.readers.found import raster
from pwm_spectroscopy.readers.hspy import Hspy
from pwm_spectroscopy.readers.maps import MAPS
from pwm_spectroscopy.readers.mda import MDA
from pwm_spectroscopy.readers.nexus import NeXusXRF
from pwm_spectroscopy.readers.pixlise import Pixlise
from pwm_spectroscopy.readers.protobuf import packed, without_runs
from pwm_spectroscopy.readers.pyxrf import PyXRF
from pwm_spectroscopy.readers.rosetta import Rosetta
from pwm_spectroscopy.readers.symbols import symbols_in

from pwm_core.errors import BadFile, BadValue

SHAPE = (512, 3, 4)  # energy, y, x


def counts(seed=0):
    return np.random.default_rng(seed).poisson(2.0, SHAPE).astype(np.float32)


def text(value):
    raw = value.encode()
    head = struct.pack(">i", len(raw))
    return head if not raw else head + head + raw + b"\0" * (-len(raw) % 4)


def mda_scan(rank, planned, positioners, detectors, at, inner=()):
    """Bytes of a scan that begins at byte ``at``; ``inner`` are functions from a position to bytes."""
    body = text("scan") + text("now") + struct.pack(">3i", len(positioners), len(detectors), 0)
    for k, (name, unit, _) in enumerate(positioners):
        body += struct.pack(">i", k) + text(name) + text("") + text("") + text(unit) + text("") * 3
    for k, (name, _) in enumerate(detectors):
        body += struct.pack(">i", k) + text(name) + text("") + text("")
    body += b"".join(np.asarray(v, ">f8").tobytes() for *_, v in positioners)
    body += b"".join(np.asarray(v, ">f4").tobytes() for _, v in detectors)
    head = struct.pack(">3i", rank, planned, planned)
    end = at + len(head) + 4 * len(inner) + len(body)
    offsets, tail = [], b""
    for make in inner:
        offsets.append(end + len(tail))
        tail += make(end + len(tail))
    return head + struct.pack(f">{len(offsets)}i", *offsets) + body + tail


def write_mda(path, spectra):
    channels, ny, nx = spectra.shape

    def point(i, j):
        return lambda at: mda_scan(1, channels, [], [("mca1.VAL", spectra[:, i, j])], at)

    def row(i):
        inner = [point(i, j) for j in range(nx)]
        axes = [("x", "mm", 0.2 * np.arange(nx))]
        return lambda at: mda_scan(2, nx, axes, [("mca1.ELTM", np.full(nx, 0.5))], at, inner)

    head = struct.pack(">f", 1.3) + struct.pack(">2i", 1, 3) + struct.pack(">5i", ny, nx, channels, 1, 0)
    axes = [("y", "mm", 0.1 * np.arange(ny))]
    path.write_bytes(head + mda_scan(3, ny, axes, [], len(head), [row(i) for i in range(ny)]))


def varint(n):
    out = b""
    while True:
        n, byte = n >> 7, n & 127
        out += bytes([byte | (128 if n else 0)])
        if not n:
            return out


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def coded(spectrum):
    out, values, i = b"", spectrum.astype(int).tolist(), 0
    while i < len(values):
        if values[i]:
            out, i = out + varint(values[i]), i + 1
        else:
            run = next((k for k, v in enumerate(values[i:]) if v), len(values) - i)
            out, i = out + varint(0) + varint(run), i + run
    return out


def write_pixlise(path, spectra):
    facts = {"READTYPE": "Normal", "XPERCHAN": "10.0", "OFFSET": "5.0", "LIVETIME": "2.0", "COMMENT": "28 kV"}
    data = b"".join(field(3, k.encode()) for k in facts)
    meta = b"".join(
        field(1, varint(1 << 3) + varint(n) + field(4, v.encode())) for n, v in enumerate(facts.values())
    )
    for i in range(spectra.shape[1]):
        for j in range(spectra.shape[2]):
            beam = b"".join(
                varint(k << 3 | 5) + struct.pack("<f", v) for k, v in ((1, 0.1 * j), (2, 0.1 * i))
            )
            detector = meta + field(2, coded(spectra[:, i, j]))
            data += field(5, field(3, beam) + field(5, detector))
    path.write_bytes(data)


def write_maps(path, spectra, version=10):
    top = "MAPS/Spectra" if version == 10 else "MAPS"
    scan = "MAPS/Scan" if version == 10 else "MAPS"
    with h5py.File(path, "w") as f:
        f[f"{top}/mca_arr"] = spectra
        f[f"{top}/{'Energy' if version == 10 else 'energy'}"] = 0.02 + 0.01 * np.arange(len(spectra))
        f[f"{scan}/y_axis"] = 0.1 * np.arange(spectra.shape[1])
        f[f"{scan}/x_axis"] = 0.2 * np.arange(spectra.shape[2])


def write_pyxrf(path, spectra):
    with h5py.File(path, "w") as f:
        f["xrfmap/detsum/counts"] = np.moveaxis(spectra, 0, -1)
        y, x = np.mgrid[: spectra.shape[1], : spectra.shape[2]]
        f["xrfmap/positions/pos"] = np.array([2.0 * x, 3.0 * y])
        f["xrfmap/positions/name"] = np.array([b"x_pos", b"y_pos"])
        f.create_group("xrfmap/scan_metadata").attrs["instrument_mono_incident_energy"] = 12.0


def write_nexus(path, spectra):
    with h5py.File(path, "w") as f:
        group = f.create_group("entry/instrument/detector")
        group.attrs["NX_class"] = "NXdetector"
        group["data"] = np.moveaxis(spectra, 0, -1)
        group["data"].attrs["interpretation"] = "spectrum"
        group["calibration"] = [0.02, 0.01, 0.0]
        group["live_time"] = np.full(spectra.shape[1:], 0.5)
        mono = f.create_group("entry/instrument/mono")
        mono.attrs["NX_class"] = "NXmonochromator"
        mono["energy"] = 12000.0
        mono["energy"].attrs["units"] = "eV"


def write_hspy(path, spectra):
    with h5py.File(path, "w") as f:
        group = f.create_group("Experiments/map")
        group["data"] = np.moveaxis(spectra, 0, -1)
        for i, (name, scale, offset, units) in enumerate(
            (("y", 2.0, 0, "nm"), ("x", 2.0, 0, "nm"), ("Energy", 10.0, 20.0, "eV"))
        ):
            group.create_group(f"axis-{i}").attrs.update(
                {"name": name, "scale": scale, "offset": offset, "units": units}
            )
        tem = group.create_group("metadata/Acquisition_instrument/TEM")
        tem.attrs["beam_energy "] = 200.0
        eds = tem.create_group("Detector/EDS")
        eds.attrs.update({"elevation_angle": 18.0, "live_time": 24.0})
        group.create_group("metadata/Sample").attrs["elements"] = ["Fe", "Pt"]


WRITERS = [
    (MDA, write_mda, "a.mda", {"energy": 10.0, "gain": 10.0, "zero": 20.0}),
    (Pixlise, write_pixlise, "a.bin", {}),
    (MAPS, write_maps, "a.h5", {"energy": 10.0}),
    (MAPS, lambda p, c: write_maps(p, c, 9), "a9.h5", {"energy": 10.0}),
    (PyXRF, write_pyxrf, "b.h5", {}),
    (NeXusXRF, write_nexus, "c.nxs", {}),
    (Hspy, write_hspy, "d.hspy", {}),
]


@pytest.mark.parametrize(("reader", "write", "name", "settings"), WRITERS)
def test_counts_and_calibration_come_back(tmp_path, reader, write, name, settings):
    path, spectra = tmp_path / name, counts()
    write(path, spectra)
    recording = reader(low=0.0, **settings).record(path)
    first = round((recording.zero - {"a.bin": 0.005, "b.h5": 0.0}.get(name, 0.02)) / 0.01)
    np.testing.assert_array_equal(recording.counts, spectra[first : first + len(recording.counts)])
    assert first in (0, 1)
    assert recording.gain == pytest.approx(0.01)
    assert recording.counts.sum() == spectra[first:].sum()


@pytest.mark.parametrize(
    ("reader", "write", "name", "settings", "pixel"),
    [
        (*WRITERS[0], (100.0, 200.0)),
        (*WRITERS[1], (100.0, 100.0)),
        (*WRITERS[2], (100.0, 200.0)),
        (*WRITERS[4], (3.0, 2.0)),
        (*WRITERS[6], (0.002, 0.002)),
    ],
)
def test_pixel_sizes_are_micrometres(tmp_path, reader, write, name, settings, pixel):
    write(tmp_path / name, counts())
    assert reader(**settings).record(tmp_path / name).pixel_size == pytest.approx(pixel, rel=1e-4)


def test_the_beam_comes_from_the_file(tmp_path):
    for reader, write, name, settings in WRITERS:
        write(tmp_path / name, counts())
        energy = reader(**settings).record(tmp_path / name).beam_energy
        assert energy == {"a.bin": 28.0, "b.h5": 12.0, "c.nxs": 12.0, "d.hspy": 200.0}.get(name, 10.0)


def test_hyperspy_metadata(tmp_path):
    write_hspy(tmp_path / "d.hspy", counts())
    recording = Hspy().record(tmp_path / "d.hspy")
    assert recording.likely == ("Fe", "Pt")
    assert recording.take_off == 18.0
    assert recording.live_time == pytest.approx(np.full((3, 4), 2.0))


@pytest.mark.parametrize(("reader", "write", "name", "settings"), WRITERS)
def test_truncated_files_are_refused(tmp_path, reader, write, name, settings):
    write(tmp_path / name, counts())
    whole = (tmp_path / name).read_bytes()
    for part in (0.3, 0.7, 0.99):
        (tmp_path / name).write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(BadFile) as refused:
            reader(**settings).record(tmp_path / name)
        assert name in str(refused.value)


@pytest.mark.parametrize(("reader", "write", "name", "settings"), [w for w in WRITERS if w[0] is not Pixlise])
@pytest.mark.parametrize(("value", "words"), [(np.nan, "not finite"), (-1.0, "negative")])
def test_what_is_no_count_is_refused(tmp_path, reader, write, name, settings, value, words):
    spectra = counts()
    spectra[100, 1, 1] = value
    write(tmp_path / name, spectra)
    with pytest.raises(BadFile, match=words):
        reader(**settings).record(tmp_path / name)


@pytest.mark.parametrize(("reader", "write", "name", "settings"), WRITERS)
def test_empty_spectra_are_refused(tmp_path, reader, write, name, settings):
    write(tmp_path / name, np.zeros(SHAPE, np.float32))
    with pytest.raises(BadFile, match="empty"):
        reader(**settings).record(tmp_path / name)


def test_complex_data_are_no_counts(tmp_path):
    write_maps(tmp_path / "a.h5", counts().astype(complex))
    with pytest.raises(BadFile, match="plain numbers"):
        MAPS(energy=10.0).record(tmp_path / "a.h5")


def test_what_is_missing_is_asked_for(tmp_path):
    write_mda(tmp_path / "a.mda", counts())
    with pytest.raises(BadFile, match=r"--assume gain=10eV zero=0eV"):
        MDA().record(tmp_path / "a.mda")
    with pytest.raises(BadFile, match=r"--assume energy=10keV"):
        MDA(gain=10.0).record(tmp_path / "a.mda")


def test_an_external_link_is_not_followed(tmp_path):
    write_maps(tmp_path / "other.h5", counts())
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["MAPS/Spectra/mca_arr"] = h5py.ExternalLink("other.h5", "/MAPS/Spectra/mca_arr")
    with pytest.raises(BadFile, match="another file"):
        MAPS(energy=10.0).record(tmp_path / "a.h5")


def test_bins_sum_counts_and_keep_energies(tmp_path):
    spectra = counts()
    write_maps(tmp_path / "a.h5", spectra)
    fine = MAPS(energy=10.0, low=0.02).record(tmp_path / "a.h5")
    coarse = MAPS(energy=10.0, low=0.02, bin=2, bin_energy=4).record(tmp_path / "a.h5")
    assert coarse.counts.shape == (len(fine.counts) // 4, 1, 2)
    assert coarse.counts.sum() == fine.counts[: 4 * len(coarse.counts), :2].sum()
    assert coarse.energies[0] == pytest.approx(fine.energies[:4].mean())
    assert coarse.pixel_size == pytest.approx((200.0, 400.0))


def test_energies_are_cropped(tmp_path):
    write_maps(tmp_path / "a.h5", counts())
    recording = MAPS(energy=10.0, low=1.0, high=3.0).record(tmp_path / "a.h5")
    assert 1.0 <= recording.energies[0] < 1.011
    assert 2.99 < recording.energies[-1] <= 3.0
    with pytest.raises(BadFile, match="check gain"):
        MAPS(energy=10.0, low=50.0, high=60.0).record(tmp_path / "a.h5")


def test_settings_that_make_no_sense(tmp_path):
    write_maps(tmp_path / "a.h5", counts())
    with pytest.raises(BadValue, match="elements 1 to 1"):
        MAPS(energy=10.0, detectors="2").record(tmp_path / "a.h5")
    with pytest.raises(BadValue, match="no chemical element"):
        MAPS(energy=10.0, elements="Ca,Xx").record(tmp_path / "a.h5")
    with pytest.raises(BadFile, match="live time"):
        MAPS(energy=10.0, flux=1e9).record(tmp_path / "a.h5")


def test_override_and_standard_beside_the_data(tmp_path):
    write_mda(tmp_path / "std.mda", counts())
    (tmp_path / "maps_fit_parameters_override.txt").write_text(
        "CAL_OFFSET_[E_OFFSET]: -0.004\nCAL_SLOPE_[E_LINEAR]: 0.0095\nCOHERENT_SCT_ENERGY: 10.0\n"
        "ELEMENTS_TO_FIT: Ca, Pb_M\nMIN_ENERGY_TO_FIT: 1.0\n"
    )
    (tmp_path / "maps_standardinfo.txt").write_text(
        "FILENAME: std.mda\nELEMENTS_IN_STANDARD: Ca, Fe\nWEIGHT: 1.9, 0.5\n"
    )
    recording = MDA().record(tmp_path / "std.mda")
    assert (recording.gain, recording.beam_energy) == (0.0095, 10.0)
    assert recording.likely == ("Ca", "Pb")
    assert recording.certified == {"Ca": 1.9, "Fe": 0.5}
    (tmp_path / "maps_standardinfo.txt").write_text(
        "FILENAME: std.mda\nELEMENTS_IN_STANDARD: Ca\nWEIGHT: x\n"
    )
    with pytest.raises(BadFile, match="lists of the same length"):
        MDA().record(tmp_path / "std.mda")


def test_a_missing_rosettasciio_names_the_command(tmp_path, monkeypatch):
    (tmp_path / "a.bcf").write_bytes(b"nothing")
    monkeypatch.setitem(__import__("sys").modules, "rsciio.bruker", None)
    with pytest.raises(BadFile, match=r'pip install "pwm-spectroscopy\[formats\]"'):
        Rosetta().record(tmp_path / "a.bcf")


def test_protobuf_numbers():
    values = np.random.default_rng(1).integers(0, 1 << 40, 200)
    np.testing.assert_array_equal(packed(b"".join(varint(int(v)) for v in values)), values)
    np.testing.assert_array_equal(without_runs(np.array([5, 0, 3, 7, 0, 1, 2])), [5, 0, 0, 0, 7, 0, 2])


def test_rasters_with_gaps_and_jitter():
    y, x = (a.ravel() for a in np.mgrid[:4, :5].astype(float))
    rng = np.random.default_rng(2)
    keep = np.arange(20) != 7
    rows, columns, steps = raster(
        (0.2 * y + rng.uniform(-0.01, 0.01, 20))[keep], (0.1 * x + rng.uniform(-0.005, 0.005, 20))[keep], "n"
    )
    np.testing.assert_array_equal(rows, y[keep])
    np.testing.assert_array_equal(columns, x[keep])
    assert steps == pytest.approx((0.2, 0.1), rel=0.06)
    with pytest.raises(BadFile, match="no raster"):
        raster(rng.uniform(0, 1, 50), rng.uniform(0, 1, 50), "n")


def test_symbols():
    assert symbols_in("Ca, fe;Pb_L Ca") == ("Ca", "Fe", "Pb")


def test_every_card_loads_its_reader():
    import importlib

    for card in cards():
        module, name = card.target.split(":")
        reader = getattr(importlib.import_module(module), name)
        assert issubclass(reader, XRFReader) == ("xrf" in card.traits)
