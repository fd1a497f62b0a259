"""Spectral methods on data that stay in their file: the same numbers as in memory, in little memory."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from pwm_mls.fp import quantify
from pwm_mls.mls import uncertainty
from pwm_spectroscopy.stem_edx import StemEDX
from pwm_spectroscopy.xrf import XRF

from pwm_core import run, stored
from pwm_core.errors import BadValue
from pwm_core.methods import build, find_method
from pwm_core.registry import installed
from pwm_core.stored import StoredArray

MODALITIES = {"xrf": XRF, "stem-edx": StemEDX}
METHODS = [
    ("mls", {}),
    ("mls", {"nonnegative": "yes"}),
    ("mls", {"weights": "pixel"}),
    ("fp-quantify", {}),
    ("nmf", {"iterations": "5"}),
    ("nmf", {"iterations": "5", "spectra": "free"}),
    ("nmf", {"iterations": "5", "loss": "euclidean"}),
    ("nmf", {"iterations": "5", "loss": "euclidean", "spectra": "free"}),
    ("tv", {"iterations": "10"}),
    ("bm3d", {}),
]


@pytest.fixture(params=["pixels first", "energies first"])
def pair(request, tmp_path, monkeypatch):
    """A function of modality and mask: a problem in memory, and the same one with its data in a file."""

    def make(name, masked=False):
        modality = MODALITIES[name].small()
        whole, _ = modality.simulate(modality.scenes[0])
        if masked:
            whole = whole.replace(mask=np.random.default_rng(0).random(whole.y.shape[1:]) > 0.2)
        layout = (1, 2, 0) if request.param == "pixels first" else (0, 1, 2)
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["y"] = whole.y.transpose(layout)
        monkeypatch.setattr(stored, "BLOCK", 60000)
        monkeypatch.setattr("pwm_mls.cube.BLOCK", 60000)
        with h5py.File(path) as file:
            return whole, whole.replace(y=StoredArray(path, file["y"], tuple(np.argsort(layout).tolist())))

    return make


def solve(method, settings, problem):
    return run(build(find_method(installed(), method), settings), problem, device="cpu").x


def close(got, expected, part=1e-6):
    """To a part of each component's largest amount: sums in another order end in other roundings."""
    for mine, right in zip(got, expected, strict=True):
        np.testing.assert_allclose(
            mine, right, rtol=0, atol=10 * part * max(float(np.abs(right).max()), 1e-12)
        )


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(("method", "settings"), METHODS, ids=str)
def test_methods_give_the_same_from_the_file(pair, method, settings, masked):
    whole, filed = pair("xrf", masked)
    # rounding errors grow in what is iterated: multiplicative updates, and blocks that a denoiser matches
    part = 1e-6 if method in ("mls", "fp-quantify") else 1e-3
    close(solve(method, settings, filed), solve(method, settings, whole), part)


def test_electron_spectra(pair):
    whole, filed = pair("stem-edx")
    close(solve("mls", {}, filed), solve("mls", {}, whole))


def test_uncertainties_from_the_file(pair):
    whole, filed = pair("xrf")
    close(uncertainty(filed), uncertainty(whole))
    close(quantify(filed).std, quantify(whole).std)


def test_a_mask_of_single_data(pair):
    whole, filed = pair("xrf")
    mask = np.random.default_rng(0).random(whole.y.shape) > 0.01
    close(solve("mls", {}, filed.replace(mask=mask)), solve("mls", {}, whole.replace(mask=mask)))


def test_dense_counts_that_do_not_fit_are_said(pair, monkeypatch):
    _, filed = pair("xrf")
    monkeypatch.setattr("pwm_nmf.counts.available", lambda: 1000.0)
    monkeypatch.setattr(stored, "available", lambda: 1000.0)
    with pytest.raises(BadValue, match="take a method that goes through the data in blocks"):
        solve("nmf", {"iterations": "2"}, filed)


MEASURE = """
import json, resource, sys
from pathlib import Path
import numpy as np
from pwm_core import run, stored
from pwm_core.methods import build, find_method
from pwm_core.record import array_hash
from pwm_core.registry import installed
from pwm_spectroscopy.readers.nexus import NeXusXRF
from pwm_spectroscopy.xrf import XRF

method = build(find_method(installed(), "mls"), {})
reader = NeXusXRF(elements="Ca,Fe,Cu", refine=False, energy=12.0)
run(method, reader.read(Path(sys.argv[1])))  # code is in memory before anything is measured
stored.limit = lambda: 100e6
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
problem = reader.read(Path(sys.argv[2]))
result = run(method, problem)
residuals = XRF().residuals(problem.predict(result.x, result.theta), problem)
problem.reduced()
array_hash(problem.y)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"grown": 1024 * (after - before), "data": 4 * problem.y.size, **residuals}))
"""


@pytest.mark.slow
def test_spectra_of_400_mb_take_less_than_150_mb(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / "small.nxs", tmp_path / "large.nxs"]
    for path, side in zip(paths, (16, 320), strict=True):
        with h5py.File(path, "w") as file:
            group = file.create_group("entry/detector")
            group.attrs["NX_class"] = "NXdetector"
            data = group.create_dataset("data", (side, side, 1024), np.uint16, chunks=(1, side, 1024))
            data.attrs["interpretation"] = "spectrum"
            group["calibration"] = [0.0, 0.0125, 0.0]
            energy = 0.0125 * np.arange(1024)
            shape = 2 + sum(40 * np.exp(-(((energy - e) / 0.07) ** 2)) for e in (3.69, 6.4, 8.05))
            for row in range(side):
                data[row] = rng.poisson(shape, (side, 1024))
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    done = subprocess.run(
        [sys.executable, str(script), *map(str, paths)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["data"] > 380e6
    assert found["grown"] < 150e6
    assert found["residual"] < 0.5
