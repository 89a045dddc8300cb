"""Finds what a person names by its id or by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbridge.domain.errors import Invalid

if TYPE_CHECKING:
    from tollbridge.cli.client import Client


def id_of(client: Client, collection: str, noun: str, text: str, option: str) -> str:
    """The id of the one in this list with this id, name or code; raises Invalid unless it is exactly one."""
    known = list(client.pages(*collection.split("/")))
    found = [each["id"] for each in known if text in (each["id"], each.get("name"), each.get("code"))]
    if len(found) != 1:
        names = ", ".join(str(each.get("name")) for each in known[:8])
        raise Invalid(
            f"{noun}.which",
            f"{len(found) or 'No'} {noun}s are called {text!r}.",
            f"Give the id of one; there are: {names}." if known else f"There are no {noun}s yet.",
            option,
        )
    return str(found[0])
