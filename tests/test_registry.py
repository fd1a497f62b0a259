"""The registry: what installed plugins do wrong is kept, named, and never disturbs the others."""

from __future__ import annotations

import importlib
import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import packaging.requirements  # noqa: F401 - the registry imports it late, when only fakes are on the path
import pytest

from pwm_core.card import ROLES, Card
from pwm_core.errors import PluginError, UnknownName
from pwm_core.registry import Entry, Registry

Install = Callable[..., str]
_modules = (f"acme_plugin_{n}" for n in itertools.count())

CARDS = """
    from pwm_core import Card, hookimpl

    @hookimpl
    def pwm_cards():
        return [Card(name, {target!r}, {role!r}, "a method") for name in {names!r}]
"""
HOOK = "from pwm_core import Card, hookimpl\n@hookimpl\ndef pwm_cards():\n    "


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs fake distributions into a site directory that is the only one on the path."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delenv("PWM_PLUGINS", raising=False)
    before = set(sys.modules)

    def write(
        package: str, code: str, requires: str = "pwm-core>=0.1,<0.2", group: str = "pwm", metadata: str = ""
    ):
        module = next(_modules)
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        info = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        text = (
            metadata or f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Dist: {requires}\n"
        )
        (info / "METADATA").write_text(text)
        (info / "entry_points.txt").write_text(f"[{group}]\nmain = {module}\n")
        importlib.invalidate_caches()
        return module

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("acme_"):
            del sys.modules[name]


def cards(*names: str, role: str = "reconstructor", target: str = "pwm_core.method:Reconstructor") -> str:
    return CARDS.format(names=names, role=role, target=target)


def the_reason(found: Registry, package: str) -> str:
    (broken,) = [b for b in found.broken if b.package == package]
    assert str(broken).startswith(f"{package} ")
    return broken.reason


def test_an_installed_plugin_is_found_and_loaded_only_when_asked_for(install: Install) -> None:
    target = install("acme-target", "raise RuntimeError('imported too early')", group="other")
    install("acme-lazy", cards("lazy", target=f"{target}:Thing"))
    found = Registry.discover()
    entry = found.find("lazy")
    assert (entry.package, entry.version, entry.qualname) == ("acme-lazy", "1.0", "acme-lazy/lazy")
    assert not found.broken
    with pytest.raises(
        PluginError, match=r"acme-lazy/lazy cannot be imported.*RuntimeError: imported too early"
    ):
        entry.load()


BROKEN = {
    "missing import": (
        "import module_that_is_not_there",
        "ModuleNotFoundError: No module named 'module_that_is",
    ),
    "syntax error": ("def (:", "SyntaxError"),
    "exit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "exit in the hook": (
        HOOK + "raise SystemExit('bye')",
        "SystemExit: bye",
    ),
    "error in the hook": (
        HOOK + "return 1 / 0",
        "ZeroDivisionError",
    ),
    "error of an unusual base": (
        HOOK + "class Odd(BaseException): pass\n    raise Odd('x')",
        "Odd: x",
    ),
    "a number": (HOOK + "return 7", "TypeError"),
    "a dict": (
        HOOK + "return {'name': 'x'}",
        "must return Card objects, got 'name'",
    ),
    "nothing": (
        HOOK + "return None",
        "hands over nothing",
    ),
    "no marker": ("def pwm_cards():\n    return []", "marked @hookimpl"),
    "misspelt hook": (
        "from pwm_core import hookimpl\n@hookimpl\ndef pwm_crads():\n    return []",
        "pwm_crads",
    ),
    "hook with an argument that there is not": (
        "from pwm_core import hookimpl\n@hookimpl\ndef pwm_cards(registry):\n    return []",
        "registry",
    ),
    "unknown role": (cards("odd", role="solver"), "role 'solver'; it must be one of reconstructor"),
    "capital letters": (cards("Odd"), "'Odd' must be lower-case"),
    "bad target": (cards("odd", target="nowhere"), "'package.module:Name'"),
    "twice the same": (cards("odd", "odd"), "two cards called 'odd' of role reconstructor"),
    "a summary of no text": (
        HOOK + "return [Card('odd', 'a:B', 'reader', None)]",
        "summary must be text",
    ),
    "traits of one word": (
        HOOK + "return [Card('odd', 'a:B', 'reader', 'a reader', traits='linear')]",
        "traits must be a set of words",
    ),
    "suffixes of one word": (
        HOOK + "return [Card('odd', 'a:B', 'reader', 'a reader', suffixes='.h5')]",
        "suffixes must be a tuple",
    ),
}


@pytest.mark.parametrize(("code", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_named_with_its_reason_and_disturbs_no_other(
    install: Install, code: str, reason: str
) -> None:
    install("acme-before", cards("before"))
    install("acme-broken", code)
    install("acme-zlast", cards("zlast"))
    found = Registry.discover()
    assert [e.card.name for e in found.entries] == ["before", "zlast"]
    assert reason in the_reason(found, "acme-broken")
    assert "\n" not in str(found.broken[0])
    with pytest.raises(UnknownName, match=r"1 plugin\(s\) could not be used; see `pwm plugins`"):
        found.find("something-else")


def test_keyboard_interrupt_while_plugins_load_ends_the_program(install: Install) -> None:
    install("acme-slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Registry.discover()


def test_damaged_metadata_do_not_disturb_the_others(install: Install) -> None:
    install("acme-damaged", cards("damaged"), metadata="Metadata-Version: 2.1\n")
    install("acme-garbled", cards("garbled"), requires="pwm-core >>> what")
    install("acme-good", cards("good"))
    found = Registry.discover()
    assert "good" in [e.card.name for e in found.entries]
    assert "InvalidRequirement" in the_reason(found, "acme-garbled")


@pytest.mark.parametrize("requires", ["pwm-core>=9", "pwm_core>=9", "PWM.Core[torch] >=9,<10"])
def test_a_plugin_for_another_version_of_the_core_is_not_imported(install: Install, requires: str) -> None:
    module = install("acme-future", "raise AssertionError('imported')", requires=requires)
    reason = the_reason(Registry.discover(), "acme-future")
    assert reason.startswith("it needs pwm-core")
    assert ">=9" in reason
    assert module not in sys.modules


def test_a_requirement_on_something_else_or_of_an_extra_is_no_requirement_on_the_core(
    install: Install,
) -> None:
    install("acme-extra", cards("extra"), requires='pwm-core>=9; extra == "next"')
    install("acme-other", cards("other"), requires="pwm-core-tools>=9")
    assert [e.card.name for e in Registry.discover().entries] == ["extra", "other"]


def test_a_plugin_for_a_later_interface_is_listed_as_such_and_not_imported(install: Install) -> None:
    module = install("acme-next", "raise AssertionError('imported')", group="pwm2")
    assert "plugin interface 'pwm2'" in the_reason(Registry.discover(), "acme-next")
    assert module not in sys.modules


def test_a_repeated_name_must_be_asked_for_with_its_package(install: Install) -> None:
    install("acme-one", cards("gradient", "fine"))
    install("acme-two", cards("gradient"))
    found = Registry.discover()
    assert [e.qualname for e in found.entries] == ["acme-one/fine", "acme-one/gradient", "acme-two/gradient"]
    with pytest.raises(
        UnknownName, match=r"2 packages .* 'gradient'; say acme-one/gradient or acme-two/gradient"
    ):
        found.find("gradient")
    assert found.find("acme-two/gradient").package == "acme-two"
    assert found.find("fine").package == "acme-one"


def test_one_name_may_serve_two_roles(install: Install) -> None:
    install("acme-method", cards("gradient"))
    install("acme-calibrator", cards("gradient", role="calibrator"))
    found = Registry.discover()
    assert found.find("gradient", "calibrator").package == "acme-calibrator"
    assert found.find("gradient", "reconstructor").package == "acme-method"


def test_an_unknown_name_gets_the_closest_match_of_that_role(install: Install) -> None:
    install("acme-names", cards("landweber", "wiener"))
    install("acme-modality", cards("landwebers", role="modality"))
    found = Registry.discover()
    with pytest.raises(UnknownName, match="no reconstructor called 'landwebber'; did you mean 'landweber'"):
        found.find("landwebber", "reconstructor")
    with pytest.raises(UnknownName, match="installed: landweber, wiener"):
        found.find("qqq", "reconstructor")


def test_the_order_depends_on_names_alone(install: Install) -> None:
    for package in ("acme-c", "acme-a", "acme-b"):
        install(package, cards("same", f"of-{package}"))
    install("acme-modality", cards("aaa", role="modality"))
    install("acme-bad-2", "raise ValueError")
    install("acme-bad-1", "raise ValueError")
    found = Registry.discover()
    keys = [(ROLES.index(e.card.role), e.card.name, e.package) for e in found.entries]
    assert keys == sorted(keys)
    assert len(keys) == 7
    assert [b.package for b in found.broken] == ["acme-bad-1", "acme-bad-2"]


def test_pwm_plugins_restricts_before_anything_is_imported(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = install("acme-unwanted", "raise AssertionError('imported')")
    install("acme-wanted", cards("wanted"))
    monkeypatch.setenv("PWM_PLUGINS", "acme-wanted, acme-not-installed")
    found = Registry.discover()
    assert [e.card.name for e in found.entries] == ["wanted"]
    assert not found.broken
    assert left_out not in sys.modules
    monkeypatch.setenv("PWM_PLUGINS", "")
    assert not Registry.discover().entries


def test_suitable_are_those_whose_needs_are_met_by_traits_or_by_the_modality_itself(install: Install) -> None:
    card = "Card({!r}, 'a:B', {!r}, 'x', traits=frozenset({!r}))"
    listed = [
        card.format("fista", "reconstructor", ["linear"]),
        card.format("epie", "reconstructor", ["scan"]),
        card.format("anything", "reconstructor", []),
        card.format("spectral", "reconstructor", ["linear", "spectral"]),
        card.format("scan", "modality", ["linear", "image"]),
    ]
    hook = (
        "from pwm_core import Card, hookimpl\n@hookimpl\ndef pwm_cards():\n    return ["
        + ", ".join(listed)
        + "]"
    )
    install("acme-traits", hook)
    found = Registry.discover()
    fitting = found.suitable(found.find("scan", "modality"), "reconstructor")
    assert [e.card.name for e in fitting] == ["anything", "epie", "fista"]


def test_a_card_that_points_nowhere_says_so_when_loaded(install: Install) -> None:
    install("acme-nowhere", cards("nowhere", target="pwm_core.card:NoSuchThing"))
    with pytest.raises(PluginError, match=r"acme-nowhere/nowhere points at pwm_core\.card:NoSuchThing"):
        Registry.discover().find("nowhere").load()


def test_a_method_with_weights_suits_only_the_modalities_it_was_trained_for(install: Install) -> None:
    code = HOOK + "return [Card('net', 'a:B', 'reconstructor', 'x', modalities={'scope'})]"
    install("acme-net", code)
    found = Registry.discover()
    scope, other = (Entry(Card(n, "a:B", "modality", "x"), "acme", "1") for n in ("scope", "other"))
    assert [e.card.name for e in found.suitable(scope, "reconstructor")] == ["net"]
    assert not list(found.suitable(other, "reconstructor"))


def test_modalities_given_as_text_are_refused(install: Install) -> None:
    install("acme-net", HOOK + "return [Card('net', 'a:B', 'reconstructor', 'x', modalities='scope')]")
    assert "modalities must be a set of names" in the_reason(Registry.discover(), "acme-net")
