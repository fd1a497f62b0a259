"""The pages of a report: one with the overview, and one for each modality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...card import Card
from ...methods import available
from ...modality import Modality
from ...registry import Registry
from ...scenario import SCENARIOS
from ..results import Row, scored
from ..store import Store
from . import overview, words
from .charts import calibration, score_against_time
from .html import Html, join, page, tag
from .leaderboard import leaderboard
from .standing import Standing, standings
from .wall import gallery

UP = "../"  # from a modality's page to the store


class Section(NamedTuple):
    """A part of a page; one without a body is left out."""

    name: str
    title: str
    body: Html | None


def write_report(store: Store, table: list[Row], found: Registry) -> None:
    """Write report.html and report/MODALITY.html of these rows into the store.

    Pictures and records are linked by relative paths, so that the folder can be moved, or put on a
    server, as a whole.
    """
    names = list(dict.fromkeys(r["modality"] for r in table))
    modalities = {name: found.find(name, "modality").load() for name in names}
    cards = {e.card.name: e.card for e in available(found)}
    every = standings(table)
    store.write("report.html", _overview(store, table, every, modalities))
    (store.folder / "report").mkdir(exist_ok=True)
    for name, modality in modalities.items():
        rows = _of(table, name)
        own = [s for s in every if s.modality == name]
        store.write(f"report/{name}.html", _modality(store, rows, own, modality, cards))


def _overview(
    store: Store, table: list[Row], every: list[Standing], modalities: Mapping[str, type[Modality]]
) -> str:
    aliases = {name: m.aliases for name, m in modalities.items()}
    sections = []
    for scenario in _scenarios(table):
        part = [s for s in every if s.scenario == scenario]
        body = join(words.lead(scenario, ranked=False), overview.heat(part, aliases))
        sections.append(Section(scenario, words.title(scenario), body))
    paired = [s for s in every if s.calibrator]
    if paired:
        body = join(words.recovery(), overview.recovery(paired, aliases))
        sections.append(Section("recovery", "What calibration brings back", body))
    records = [store.record(r["key"]) for r in scored(table)]
    sections += [
        Section("absent", "Cells without a result", overview.absent(table)),
        Section("environment", "What they ran on", overview.environments(records)),
        Section("reading", "How to read the numbers", words.explanation()),
    ]
    data = tag("a", "results.jsonl", href="results.jsonl")
    head = tag(
        "header",
        tag("h1", "Reconstruction benchmark"),
        tag("p", words.count(table), ". ", data, " holds all of it as data."),
        tag("nav", _cards(table, modalities), class_="cards", aria_label="modalities"),
    )
    return page("pwm benchmark", head, _main(sections))


def _cards(table: list[Row], modalities: Mapping[str, type[Modality]]) -> list[Html]:
    return [
        tag("a", tag("b", m.title), words.count(_of(table, name)), href=f"report/{name}.html")
        for name, m in modalities.items()
    ]


def _modality(
    store: Store, rows: list[Row], own: list[Standing], modality: type[Modality], cards: Mapping[str, Card]
) -> str:
    sections = []
    for scenario in _scenarios(rows):
        part = [s for s in own if s.scenario == scenario]
        body = join(words.lead(scenario), leaderboard(part, modality.aliases, cards, UP))
        sections.append(Section(scenario, words.title(scenario), body))
    methods = list(dict.fromkeys(s.method for s in own))  # the best first
    fitted = calibration(rows, modality.specs, UP)
    sections += [
        Section(
            "gallery",
            "Gallery",
            join(words.pictures(), gallery(rows, methods, store.folder, UP, modality.aliases)),
        ),
        Section("calibration", "Calibration", fitted and join(words.calibration(), fitted)),
        Section("time", "Score against time", _times(own)),
    ]
    head = tag(
        "header",
        tag("p", tag("a", "Benchmark", href=f"{UP}report.html"), class_="back"),
        tag("h1", modality.title),
        tag("p", words.count(rows), "."),
        _contents(sections),
    )
    return page(f"{modality.title} · pwm benchmark", head, _main(sections))


def _times(own: list[Standing]) -> Html | None:
    """A plot for each scenario."""
    plots = []
    for scenario in SCENARIOS:
        plot = score_against_time([s for s in own if s.scenario == scenario])
        if plot is not None:
            plots.append(tag("figure", plot, tag("figcaption", words.title(scenario))))
    return tag("div", plots, class_="plots") if plots else None


def _main(sections: Iterable[Section]) -> Html:
    shown = [tag("section", tag("h2", s.title), s.body, id=s.name) for s in sections if s.body]
    return tag("main", shown)


def _contents(sections: Iterable[Section]) -> Html:
    links = [tag("a", s.title, href=f"#{s.name}") for s in sections if s.body]
    return tag("nav", links, class_="contents", aria_label="sections")


def _scenarios(rows: Iterable[Row]) -> list[str]:
    present = {r["scenario"] for r in rows}
    return [s for s in SCENARIOS if s in present]


def _of(table: Iterable[Row], modality: str) -> list[Row]:
    return [r for r in table if r["modality"] == modality]
