"""The executor ``dask``: the same results as one process gives, and what becomes of lost ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from pathlib import Path

import cloudpickle
import dask
import pytest
from pwm_dask.calls import run_in_child
from pwm_dask.cluster import Dask

from pwm_core.benchmark.pool import outcomes
from pwm_core.benchmark.worker import OutOfTime, _limits, _out_of_time
from pwm_core.cli import main
from pwm_core.errors import BadValue, UnknownName
from pwm_core.executors import WorkerLost
from pwm_core.testing import checks_for

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file

SMALL = {"side": "6", "window": "32", "detector_pixel": "300", "defocus": "60"}
WORDS = """benchmark --modality ptychography --method epie --scene cells --scene lattice --scenario ideal
    --set epie.iterations=2 --no-figures"""
SELECTION = [
    *WORDS.split(),
    *(word for k, v in SMALL.items() for word in ("--simulate", f"ptychography.{k}={v}")),
]

test_it_keeps_the_contract = checks_for("dask")


@pytest.fixture(scope="module")
def two() -> Iterator[Executor]:
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), Dask().open(2, 1) as executor:
        yield executor


def scores(folder: Path) -> list[list[object]]:
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [[r[n] for n in ("key", "psnr", "ssim", "standard", "blind", "consistency")] for r in rows]


def test_the_results_are_those_of_the_serial_executor(tmp_path: Path) -> None:
    for name, more in (("serial", []), ("dask", ["--workers", "2"])):
        assert main([*SELECTION, "--executor", name, "--output", str(tmp_path / name), *more]) == 0
    assert scores(tmp_path / "dask") == scores(tmp_path / "serial")
    assert len(scores(tmp_path / "dask")) == 2


# -- what is lost, and what is not ----------------------------------------------------------------


def poisoned(n: int, tally: str, victim: str) -> str:
    """Call 3 kills its process, or the Dask worker above it; every call is noted."""
    with open(tally, "a") as file:
        file.write(f"{n}\n")
    if n == 3:
        os.kill(os.getpid() if victim == "process" else os.getppid(), signal.SIGKILL)
        time.sleep(60)  # the process ends with its worker
    return str(n * n)


@pytest.mark.parametrize(
    ("victim", "times", "reason"),
    [
        ("process", 2, "its process was killed (SIGKILL), as the system does when memory runs out"),
        ("worker", 4, "2 Dask workers died while they had it"),  # twice in company, twice alone
    ],
)
def test_a_poisonous_call_is_reported_and_loses_no_other(
    two: Executor, tmp_path: Path, victim: str, times: int, reason: str
) -> None:
    tally = tmp_path / "tally"
    jobs = [(str(n), (n, str(tally), victim)) for n in range(8)]
    found = dict(outcomes(jobs, poisoned, lambda: Kept(two), None))
    assert found == {str(n): str(n * n) if n != 3 else reason for n in range(8)}
    assert tally.read_text().split().count("3") == times


class Kept(Executor):
    """An executor that outlives the block that it is used in."""

    def __init__(self, kept: Executor) -> None:
        self.submit = kept.submit  # type: ignore[method-assign]


def once_killed(mark: str) -> str:
    """Waits to be killed, the first time."""
    if not Path(mark).exists():
        Path(mark).write_text(str(os.getppid()))
        time.sleep(60)
    return "done"


def test_a_call_whose_dask_worker_is_killed_is_done_by_another(two: Executor, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    others = [two.submit(os.getpid) for _ in range(3)]
    future = two.submit(once_killed, str(mark))
    wait_for(lambda: mark.exists() and mark.read_text())
    os.kill(int(mark.read_text()), signal.SIGKILL)
    assert future.result(timeout=60) == "done"
    assert all(f.result(timeout=60) != os.getpid() for f in others)


def wait_for(holds: object, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def takes(gibibytes: float, most: float) -> str:
    with _limits(600, most):
        return str(len(bytearray(int(gibibytes * 2**30))))


def test_the_memory_limit_of_a_cell_holds_in_a_dask_worker(two: Executor) -> None:
    assert two.submit(takes, 0.125, 1.0).result(timeout=60) == str(2**27)
    with pytest.raises(MemoryError):
        two.submit(takes, 2.0, 1.0).result(timeout=60)


def too_slow() -> str:
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    time.sleep(60)
    return "done"


def test_the_alarm_of_the_time_limit_reaches_the_call(two: Executor) -> None:
    with pytest.raises(OutOfTime):
        two.submit(too_slow).result(timeout=30)


# -- the process of a call ------------------------------------------------------------------------


def test_the_process_is_kept_for_the_next_call_of_its_session_only() -> None:
    pids = [run_in_child(cloudpickle.dumps((os.getpid, (), {})), s, {}) for s in ("a", "a", "b")]
    assert pids[0] == pids[1] != pids[2]
    assert os.getpid() not in pids


def test_the_process_does_not_give_memory_back_as_eagerly_as_dask_workers_do(two: Executor) -> None:
    assert two.submit(os.getenv, "MALLOC_TRIM_THRESHOLD_").result() is None
    assert two.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"


def test_what_a_call_prints_does_not_disturb_its_result() -> None:
    call = cloudpickle.dumps((os.system, ("echo noise; echo more",), {}))
    assert run_in_child(call, "prints", {}) == 0


def test_a_process_that_ends_itself_is_told_from_one_that_is_killed() -> None:
    with pytest.raises(WorkerLost, match="its process ended itself with status 3"):
        run_in_child(cloudpickle.dumps((os._exit, (3,), {})), "ends", {})


class Odd(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def raise_odd() -> None:
    raise Odd(1, 2)


def test_an_error_that_cannot_be_sent_is_told_in_words() -> None:
    with pytest.raises(RuntimeError, match="Odd: 1 and 2"):
        run_in_child(cloudpickle.dumps((raise_odd, (), {})), "odd", {})


# -- which cluster --------------------------------------------------------------------------------


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler and one worker as users start them, and the scheduler's address."""
    file = tmp_path / "scheduler.json"
    dask_command = [sys.executable, "-m", "dask"]
    words = [
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
    ]
    first = subprocess.Popen([*dask_command, *words], stderr=subprocess.DEVNULL)
    wait_for(file.exists)
    words = ["worker", "--nthreads", "1", "--no-dashboard", "--scheduler-file", str(file)]
    second = subprocess.Popen([*dask_command, *words], stderr=subprocess.DEVNULL, cwd=tmp_path)
    try:
        yield str(file), first
    finally:
        for process in (second, first):
            process.terminate()
            process.wait(20)


def test_a_running_scheduler_is_used_and_its_loss_is_noticed(
    scheduler: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, process = scheduler
    address = json.loads(Path(file).read_text())["address"]
    with Dask(scheduler=file).open(None, 1) as executor:
        assert executor.submit(os.getpid).result(timeout=60) != os.getpid()
    with dask.config.set({"scheduler-address": address}), Dask().open(None, 1) as executor:
        future = executor.submit(time.sleep, 60)
        process.kill()
        with pytest.raises(BrokenExecutor, match="scheduler was lost"):
            future.result(timeout=60)


@pytest.mark.parametrize(
    ("settings", "workers", "words"),
    [
        ({"scheduler": "tcp://127.0.0.1:9"}, None, "no Dask scheduler answers at tcp://127.0.0.1:9"),
        ({"scheduler": "nonsense://x"}, None, "no Dask scheduler answers at nonsense://x"),
        ({"scheduler": "missing.json"}, None, "no Dask scheduler answers at missing.json"),
        ({"scheduler": "tcp://127.0.0.1:9"}, 2, "leave --workers out"),
        ({"scheduler": "tcp://127.0.0.1:9", "cluster": "slurm"}, 2, "give only one"),
        ({"queue": "gpu"}, 2, "give cluster=slurm with it"),
        ({"cluster": "slurm"}, None, "give --workers"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_sentence(
    settings: dict[str, str], workers: int | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pwm_dask.cluster.CONNECT", 0.5)
    with pytest.raises(BadValue, match=words) as raised:
        Dask(**settings).open(workers, 1)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_without_dask_jobqueue_slurm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(BadValue, match=r"pip install 'pwm-dask\[slurm\]'"):
        Dask(cluster="slurm").open(2, 1)


@pytest.mark.parametrize(
    ("sbatch", "words"),
    [
        (None, "submits jobs with sbatch, which is not on this machine"),
        ("echo 'sbatch: error: invalid partition specified: fast' >&2; exit 1", "invalid partition .*: fast"),
    ],
)
def test_jobs_that_slurm_would_refuse_are_not_waited_for(
    sbatch: str | None, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if sbatch:
        (tmp_path / "sbatch").write_text(f"#!/bin/sh\n{sbatch}\n")
        (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadValue, match=words) as raised:
        Dask(cluster="slurm", memory="2GiB", queue="fast").open(1, 1)
    assert "\n" not in str(raised.value)


def test_jobs_are_tried_as_they_will_be_submitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sbatch").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words; cat > {tmp_path}/script\n')
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with Dask(cluster="slurm", memory="2GiB", queue="fast", walltime="00:10:00").open(1, 3):
        pass
    assert (tmp_path / "words").read_text().split() == ["--test-only"]
    script = (tmp_path / "script").read_text().split("\n")
    wanted = ["-p fast", "--cpus-per-task=3", "--mem=2G", "-t 00:10:00"]
    assert [f"#SBATCH {line}" for line in wanted] == [line for line in script if line[8:] in wanted]


def test_a_misspelt_setting_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'scheduler'"):
        Dask.from_strings({"schedular": "tcp://127.0.0.1:9"})
    words = ["--executor", "dask", "--executor-set", "schedular=x", "--output", str(tmp_path / "o")]
    assert main([*SELECTION, *words]) == 2
    assert "did you mean 'scheduler'" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
