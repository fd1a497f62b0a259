"""What every learned reconstructor needs: features, networks' interface, weights, tiling, training."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "train",
            "pwm_learned.command:train",
            "command",
            "train a learned method on generated scenes of a modality",
            licence="BSD-3-Clause",
        )
    ]
