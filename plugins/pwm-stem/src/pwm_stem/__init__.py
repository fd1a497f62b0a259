"""HAADF-STEM for pwm: the modality and the reader of microscopes' image files."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"


@hookimpl
def pwm_cards() -> list[Card]:
    return [
        Card(
            "stem",
            "pwm_stem.modality:STEM",
            "modality",
            "Scanning transmission electron microscopy, annular dark field",
            frozenset({"linear", "image", "nonnegative"}),
            licence="BSD-3-Clause",
            cite="10.1007/978-1-4419-7200-2",
        ),
        Card(
            "micrograph",
            "pwm_stem.reader:Micrograph",
            "reader",
            "Images of electron microscopes: FEI .ser and .emi, .emd, Gatan .dm3 and .dm4, .hspy",
            frozenset({"stem"}),
            licence="BSD-3-Clause",
            suffixes=(".ser", ".emi", ".emd", ".dm3", ".dm4", ".hspy"),
        ),
    ]
