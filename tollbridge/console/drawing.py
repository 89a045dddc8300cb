"""Templates into HTML: the environment, its filters, and the static files whose addresses change with their content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from tollbridge.console.status import status
from tollbridge.domain import json_text

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HUES = 8
_ANCHORED = re.compile(r"[^\w -]")
"""What a heading's address leaves out, as on GitHub."""
_JSON = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*"(?=\s*:))|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)'
)


@dataclass(frozen=True, slots=True)
class Static:
    """A file as it is served; `mark` is a hash of its content."""

    content: bytes
    type: str
    mark: str


@cache
def static_files() -> Mapping[str, Static]:
    """All static files by name."""
    found = {}
    for entry in (files(__package__) / "static").iterdir():
        content = entry.read_bytes()
        mark = hashlib.sha256(content).hexdigest()[:16]
        found[entry.name] = Static(content, _TYPES[entry.name.rpartition(".")[2]], mark)
    return found


def draw(template: str, context: Mapping[str, Any]) -> str:
    """The page as HTML."""
    return _environment().get_template(template).render(context)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__ or ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(query=query, status=status, static=_address, hue=hue, monogram=monogram)
    made.filters.update(json=highlighted, markdown=markdown, title_of=title_of, words=words, plain=plain)
    return made


def _address(base: str, name: str) -> str:
    return f"{base}/static/{static_files()[name].mark}/{name}"


def hue(key: str) -> int:
    """Which of the eight colours a system's tile has."""
    return sum(key.encode()) % _HUES


def monogram(title: str) -> str:
    """Two letters for a system."""
    words = re.findall(r"[A-Za-z]+", title)
    capitals = [letter for letter in title if letter.isupper()]
    if len(words) > 1 or len(capitals) < 2:
        return "".join(word[0] for word in words[:2]).upper() if len(words) > 1 else title[:2].upper()
    return "".join(capitals[:2])


def title_of(name: str) -> str:
    """An enum's word in title case: `AWAITING_RETRY` is `Awaiting retry`."""
    return name.replace("_", " ").capitalize()


def words(name: str) -> str:
    """A name in capitals as words: `TaxRate` is `Tax rate`."""
    return title_of(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))


def plain(value: Any) -> str:
    """JSON as text for copying."""
    return json_text.dump(value, indent=2) if not isinstance(value, str) else value


def highlighted(value: Any) -> Markup:
    """JSON with its kinds marked for colours."""
    text = plain(value)
    done, place = [], 0
    for match in _JSON.finditer(text):
        kind = match.lastgroup
        done += [escape(text[place : match.start()]), Markup('<span class="j-{}">{}</span>').format(kind, match[0])]
        place = match.end()
    return Markup("").join([*done, escape(text[place:])])


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def markdown(text: str) -> Markup:
    """A document of ours as HTML, in which headings are found by their words; raw HTML in it stays text."""
    parser = _markdown()
    tokens = parser.parse(text)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _ANCHORED.sub("", following.content.lower()).replace(" ", "-"))
    # The renderer escapes what is no Markdown.
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704


def query(here: str, **changes: str | None) -> str:
    """The page with other query parameters; None takes one out, and the place in a list is always lost."""
    path, _, text = here.partition("?")
    pairs = dict(pair.partition("=")[::2] for pair in text.split("&") if pair)
    pairs.pop("after", None)
    kept: Mapping[str, str] = {name: value for name, value in pairs.items() if name not in changes}
    added = urlencode({name: value for name, value in changes.items() if value is not None})
    joined = "&".join([*(f"{name}={value}" for name, value in kept.items()), *([added] if added else [])])
    return f"{path}?{joined}" if joined else path
