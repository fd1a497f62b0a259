"""The command line as a user meets it: listings, a run and its folder, and a sentence for each mistake."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pwm_core.cli import main
from pwm_core.formats import load_result

SMALL = [
    "--simulate=side=6",
    "--simulate=window=32",
    "--simulate=detector_pixel=300um",
    "--simulate=defocus=60um",
]
RUN = ["run", "--method", "epie", "--modality", "ptychography", *SMALL, "--device", "cpu"]


def refused(capsys, *arguments):
    """The one sentence that ``pwm ARGUMENTS`` answers with."""
    assert main(list(arguments)) == 2
    err = capsys.readouterr().err
    assert err.startswith("pwm: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err


def test_list_methods(capsys):
    assert main(["list-methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["method", "needs"]
    assert any(line.startswith("epie ") and "ptychography" in line for line in lines)
    assert main(["list-methods", "--modality", "ptychography", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"epie", "rpie"} <= {r["method"] for r in rows}
    assert set(rows[0]) == {"method", "needs", "gpu", "licence", "summary", "from"}


def test_other_listings(capsys):
    assert main(["list-modalities", "--json"]) == 0
    assert "ptychography" in {r["modality"] for r in json.loads(capsys.readouterr().out)}
    assert main(["list-calibrators"]) == 0
    assert capsys.readouterr().out
    assert main(["plugins"]) == 0
    assert "pwm-epie" in capsys.readouterr().out


def test_info_tells_settings_units_and_how_parameters_enter(capsys):
    assert main(["info", "epie"]) == 0
    out = capsys.readouterr().out
    for words in ("doi.org/10.1016/j.ultramic.2009.05.012", "iterations", "int >= 1", "BSD-3-Clause"):
        assert words in out
    assert main(["info", "ptychography"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in ("P(probe) → D(g, η₁)", "probe_error", "-3.5…11.5", "steady drift of the stage", "keV"):
        assert words in out
    assert main(["info", "cxi"]) == 0
    assert "focus_to_sample" in capsys.readouterr().out


def test_a_run_leaves_result_figure_and_record(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*RUN, "--set", "iterations=4", "--scene", "chart", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    for words in ("epie on ptychography", "PSNR", "standard score", "residual", "probe_error", "4 steps"):
        assert words in out
    folder = tmp_path / "pwm-runs" / "ptychography-epie-chart"
    assert {p.name for p in folder.iterdir()} == {"result.h5", "figure.png", "run.json"}
    record = json.loads((folder / "run.json").read_text())
    assert record["settings"]["iterations"] == 4
    assert record["seed"] == 3
    assert record["method"] == "pwm-epie/epie"
    assert record["score"]["psnr"] == pytest.approx(record["score"]["views"]["phase"]["psnr"])
    assert set(record["artefacts"]) == {"result.h5", "figure.png"}
    assert record["packages"]["pwm-core"]
    assert record["peak_memory_bytes"] > 1 << 20
    result = load_result(folder / "result.h5")
    assert np.isfinite(result.x).all()
    assert len(result.history) == 4
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_runs_never_overwrite_one_another(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main([*RUN, "--set", "iterations=1"]) == 0
    names = sorted(p.name for p in (tmp_path / "pwm-runs").iterdir())
    assert names == ["ptychography-epie-circuit", "ptychography-epie-circuit-2"]
    capsys.readouterr()
    assert "not an empty folder" in refused(capsys, *RUN, "--output", "pwm-runs")


def test_the_same_seed_gives_the_same_numbers(tmp_path):
    for name in "ab":
        assert main([*RUN, "--set", "iterations=3", "--threads", "1", "--output", str(tmp_path / name)]) == 0
    a, b = (load_result(tmp_path / n / "result.h5").x for n in "ab")
    np.testing.assert_array_equal(a, b)


def test_mismatch_keeps_the_data_and_the_true_parameters_as_stated(capsys, tmp_path):
    wanted = ["--theta", "position_error=15nm", "--set", "iterations=2", "--set", "update_probe=no"]
    hashes = {}
    for scenario in ("ideal", "mismatch"):
        folder = tmp_path / scenario
        assert main([*RUN, *wanted, "--scenario", scenario, "--output", str(folder)]) == 0
        record = json.loads((folder / "run.json").read_text())
        assert record["theta_true"]["scan.drift"] == 15.0
        hashes[scenario] = record["input"]
    assert hashes["ideal"]["y"] == hashes["mismatch"]["y"]
    assert hashes["ideal"]["operator"] != hashes["mismatch"]["operator"]
    assert "true +15 nm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list-methods", "--modality", "ptychograpy"], "did you mean 'ptychography'?"),
        (["info", "epi"], "did you mean 'epie'?"),
        ([*RUN, "--set", "iteration=3"], "did you mean 'iterations'?"),
        ([*RUN, "--set", "iterations=0"], "iterations must be int >= 1, got 0"),
        ([*RUN, "--set", "iterations=many"], "iterations must be int >= 1, got 'many'"),
        ([*RUN, "--set", "iterations"], "--set takes NAME=VALUE, got 'iterations'"),
        ([*RUN, "--simulate", "photons=-1"], "photons must be"),
        ([*RUN, "--simulate", "distance=1kg"], "distance must be float in [0.001, 100] m, got '1kg'"),
        ([*RUN, "--scene", "circut"], "no scene 'circut'"),
        ([*RUN, "--theta", "probe_eror=3"], "no parameter 'probe_eror'"),
        ([*RUN, "--scenario", "calibrated"], "needs a calibrator"),
        ([*RUN, "--calibrate", "nothing"], "no calibrator called 'nothing'"),
        ([*RUN, "--assume", "distance=2m"], "give the file with --input"),
        ([*RUN, "--input", "missing.cxi"], "is for simulated scenes"),
        (
            ["run", "--method", "epie", "--modality", "ptychography", "--input", "missing.cxi"],
            "there is no file",
        ),
        (["check", "nobody"], "nobody"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_mistake_gets_one_sentence(capsys, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, *arguments)
    assert not (tmp_path / "pwm-runs").exists(), "nothing was run, nothing should be left"


def test_a_file_of_another_kind_is_refused(capsys, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    message = refused(capsys, "run", "--method", "epie", "--modality", "ptychography", "--input", str(path))
    assert "cxi (.cxi, .h5, .hdf5)" in message


def test_cuda_is_refused_with_a_reason_where_there_is_none(capsys, tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    arguments = [*RUN[:-1], "cuda", "--output", str(tmp_path / "out")]
    assert "use --device cpu, or auto" in refused(capsys, *arguments)


def test_a_method_that_does_not_fit_says_what_is_missing():
    from pwm_core.card import Card
    from pwm_core.errors import Unsuitable
    from pwm_core.methods import require_suitable
    from pwm_core.registry import Entry, installed

    method = Entry(Card("tv", "x:Y", "reconstructor", "", frozenset({"linear", "image"})), "pwm-x", "1")
    with pytest.raises(Unsuitable, match=r"tv needs linear, which ptychography does not offer; .*epie"):
        require_suitable(installed(), method, installed().find("ptychography", "modality"))


def test_ctrl_c_keeps_the_result_so_far(tmp_path):
    folder = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "pwm_core.cli",
        *RUN,
        "--set",
        "iterations=100000",
        "--output",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 60
    while not folder.exists() and time.time() < deadline:
        time.sleep(0.1)
    time.sleep(3)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in out
    result = load_result(folder / "result.h5")
    assert result.status == "interrupted"
    assert len(result.history) >= 1
    assert np.isfinite(result.x).all()


def test_a_plugin_brings_a_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert re.search(r"^  train +train a learned method", out, re.MULTILINE)
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "pwm train" in capsys.readouterr().out
    assert "no method called 'nothing'" in refused(capsys, "train", "nothing", "--modality", "stem")
    assert "has no weights" in refused(capsys, "train", "bm3d", "--modality", "stem")


def test_a_command_that_nobody_brings_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["dance"])
    assert stop.value.code == 2
    assert "dance" in capsys.readouterr().err
