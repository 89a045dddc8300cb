"""The documents that the product brings along, offline: topics of our own, and one about each system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

from tollbridge.console.visit import Anybody
from tollbridge.domain.errors import NotFound
from tollbridge.services import known_errors, systems

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Topic:
    """A document; its title is its first heading."""

    title: str
    text: str


@cache
def topics() -> Mapping[str, Topic]:
    """All topics by the last part of their address, in the order of their titles."""
    entries = (files(__package__) / "documents").iterdir()
    texts = {entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8") for entry in entries}
    texts["error-codes"] = known_errors.page("errors#auto-disabling")
    found = {name: Topic(text.partition("\n")[0].removeprefix("# "), text) for name, text in texts.items()}
    return dict(sorted(found.items(), key=lambda pair: pair[1].title))


@router.get("/docs")
async def index(visit: Anybody) -> Response:
    return visit.page("documents.html", topics=topics(), destinations=systems.destinations())


@router.get("/docs/{name}")
async def document(visit: Anybody, name: str) -> Response:
    """A topic, or what a system is sent and needs."""
    topic = topics().get(name) or next((topic for key, topic in _of_systems() if key == name), None)
    if topic is None:
        raise NotFound("document.unknown", f"There is no document {name}.", "Choose one from Documents.")
    return visit.page("docs.html", title=topic.title, text=topic.text)


def _of_systems() -> Iterator[tuple[str, Topic]]:
    for each in systems.destinations():
        yield each.system.key.lower(), Topic(f"{each.system.title} docs", each.connector.docs)
