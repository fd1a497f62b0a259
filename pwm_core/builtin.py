"""What pwm-core itself offers, handed over exactly as a plugin would."""

from .card import Card, hookimpl


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "local",
            "pwm_core.executors:Processes",
            "executor",
            "worker processes on this machine",
            licence="BSD-3-Clause",
        ),
        Card(
            "serial",
            "pwm_core.executors:Serial",
            "executor",
            "one case after another in this process",
            licence="BSD-3-Clause",
        ),
    ]
