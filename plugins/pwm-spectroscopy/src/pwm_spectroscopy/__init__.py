"""X-ray spectroscopy for pwm: XRF imaging and STEM-EDX mapping, their scenes and their file readers."""

from pwm_core import Card, hookimpl

__version__ = "0.1.0"

_TRAITS = frozenset({"linear", "image", "spectral", "nonnegative"})


@hookimpl
def pwm_cards() -> list[Card]:
    from .readers.cards import cards

    return [
        Card(
            "xrf",
            "pwm_spectroscopy.xrf:XRF",
            "modality",
            "X-ray fluorescence imaging: element maps by a scanned X-ray beam",
            _TRAITS,
            licence="BSD-3-Clause",
            cite="10.1016/j.sab.2006.12.002",
        ),
        Card(
            "stem-edx",
            "pwm_spectroscopy.stem_edx:StemEDX",
            "modality",
            "Element maps by energy-dispersive X-rays in the scanning transmission electron microscope",
            _TRAITS,
            licence="BSD-3-Clause",
            cite="10.1017/S1431927615015494",
        ),
        *cards(),
    ]
