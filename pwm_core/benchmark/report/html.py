"""HTML from Python calls, with every text escaped, and the frame of a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import TypeAlias

VOID = frozenset({"br", "img", "meta"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Content: TypeAlias = "str | int | Sequence[Content] | None"


def tag(name: str, /, *content: Content, **attributes: str | int | bool | None) -> Html:
    """``tag("a", "text", href="x", class_="b")``; None and False leave an attribute or a child out.

    ``data_value`` becomes ``data-value``; text is escaped unless it is :class:`Html`.
    """
    inside = join(*content)
    words = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{words}>" if name in VOID else f"<{name}{words}>{inside}</{name}>")


def join(*content: Content) -> Html:
    """The parts one after the other, lists flattened, text escaped."""
    return Html("".join(_text(part) for part in content))


def page(title: str, *body: Content) -> str:
    """A whole document, with style and script inside it."""
    here = files(__package__)
    style, script = (Html(here.joinpath(f"page.{kind}").read_text("utf-8")) for kind in ("css", "js"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", style),
        tag("noscript", tag("style", ".wall[hidden], tr[hidden] { display: revert }")),
    )
    zoom = tag("dialog", id="zoom", aria_label="picture, enlarged")
    return (
        f"<!doctype html>\n{tag('html', head, tag('body', *body, zoom, tag('script', script)), lang='en')}\n"
    )


def _text(part: Content) -> str:
    if part is None:
        return ""
    if isinstance(part, Html):
        return part
    return escape(str(part)) if isinstance(part, str | int) else join(*part)


def _attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
