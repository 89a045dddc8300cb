"""The pages that stand beside every page: what they are called, where they are, and who may see them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tollbridge.domain.access import Permission


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere to go: what it is called, which kind of thing it is, and the letter that follows `g`, if any."""

    words: str
    path: str
    kind: str = "Page"
    key: str = ""


PLACES: Sequence[tuple[Place, Permission]] = tuple(
    (Place(words, path, key=key), Permission(permission))
    for words, path, permission, key in (
        ("Overview", "/", "read", "o"),
        ("Integrations", "/integrations", "read", "i"),
        ("Credentials", "/credentials", "credentials", "c"),
        ("Runs", "/runs", "read", "r"),
        ("Integration events", "/events", "read", "e"),
        ("Alerts", "/alerts", "read", "a"),
        ("Accounts", "/accounts", "read-billing", "k"),
        ("Bills", "/bills", "read-billing", "b"),
        ("External mappings", "/mappings", "read", "m"),
        ("Notification rules", "/rules", "read", "n"),
        ("Outgoing webhooks", "/webhooks", "read", "w"),
        ("Users", "/users", "administer", "u"),
        ("API keys", "/keys", "administer", "y"),
        ("Audit log", "/audit", "administer", "l"),
    )
)
"""What stands in the rail, with what its visitor must be permitted."""


def rail(may: Callable[[str], bool]) -> list[Place]:
    """The pages that a visitor may see who may do these things."""
    return [place for place, permission in PLACES if may(permission)]
