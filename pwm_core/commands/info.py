"""``pwm info NAME``: all about one method, modality, calibrator, reader or executor, on one screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..card import TRAITS
from ..errors import UnknownName
from ..methods import PLUG_AND_PLAY, find_method, suitable
from ..registry import Entry, Registry, installed
from ..settings import Settings, describe, field_types, params


def info(name: str) -> int:
    """Print everything known about ``name``; UnknownName if nothing is called that."""
    found = installed()
    entry = _find(found, name)
    console = Console(highlight=False)
    console.print(f"[bold]{entry.card.name}[/bold] — {entry.card.summary}")
    _print_card(console, entry)
    loaded = entry.load()
    if entry.card.role == "modality":
        _print_modality(console, found, entry, loaded)
    elif isinstance(loaded, type) and issubclass(loaded, Settings):
        _print_doc(console, loaded)
        option = {
            "reader": " (--assume NAME=VALUE)",
            "calibrator": "",
            "executor": " (--executor-set NAME=VALUE)",
        }.get(entry.card.role, " (--set NAME=VALUE)")
        _print_settings(console, f"settings{option}", [loaded, *_lift(entry)])
    return 0


def _find(found: Registry, name: str) -> Entry:
    try:
        return find_method(found, name)
    except UnknownName as error:
        if "packages offer" in str(error):
            raise
        return found.find(name)


def _lift(entry: Entry) -> list[type]:
    if entry.card.role != "denoiser" or not entry.card.name.startswith(PLUG_AND_PLAY):
        return []
    from ..plug_and_play import PlugAndPlay

    return [PlugAndPlay]


def _print_card(console: Console, entry: Entry) -> None:
    card = entry.card
    table = _facts()
    table.add_row("role", card.role)
    if card.traits:
        words = ", ".join(f"{t} ({TRAITS[t]})" if t in TRAITS else t for t in sorted(card.traits))
        table.add_row({"modality": "offers", "reader": "for"}.get(card.role, "needs"), words)
    if card.suffixes:
        table.add_row("files", ", ".join(card.suffixes))
    if card.gpu:
        table.add_row("GPU", "--device cuda")
    table.add_row("package", f"{entry.package} {entry.version}, {card.licence or 'licence not stated'}")
    if card.cite:
        table.add_row("cite", f"https://doi.org/{card.cite}")
    if card.variant:
        table.add_row("differs", card.variant)
    console.print(table)


def _print_modality(console: Console, found: Registry, entry: Entry, cls: Any) -> None:
    console.print(f"\n{cls.about}\n")
    modality = cls.small()
    problem, _ = modality.simulate(modality.scenes[0])
    table = _facts()
    table.add_row("operator", str(problem.operator))
    expanded = getattr(problem.operator, "expanded", None)
    if expanded is not None and expanded() != str(problem.operator):
        table.add_row("in detail", expanded())
    table.add_row("object", _axes(cls.object_axes))
    table.add_row("data", _axes(cls.data_axes))
    table.add_row("scenes", ", ".join(cls.scenes) + "; any number for a generated one")
    methods = ", ".join(e.card.name for e in suitable(found, entry)) or "none installed"
    table.add_row("methods", methods)
    readers = [e for e in found.of("reader") if cls.name in e.card.traits]
    if readers:
        files = ", ".join(f"{e.card.name} ({' '.join(e.card.suffixes)})" for e in readers)
        table.add_row("readers", f"{files}; see pwm info NAME")
    console.print(table)
    _print_specs(console, cls.specs)
    _print_settings(console, "simulated instrument (--simulate NAME=VALUE)", [cls])


def _print_specs(console: Console, specs: Iterable[Any]) -> None:
    table = Table(title="\nmodel errors (--theta NAME=VALUE)", title_justify="left", box=None, pad_edge=False)
    for column in ("symbol", "name", "unit", "nominal", "perturbed", "public", "dev", "hidden"):
        table.add_column(column, no_wrap=True)
    for s in specs:
        ranges = [f"{low:g}…{high:g}" for low, high in (s.public, s.dev, s.hidden)]
        table.add_row(s.symbol, s.name, s.unit, f"{s.nominal:g}", f"{s.perturbed:g}", *ranges)
    console.print(table)
    for s in specs:
        console.print(f"[bold]{s.name}[/bold]: {escape(s.doc)}")


def _print_settings(console: Console, title: str, classes: Iterable[type]) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("name", "default", "accepts", "meaning"):
        table.add_column(column, overflow="fold")
    for cls in classes:
        types = field_types(cls)
        for f in params(cls):
            default = f"{f.default:g}" if isinstance(f.default, float) else str(f.default)
            table.add_row(f.name, default.lower(), describe(f, types[f.name]), f.metadata["doc"])
    if table.row_count:
        console.print()
        console.print(table)


def _print_doc(console: Console, cls: type) -> None:
    import inspect

    console.print(f"\n{inspect.getdoc(cls)}", markup=False)


def _facts() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    return table


def _axes(axes: Iterable[Any]) -> str:
    return escape("(" + ", ".join(f"{a.name} [{a.unit}]" if a.unit else a.name for a in axes) + ")")
