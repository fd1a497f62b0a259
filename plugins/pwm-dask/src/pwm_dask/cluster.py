"""The executor ``dask``: a cluster on this machine, one that runs already, or jobs of SLURM."""

from __future__ import annotations

import contextlib
import logging
import subprocess
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import dask
from distributed import Client, LocalCluster

from pwm_core.errors import BadValue
from pwm_core.executors import ExecutorFactory, cores, thread_environment
from pwm_core.settings import param

from .executor import DaskExecutor

CONNECT = 10.0  # seconds within which a scheduler must answer
_OF_JOBS = ("queue", "account", "memory", "walltime")  # settings that go to SLURM as they are

log = logging.getLogger("pwm")


class Dask(ExecutorFactory):
    """Runs calls on the workers of a Dask cluster, each worker thread with a process of its own for them.

    Without settings it is the cluster that Dask is configured for (DASK_SCHEDULER_ADDRESS), or else a
    new one on this machine. A call that dies with its Dask worker is run again by Dask as often as
    distributed.scheduler.allowed-failures says. SLURM jobs take what is not set here from Dask's own
    configuration, jobqueue.slurm.
    """

    scheduler: str | None = param(None, doc="a running scheduler: tcp://host:8786, or its scheduler file")
    cluster: Literal["local", "slurm"] = param("local", doc="what to start if no scheduler is given")
    queue: str | None = param(None, doc="SLURM partition")
    account: str | None = param(None, doc="SLURM account")
    memory: str | None = param(None, doc="memory of a SLURM job, such as 8GiB")
    walltime: str | None = param(None, doc="time limit of a SLURM job, such as 04:00:00")

    def open(self, workers: int | None, threads: int) -> Executor:
        """BadValue if the scheduler does not answer, or the cluster cannot be started with these settings."""
        with contextlib.ExitStack() as stack:
            where: Any = self._address(workers)
            if where is None:
                start = _local_cluster if self.cluster == "local" else self._slurm_cluster
                where = stack.enter_context(contextlib.closing(start(workers, threads)))
            client = stack.enter_context(_connected(where))
            return DaskExecutor(client, thread_environment(threads), stack.pop_all())

    def width(self, workers: int | None, threads: int) -> None:
        """The scheduler queues all calls."""

    def _address(self, workers: int | None) -> str | None:
        """Where a scheduler runs already, if one is to be used."""
        if self.cluster != "local":
            if self.scheduler is not None:
                raise BadValue("scheduler names a cluster that runs, cluster=slurm starts one; give only one")
            return None
        for name in _OF_JOBS:
            if getattr(self, name) is not None:
                raise BadValue(f"{name} is a setting of SLURM jobs; give cluster=slurm with it")
        address = self.scheduler or dask.config.get("scheduler-address", None)
        if address is not None and workers is not None:
            raise BadValue(f"the scheduler {address} has workers of its own; leave --workers out")
        return address

    def _slurm_cluster(self, workers: int | None, threads: int) -> Any:
        try:
            from dask_jobqueue import SLURMCluster
        except ImportError:
            raise BadValue(
                "cluster=slurm needs dask-jobqueue, which is not installed; pip install 'pwm-dask[slurm]'"
            ) from None
        if workers is None:
            raise BadValue("cluster=slurm needs to know how many jobs may run at a time; give --workers")
        options = {name: getattr(self, name) for name in _OF_JOBS if getattr(self, name) is not None}
        try:
            cluster = SLURMCluster(cores=1, processes=1, job_cpu=threads, **options)
        except (OSError, ValueError) as error:
            raise BadValue(f"SLURM jobs cannot be set up: {' '.join(str(error).split())}") from error
        try:
            _try_submission(cluster.job_script())
        except BadValue:
            cluster.close()
            raise
        # Adaptive, because a job that was lost is started again only so; eager, because a cell is long.
        cluster.adapt(minimum_jobs=0, maximum_jobs=workers, target_duration="10ms")
        return cluster


def _try_submission(script: str) -> None:
    """BadValue if SLURM would not take such a job; nothing is queued.

    Dask submits jobs in the background, where a refusal would be a traceback in the log and a benchmark that
    waits for ever.
    """
    try:
        answer = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True)
    except FileNotFoundError:
        raise BadValue(
            "cluster=slurm submits jobs with sbatch, which is not on this machine; start pwm where it is"
        ) from None
    if answer.returncode:
        raise BadValue(
            f"SLURM refuses such a job ({'; '.join(answer.stderr.strip().splitlines())}); change "
            f"{', '.join(_OF_JOBS)} or --threads, or what jobqueue.slurm in Dask's configuration says"
        )


def _local_cluster(workers: int | None, threads: int) -> LocalCluster:
    return LocalCluster(
        n_workers=workers or max(1, cores() // threads),
        threads_per_worker=1,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,  # what matters of a lost worker is said by the benchmark
    )


@contextlib.contextmanager
def _connected(where: Any) -> Iterator[Client]:
    """A client of a cluster, an address or a scheduler file."""
    try:
        if isinstance(where, str) and where.endswith(".json"):
            Path(where).read_bytes()  # Dask would wait for a missing one for ever
            client = Client(scheduler_file=where, timeout=CONNECT, set_as_default=False)
        else:
            client = Client(where, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:  # among them TimeoutError, and addresses of no known kind
        raise BadValue(
            f"no Dask scheduler answers at {where} ({' '.join(str(error).split()) or type(error).__name__}); "
            "start one with `dask scheduler`, and workers with `dask worker`"
        ) from error
    with client:
        if isinstance(where, str) and not client.scheduler_info()["workers"]:
            log.warning("the Dask scheduler %s has no workers yet; cells wait until there are some", where)
        yield client
