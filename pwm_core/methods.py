"""From the name of a method and its settings as text to a reconstructor that can be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .card import Card
from .errors import PluginError, UnknownName, Unsuitable
from .registry import Entry, Registry

if TYPE_CHECKING:
    from .method import Reconstructor

PLUG_AND_PLAY = "pnp-"  # pnp-NAME is plug-and-play with the denoiser NAME
_LIFT_NEEDS = frozenset({"image", "real"})
_PNP_VARIANT = "DPIR's schedule, but on counted data the prior is as strong as the misfit asks for"


def available(registry: Registry) -> Iterator[Entry]:
    """Everything that ``--method`` accepts, the liftings of each denoiser included."""
    for entry in registry.of("reconstructor"):
        yield entry
    for entry in registry.of("denoiser"):
        needs = entry.card.traits | _LIFT_NEEDS
        yield _with_card(entry, entry.card._replace(traits=needs))
        if not entry.card.prior:
            continue
        pnp = entry.card._replace(
            name=PLUG_AND_PLAY + entry.card.name,
            traits=needs,
            summary=f"Plug-and-play with {entry.card.name}: {entry.card.summary}",
            variant="; ".join(filter(None, (entry.card.variant, _PNP_VARIANT))),
        )
        yield _with_card(entry, pnp)


def suitable(registry: Registry, modality: Entry) -> list[Entry]:
    """The methods whose needs this modality meets."""
    return [e for e in available(registry) if e.card.suits(modality.card)]


def find_method(registry: Registry, name: str) -> Entry:
    """The method called ``name`` or ``package/name``; UnknownName with the closest match otherwise.

    Unsuitable for plug-and-play with a denoiser that is no prior.
    """
    for entry in registry.of("denoiser"):
        if not entry.card.prior and name.rpartition("/")[2] == PLUG_AND_PLAY + entry.card.name:
            raise Unsuitable(
                f"{entry.card.name} is no prior of an object: noise that it leaves would come back in every "
                f"step of plug-and-play; --method {entry.card.name} denoises the data with it"
            )
    return Registry(list(available(registry)), registry.broken).find(name, "reconstructor", "denoiser")


def require_suitable(registry: Registry, method: Entry, modality: Entry) -> None:
    """Unsuitable, naming the missing trait and what does fit, if the two cannot go together.

    Weights for a modality may be missing all the same: the method says so, since a user may have some.
    """
    missing = sorted(method.card.traits - modality.card.offers)
    if missing:
        fitting = ", ".join(e.card.name for e in suitable(registry, modality)) or "none is installed"
        raise Unsuitable(
            f"{method.card.name} needs {' and '.join(missing)}, which {modality.card.name} does not offer; "
            f"methods for {modality.card.name}: {fitting}"
        )


def build(entry: Entry, settings: Mapping[str, str]) -> Reconstructor:
    """The method with these settings (text, as typed after ``--set``). A denoiser is lifted.

    The settings of a lifted denoiser may be written with or without ``denoiser.`` before them.
    """
    cls = entry.load()
    if entry.card.role != "denoiser":
        return _built(entry, lambda: cls.from_strings(settings))
    from .lift import DenoiseThenInvert
    from .method import Reconstructor
    from .plug_and_play import PlugAndPlay
    from .settings import params

    plugged = entry.card.name.startswith(PLUG_AND_PLAY)
    if not plugged and issubclass(cls, Reconstructor):
        return _built(entry, lambda: cls.from_strings(settings))
    lift = PlugAndPlay if plugged else DenoiseThenInvert
    own = {f.name for f in params(lift)}
    outer = {k: v for k, v in settings.items() if k in own}
    inner = {k.removeprefix("denoiser."): v for k, v in settings.items() if k not in own}
    return lift.from_strings(outer, denoiser=_built(entry, lambda: cls.from_strings(inner)))


def _built(entry: Entry, make):  # type: ignore[no-untyped-def]
    try:
        return make()
    except (UnknownName, ValueError):
        raise
    except Exception as error:
        raise PluginError(f"{entry.qualname} cannot be built: {type(error).__name__}: {error}") from error


def _with_card(entry: Entry, card: Card) -> Entry:
    return Entry(card, entry.package, entry.version)
