"""Calibration of measured files, as a user asks for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pwm_core.cli import main
from pwm_core.reader import find_reader
from pwm_core.registry import installed

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def measured(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"measured file {name} is not here")
    return DATA / name


def test_energy_axis_and_resolution_of_a_fluorescence_standard(tmp_path, capsys, caplog):
    path = measured("xrf/axo_std.mda")
    words = ["run", "--modality", "xrf", "--method", "mls", "--input", str(path), "--assume", "refine=false"]
    with caplog.at_level("INFO"):
        assert main([*words, "--calibrate", "gradient", "--output", str(tmp_path / "out")]) == 0
    before, after = map(
        float, re.search(r"χ² is ([\d.]+) .* at the start, ([\d.]+) at", caplog.text).groups()
    )
    assert after < 0.7 * before
    printed = capsys.readouterr().out
    zero, error = map(
        float, re.search(r"detector\.zero +estimated ([\d.]+) ± ([\d.e-]+) keV", printed).groups()
    )
    assert zero == pytest.approx(1.0116, abs=0.01)  # what the fit to the sum spectrum finds
    assert abs(zero - 1.0116) < 3 * error
    assert error < 0.005
    assert re.search(r"detector_resolution +estimated \d+\S* ± \S+ eV", printed)


@pytest.mark.parametrize(
    ("modality", "name", "assume", "names"),
    [
        ("stem", "stem/Acquisition_18.emd", {"crop": "64"}, {"probe.size", "scan.distortion"}),
        ("fluoroscopy", "fluoroscopy/coronary_cine_XA.dcm", {"frames": "0:4", "bin": "8"}, {"detector.lag"}),
        ("stem-edx", "stem_edx/L2083-K-4-1_tilt+00.bcf", {"bin": "32"}, {"detector.zero", "detector.gain"}),
        (
            "ptychography",
            "ptychography/PETRAIII_P25_Near_Field_Ptycho.cxi",
            {"focus_to_sample": "3.65mm", "defocus": "3.65mm"},
            {"scan.drift", "probe.error"},
        ),
        ("ptychography", "ptychography/siemens-star-small.npz.bz2", {}, set()),
    ],
)
def test_measured_problems_say_what_may_be_calibrated(modality, name, assume, names):
    path = measured(name)
    problem = find_reader(installed(), path, modality).load().from_strings(assume).read(path)
    assert names <= set(problem.ranges)
    assert bool(names) == bool(problem.ranges)
    for parameter, (low, high) in problem.ranges.items():
        assert low <= problem.operator.theta[parameter] <= high
