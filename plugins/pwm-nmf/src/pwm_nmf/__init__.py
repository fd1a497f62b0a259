"""Non-negative matrix factorisation of spectrum images for pwm."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "nmf",
            "pwm_nmf.nmf:Factorisation",
            "reconstructor",
            "Non-negative matrix factorisation: the object as a few phases, with physical or free spectra",
            frozenset({"linear", "spectral", "nonnegative"}),
            licence="BSD-3-Clause",
            cite="10.1016/j.ultramic.2023.113719",
            variant="no spatial regularisation; phases are counted from the data; started from maps",
        )
    ]
