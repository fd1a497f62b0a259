"""The card a plugin hands over for each thing it brings, and the one hook it hands them over through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pluggy

GROUP = "pwm"  # entry-point group; a breaking change of this interface takes a new one: "pwm2"

hookimpl = pluggy.HookimplMarker(GROUP)
hookspec = pluggy.HookspecMarker(GROUP)

ROLES = ("reconstructor", "denoiser", "calibrator", "modality", "reader", "executor", "command")

# What a problem can offer and a method can need, beside the names of modalities.
TRAITS = {
    "linear": "the data are linear in the object",
    "image": "the object has two image axes, y and x",
    "spectral": "the object or the data have an energy axis",
    "video": "the object has a time axis",
    "complex": "the object is complex-valued",
    "real": "the object is real-valued; every modality that is not complex offers it",
    "nonnegative": "the object is non-negative by its physics",
}


class Card(NamedTuple):
    """What is known about a method, modality, reader, executor or command before its code is imported.

    ``traits`` are what a method needs and a modality offers; for a reader, the modalities whose
    files it opens. A command is a function that takes the words after ``pwm NAME`` and returns the exit
    status. ``modalities``: a method that is trained beforehand names those it is trained for; none means all
    that its traits fit. ``variant`` says in one line how an implementation departs from the cited paper.
    ``prior`` is False for a denoiser of which no plug-and-play is made: one that leaves some kind of noise as
    it is, whatever it is told, returns it to the data step for ever.
    """

    name: str
    target: str  # "package.module:Class", imported when it is first used
    role: str  # one of ROLES
    summary: str
    traits: frozenset[str] = frozenset()
    gpu: bool = False
    licence: str = ""
    cite: str = ""  # DOI
    variant: str = ""
    suffixes: tuple[str, ...] = ()  # readers only: (".cxi", ".h5")
    modalities: frozenset[str] = frozenset()  # methods with weights only: {"stem"}
    prior: bool = True  # denoisers only

    @property
    def offers(self) -> frozenset[str]:
        """What a modality with this card meets the needs of methods with, its own name included."""
        return self.traits | {self.name} | (set() if "complex" in self.traits else {"real"})

    def suits(self, modality: Card) -> bool:
        """Whether this method can work on that modality as it comes."""
        return self.traits <= modality.offers and (not self.modalities or modality.name in self.modalities)


class Hooks:
    """The hooks a plugin may implement."""

    @hookspec
    def pwm_cards(self) -> Iterable[Card]:  # type: ignore[empty-body]
        """Return the cards of everything this plugin brings. Import nothing heavy here."""
