"""Chemical symbols as people and files write them: ``Ca, Fe, Pb_L``."""

from __future__ import annotations

import re

from pwm_core.errors import BadValue


def symbols_in(text: str) -> tuple[str, ...]:
    """The elements of a list, each once, without a family behind an underscore. BadValue if unknown."""
    import xraylib

    found: list[str] = []
    for word in filter(None, re.split(r"[\s,;]+", text)):
        symbol = word.split("_")[0].capitalize()
        try:
            xraylib.SymbolToAtomicNumber(symbol)
        except ValueError:
            raise BadValue(f"{word!r} is no chemical element; give symbols such as Ca,Fe,Cu") from None
        found.append(symbol)
    return tuple(dict.fromkeys(found))
