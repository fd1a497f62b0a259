"""Benchmarks of pwm on many machines, through Dask."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "dask",
            "pwm_dask.cluster:Dask",
            "executor",
            "Dask workers: on this machine, of a running scheduler, or as SLURM jobs",
            licence="BSD-3-Clause",
            cite="10.25080/Majora-7b98e3ed-013",
        )
    ]
