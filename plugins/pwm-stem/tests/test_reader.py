"""Files of microscopes: what is taken from them, what is asked for, and what is refused."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from pwm_stem import reader as module
from pwm_stem.modality import STEM
from pwm_stem.reader import Micrograph

from pwm_core.errors import BadFile
from pwm_core.reader import find_reader
from pwm_core.registry import installed

IMAGE = (1000 + 20 * STEM.small().replace(readout=0.0).simulate("boundary")[0].y).astype(np.uint16)


def signal(data=IMAGE, names=("y", "x"), scale=0.02, units="nm", title="HAADF", tem=None, **more):
    axes = [
        {"name": n, "scale": scale, "units": units, "size": s} for n, s in zip(names, data.shape, strict=True)
    ]
    metadata = {"General": {"title": title}, "Acquisition_instrument": {"TEM": tem or {}}}
    return {"data": data, "axes": axes, "metadata": metadata, "original_metadata": {}, **more}


def reading(monkeypatch, tmp_path, *signals, suffix=".dm4", **settings):
    """What the reader makes of a file in which RosettaSciIO finds these signals."""
    path = tmp_path / f"image{suffix}"
    path.write_bytes(module._MODULES[suffix][1][0] + bytes(100))
    monkeypatch.setattr(
        module.importlib, "import_module", lambda name: SimpleNamespace(file_reader=lambda p: signals)
    )
    return Micrograph(offset=1000.0, gain=20.0, **settings).read(path)


def test_facts_come_from_the_file(monkeypatch, tmp_path):
    tem = {"beam_energy": 80.0, "convergence_angle": 30.0, "beam_current": 0.05}
    scan = {"Scan": {"DwellTime": 2e-6}}
    problem = reading(monkeypatch, tmp_path, signal(tem=tem, original_metadata=scan))
    probe = problem.operator.node("probe")
    assert (probe.voltage, probe.convergence) == (80.0, 30.0)
    assert problem.pixel_size == pytest.approx((0.2e-10, 0.2e-10))
    assert problem.operator.theta["beam.dose"] == pytest.approx(50 * 2 * 6.2415, rel=1e-3)
    np.testing.assert_allclose(problem.y, (IMAGE - 1000.0) / 20, rtol=1e-6)


@pytest.mark.parametrize(
    ("units", "scale"), [("n_m", 0.02), ("[nm]", 0.02), ("m", 2e-11), ("µm", 2e-5), ("Å", 0.2), ("pm", 20)]
)
def test_units_of_length(monkeypatch, tmp_path, units, scale):
    problem = reading(monkeypatch, tmp_path, signal(units=units, scale=scale))
    assert problem.pixel_size[0] == pytest.approx(0.2e-10)


def test_what_is_given_overrules_the_file(monkeypatch, tmp_path):
    problem = reading(monkeypatch, tmp_path, signal(tem={"beam_energy": 80.0}), voltage=300.0, pixel=0.5)
    assert problem.operator.node("probe").voltage == 300.0
    assert problem.pixel_size[0] == pytest.approx(0.5e-10)


def test_crop_and_bin_keep_electrons(monkeypatch, tmp_path):
    problem = reading(monkeypatch, tmp_path, signal(), crop=32, bin=2)
    assert problem.y.shape == (16, 16)
    assert problem.y.sum() == pytest.approx(((IMAGE[16:48, 16:48] - 1000.0) / 20).sum(), rel=1e-5)
    assert problem.pixel_size[0] == pytest.approx(0.4e-10)
    with pytest.raises(BadFile, match="crop=100"):
        reading(monkeypatch, tmp_path, signal(), crop=100)


def test_an_image_kept_as_columns_is_turned(monkeypatch, tmp_path):
    problem = reading(monkeypatch, tmp_path, signal(names=("X", "Y")))
    np.testing.assert_allclose(problem.y, (IMAGE.T - 1000.0) / 20, rtol=1e-6)


def test_the_dark_field_image_is_chosen_and_spectra_are_passed_over(monkeypatch, tmp_path):
    cube = signal(np.ones((40, 40, 50), np.uint8), names=("y", "x", "Energy"), title="EDS")
    bright = signal(IMAGE[::-1].copy(), title="BF")
    found = reading(monkeypatch, tmp_path, cube, bright, signal())
    np.testing.assert_allclose(found.y, (IMAGE - 1000.0) / 20, rtol=1e-6)
    other = reading(monkeypatch, tmp_path, cube, bright, signal(), image=0)
    np.testing.assert_allclose(other.y, (IMAGE[::-1] - 1000.0) / 20, rtol=1e-6)
    with pytest.raises(BadFile, match="image=2 is beyond"):
        reading(monkeypatch, tmp_path, bright, signal(), image=2)
    with pytest.raises(BadFile, match="no image"):
        reading(monkeypatch, tmp_path, cube)


def test_one_frame_of_a_series(monkeypatch, tmp_path):
    series = signal(np.stack([IMAGE, IMAGE[::-1]]), names=("time", "y", "x"))
    np.testing.assert_allclose(
        reading(monkeypatch, tmp_path, series, frame=1).y, (IMAGE[::-1] - 1000.0) / 20, rtol=1e-6
    )
    with pytest.raises(BadFile, match="frame=2"):
        reading(monkeypatch, tmp_path, series, frame=2)


@pytest.mark.parametrize(("units", "scale"), [("", 1.0), ("1/nm", 0.1), ("nm", 0.0), ("nm", np.nan)])
def test_a_missing_pixel_size_is_asked_for(monkeypatch, tmp_path, units, scale):
    with pytest.raises(BadFile, match="--assume pixel="):
        reading(monkeypatch, tmp_path, signal(units=units, scale=scale))


def test_broken_values_are_refused(monkeypatch, tmp_path):
    broken = IMAGE.astype(float)
    broken[3, 3] = np.nan
    with pytest.raises(BadFile, match="finite values"):
        reading(monkeypatch, tmp_path, signal(broken))


@pytest.mark.parametrize("suffix", sorted(module._MODULES))
@pytest.mark.parametrize(
    "content", [b"", b"no microscope wrote this", None], ids=["empty", "text", "start alone"]
)
def test_what_is_no_file_of_the_kind_is_refused_in_one_sentence(tmp_path, suffix, content):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(module._MODULES[suffix][1][0] + b"\x07" * 300 if content is None else content)
    with pytest.raises(BadFile, match="broken") as caught:
        Micrograph().read(path)
    assert len(str(caught.value).splitlines()) == 1


def test_without_rosettasciio_the_error_names_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rsciio", None)
    monkeypatch.setitem(sys.modules, "rsciio.tia", None)
    path = tmp_path / "image.ser"
    path.write_bytes(b"II\x97\x01" + bytes(100))
    with pytest.raises(BadFile, match=r'pip install "pwm-stem\[formats\]"'):
        Micrograph().read(path)


def test_the_plugin_does_not_import_the_copyleft_library_by_itself():
    import subprocess

    code = "import sys, pwm_stem.reader, pwm_stem.modality, pwm_stem.measured; print('rsciio' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


@pytest.mark.parametrize("suffix", [".hspy", ".emd"])
def test_files_written_by_the_library_are_read_back(tmp_path, suffix):
    writer = pytest.importorskip(f"rsciio.{suffix[1:]}", reason="RosettaSciIO is not installed").file_writer
    path = tmp_path / f"image{suffix}"
    tem = {"beam_energy": 120.0}
    written = signal(tem=tem)
    axes = [{**a, "navigate": False, "offset": 0.0} for a in written["axes"]]
    extra = {
        "package_info": {},
        "learning_results": {},
        "models": {},
        "attributes": {"_lazy": False, "ragged": False},
        "tmp_parameters": {},
    }
    written["metadata"]["Signal"] = {"signal_type": ""}
    writer(str(path), {**written, "axes": axes, **extra})
    assert find_reader(installed(), path, "stem").card.name == "micrograph"
    problem = Micrograph(offset=1000.0, gain=20.0).read(path)
    assert problem.pixel_size[0] == pytest.approx(0.2e-10)
    np.testing.assert_allclose(problem.y, (IMAGE - 1000.0) / 20, rtol=1e-6)
