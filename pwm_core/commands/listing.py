"""``pwm list-methods``, ``list-modalities``, ``list-calibrators`` and ``plugins``: cards alone."""

from __future__ import annotations

import sys

from ..methods import available, suitable
from ..registry import Entry, Registry, installed


def list_methods(modality: str | None, as_json: bool) -> int:
    """All methods, or those that fit one modality."""
    found = installed()
    entries = suitable(found, found.find(modality, "modality")) if modality else list(available(found))
    rows = [
        {
            "method": e.card.name,
            "needs": " ".join(sorted(e.card.traits)) or "anything",
            "gpu": "yes" if e.card.gpu else "",
            "licence": e.card.licence,
            "summary": e.card.summary,
            "from": f"{e.package} {e.version}",
        }
        for e in _ambiguous_qualified(sorted(entries, key=lambda e: (e.card.name, e.package)))
    ]
    return _show(rows, as_json, found, "no method is installed; methods come in packages called pwm-NAME")


def list_modalities(as_json: bool) -> int:
    """All modalities and what they offer to methods."""
    found = installed()
    rows = [
        {
            "modality": e.card.name,
            "offers": " ".join(sorted(e.card.traits)),
            "methods": str(len(suitable(found, e))),
            "summary": e.card.summary,
            "from": f"{e.package} {e.version}",
        }
        for e in _ambiguous_qualified(found.of("modality"))
    ]
    return _show(
        rows, as_json, found, "no modality is installed; modalities come in packages called pwm-NAME"
    )


def list_calibrators(as_json: bool) -> int:
    """All calibrators."""
    found = installed()
    rows = [
        {
            "calibrator": e.card.name,
            "needs": " ".join(sorted(e.card.traits)) or "anything",
            "licence": e.card.licence,
            "summary": e.card.summary,
            "from": f"{e.package} {e.version}",
        }
        for e in _ambiguous_qualified(found.of("calibrator"))
    ]
    return _show(rows, as_json, found, "no calibrator is installed")


def list_plugins(as_json: bool) -> int:
    """The packages that bring something, what they bring, and those that were left out and why."""
    found = installed()
    packages: dict[tuple[str, str], list[str]] = {}
    for e in found.entries:
        packages.setdefault((e.package, e.version), []).append(f"{e.card.name} ({e.card.role})")
    rows = [
        {"package": name, "version": version, "status": "ok", "brings": ", ".join(things)}
        for (name, version), things in packages.items()
    ]
    rows += [
        {"package": b.package, "version": b.version, "status": "left out", "brings": b.reason}
        for b in found.broken
    ]
    return _show(sorted(rows, key=lambda r: r["package"]), as_json, found, "no plugin is installed")


def _ambiguous_qualified(entries: list[Entry]) -> list[Entry]:
    """Entries whose name two packages offer are shown by the name that has to be typed."""
    names = [e.card.name for e in entries]
    return [
        Entry(e.card._replace(name=e.qualname), e.package, e.version) if names.count(e.card.name) > 1 else e
        for e in entries
    ]


def _show(rows: list[dict[str, str]], as_json: bool, found: Registry, nothing: str) -> int:
    if as_json:
        import json

        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        print(nothing)
    elif sys.stdout.isatty():
        _rich_table(rows)
    else:
        _plain_table(rows)
    for broken in found.broken:
        print(f"pwm: {broken}", file=sys.stderr)
    return 0


def _rich_table(rows: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold", no_wrap=name in ("method", "modality", "calibrator"))
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


def _plain_table(rows: list[dict[str, str]]) -> None:
    widths = {name: max(len(name), *(len(r[name]) for r in rows)) for name in rows[0]}
    for row in [{name: name for name in widths}, *rows]:
        print("  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip())
