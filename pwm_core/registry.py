"""Find plugins, keep their cards, and import what a card points at only when it is wanted."""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from .card import GROUP, ROLES, Card, Hooks
from .errors import PluginError, UnknownName

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
METHODS = ("reconstructor", "denoiser")  # what --method accepts


@dataclass(frozen=True)
class Entry:
    """A card together with the package that handed it over."""

    card: Card
    package: str
    version: str

    @property
    def qualname(self) -> str:
        return f"{self.package}/{self.card.name}"

    def load(self) -> Any:
        """Import and return what the card points at."""
        module, _, attribute = self.card.target.partition(":")
        try:
            loaded = import_module(module)
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise PluginError(f"{self.qualname} cannot be imported from {module!r}: {reason}") from error
        try:
            return getattr(loaded, attribute)
        except AttributeError as error:
            raise PluginError(
                f"{self.qualname} points at {self.card.target}, which does not exist"
            ) from error


@dataclass(frozen=True)
class Broken:
    """A plugin that was left out, and why."""

    package: str
    version: str
    entry_point: str
    reason: str

    def __str__(self) -> str:
        return f"{self.package} {self.version} is left out ({self.entry_point}): {self.reason}"


@dataclass
class Registry:
    """Everything that the installed plugins offer.

    ``PWM_PLUGINS=package,package`` in the environment restricts it, before anything is imported.
    """

    entries: list[Entry] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    @classmethod
    def discover(cls) -> Registry:
        found = cls()
        allowed = os.environ.get("PWM_PLUGINS")
        names = None if allowed is None else {n.strip() for n in allowed.split(",")} | {"pwm-core"}
        for ep in _entry_points():
            if names is None or _package(ep)[0] in names:
                found._add(ep)
        found.entries.sort(key=lambda e: (ROLES.index(e.card.role), e.card.name, e.package))
        return found

    def _add(self, ep: EntryPoint) -> None:
        package, version = _package(ep)
        try:
            reason = _wrong_version(ep)
            cards = [] if reason else _cards(ep)
        except KeyboardInterrupt:
            raise
        except (
            BaseException
        ) as error:  # whatever a plugin does wrong, SystemExit included, the others stay usable
            reason = " ".join(f"{type(error).__name__}: {error}".split())
        if reason:
            self.broken.append(Broken(package, version, f"{ep.name} = {ep.value}", reason))
        else:
            self.entries += (Entry(card, package, version) for card in cards)

    def of(self, *roles: str) -> list[Entry]:
        """All entries of these roles, ordered by role, name and package."""
        return [e for e in self.entries if e.card.role in roles]

    def find(self, name: str, *roles: str) -> Entry:
        """The entry called ``name`` or ``package/name``; UnknownName with the closest match otherwise."""
        candidates = self.of(*(roles or ROLES))
        hits = [e for e in candidates if name in (e.card.name, e.qualname)]
        what = _kind(roles)
        if len(hits) == 1:
            return hits[0]
        if hits:
            choices = " or ".join(e.qualname for e in hits)
            raise UnknownName(f"{len(hits)} packages offer a {what} called {name!r}; say {choices}")
        known = sorted({e.card.name for e in candidates})
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"installed: {', '.join(known) or 'none'}"
        if self.broken:
            hint += f" ({len(self.broken)} plugin(s) could not be used; see `pwm plugins`)"
        raise UnknownName(f"no {what} called {name!r}; {hint}")

    def suitable(self, modality: Entry, *roles: str) -> Iterator[Entry]:
        """The entries of these roles whose needs ``modality`` meets."""
        return (e for e in self.of(*roles) if e.card.suits(modality.card))


@functools.cache
def installed() -> Registry:
    """The registry of this process, built at first use."""
    return Registry.discover()


def _entry_points() -> list[EntryPoint]:
    """Entry points of this and of later interface generations, in an order that never varies."""
    every = entry_points()
    groups = [g for g in every.groups if re.fullmatch(GROUP + r"\d*", g)]
    found = [ep for g in groups for ep in every.select(group=g) if ep.dist is not None]
    return sorted(found, key=lambda ep: (_package(ep), ep.group, ep.name))


def _package(ep: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution; one whose metadata are damaged still has a place in the list."""
    try:
        metadata = ep.dist.metadata  # type: ignore[union-attr]
        return metadata["Name"] or "unnamed", metadata["Version"] or "?"
    except Exception:
        return "unnamed", "?"


def _wrong_version(ep: EntryPoint) -> str:
    """Why the plugin was not made for this core, or an empty string."""
    if ep.group != GROUP:
        return f"it is written for plugin interface {ep.group!r}, this pwm-core has {GROUP!r}"
    from . import __version__
    from .requirement import requirements_on_core

    for requirement in requirements_on_core(ep.dist.requires or ()):  # type: ignore[union-attr]
        if not requirement.specifier.contains(__version__, prereleases=True):
            return f"it needs pwm-core{requirement.specifier}, installed is {__version__}"
    return ""


def _cards(ep: EntryPoint) -> list[Card]:
    # A manager of its own for each plugin, so that none can spoil the hook call of another.
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    manager.register(ep.load(), ep.name)
    manager.check_pending()
    cards = [_checked(card) for cards in manager.hook.pwm_cards() for card in cards]
    if not cards:
        raise PluginError(
            "it hands over nothing; a function pwm_cards, marked @hookimpl, must return its cards"
        )
    for i, card in enumerate(cards):
        if (card.role, card.name) in [(c.role, c.name) for c in cards[:i]]:
            raise PluginError(f"it hands over two cards called {card.name!r} of role {card.role}")
    return cards


def _checked(card: object) -> Card:
    if not isinstance(card, Card):
        raise PluginError(f"pwm_cards must return Card objects, got {card!r}")
    for what in ("name", "target", "role", "summary", "licence", "cite", "variant"):
        if not isinstance(getattr(card, what), str):
            raise PluginError(f"card {card.name!r}: {what} must be text, got {getattr(card, what)!r}")
    if not _NAME.fullmatch(card.name):
        raise PluginError(f"the name {card.name!r} must be lower-case letters, digits and hyphens")
    if card.role not in ROLES:
        raise PluginError(f"card {card.name!r} has role {card.role!r}; it must be one of {', '.join(ROLES)}")
    if not re.fullmatch(r"[\w.]+:\w+", card.target):
        raise PluginError(
            f"card {card.name!r} has target {card.target!r}; it must read 'package.module:Name'"
        )
    if isinstance(card.traits, str) or not all(isinstance(t, str) for t in card.traits):
        raise PluginError(f"card {card.name!r}: traits must be a set of words, got {card.traits!r}")
    if isinstance(card.suffixes, str) or not all(isinstance(s, str) for s in card.suffixes):
        raise PluginError(
            f"card {card.name!r}: suffixes must be a tuple such as ('.h5',), got {card.suffixes!r}"
        )
    if isinstance(card.modalities, str) or not all(isinstance(m, str) for m in card.modalities):
        raise PluginError(f"card {card.name!r}: modalities must be a set of names, got {card.modalities!r}")
    return card._replace(
        traits=frozenset(card.traits), suffixes=tuple(card.suffixes), modalities=frozenset(card.modalities)
    )


def _kind(roles: Iterable[str]) -> str:
    roles = tuple(roles)
    if not roles:
        return "plugin entry"
    return "method" if set(roles) <= {*METHODS, "calibrator"} and len(roles) > 1 else roles[0]
