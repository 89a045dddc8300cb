"""What an event must be to be taken in from outside: its type, its sides, its size.

Types of integrations are refused: their events say what our own runs met, and people repair by them. Knows no database:
whether a scheduled event is configured is the service's question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.common_fields import own_id
from tollbridge.domain.errors import Invalid
from tollbridge.domain.event_types import MAX_NAME, Category, EventType, Happening, type_of
from tollbridge.domain.events import MAX_BODY, Event, body_of
from tollbridge.domain.fields import Shape, anything, identifier, instant, map_of, read_instant, required, text

EVENT = Shape(
    {
        "id": required(own_id("fields", "types")),
        "eventName": required(text(least=1, most=MAX_NAME)),
        "eventTime": instant(),
        "accountId": identifier(),
        "resourceId": identifier(),
        "new": map_of(anything()),
        "old": map_of(anything()),
    }
)


@dataclass(frozen=True, slots=True)
class EventInput:
    """An event that is right in itself; `happened_at` is None where the caller did not say when."""

    id: str
    type: EventType
    happened_at: datetime | None
    account_id: str | None
    resource_id: str | None
    body: Mapping[str, Any]

    def event(self, org_id: str, now: datetime) -> Event:
        """The event as it is kept; it happened now where nobody said when."""
        return Event(
            org_id,
            self.id,
            self.type.name,
            self.type.category,
            self.happened_at or now,
            self.body,
            self.account_id,
            self.resource_id,
        )


def read_event(value: Any) -> EventInput:
    """Check an event that came in; raises Invalid that names field, value and the way out."""
    given = EVENT.check(value)
    found = type_of(given["eventName"])
    if found.category is Category.INTEGRATION:
        raise Invalid(
            "event.ours",
            f"{found.name} tells what a run of ours met, and is raised by that run alone.",
            "Submit another type; GET …/events/types lists all.",
            "eventName",
        )
    new, old = given.get("new"), given.get("old")
    _check_sides(found, new, old)
    body = body_of(new, old)
    size = len(json_text.dump(body).encode())
    if size > MAX_BODY:
        raise Invalid(
            "event.too_large",
            f"new and old come to {size} bytes, but an event has at most {MAX_BODY}.",
            "Leave out what no rule and no receiver needs.",
            "new" if new else "old",
        )
    side = new or old or {}
    return EventInput(
        id=given["id"],
        type=found,
        happened_at=read_instant(given.get("eventTime")),
        account_id=given.get("accountId") or _account_of(found, side),
        resource_id=given.get("resourceId") or _id_in(side, "id"),
        body=body,
    )


def _check_sides(found: EventType, new: Any, old: Any) -> None:
    """Of a deletion there is only what stood; of everything else what stands, and of an update maybe what stood."""
    happening = found.name.rpartition(".")[2]
    needed, other = ("old", "new") if happening == Happening.DELETED else ("new", "old")
    sides = {"new": new, "old": old}
    if sides[needed] is None:
        raise Invalid(
            "field.missing", f"{needed} is missing.", f"Give the entity as {needed}; {found.name} is about it.", needed
        )
    if sides[other] is not None and happening != Happening.UPDATED:
        raise Invalid("event.side", f"{found.name} has no {other}, but {other} is given.", f"Leave {other} out.", other)


def _account_of(found: EventType, side: Mapping[str, Any]) -> str | None:
    return _id_in(side, "id" if found.name.startswith("configuration.account.") else "accountId")


def _id_in(side: Mapping[str, Any], name: str) -> str | None:
    value = side.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_NAME else None
