"""Events from outside: each counts once by its id, however often and however many at once they are submitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tollbridge.domain.errors import Conflict, Invalid, Refusal
from tollbridge.domain.event_input import EventInput, read_event
from tollbridge.domain.event_types import Category
from tollbridge.domain.events import Event
from tollbridge.domain.fields import shown
from tollbridge.domain.fingerprints import fingerprint
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.services.groups import Group
from tollbridge.services.raising import raise_events
from tollbridge.services.taken_in import Put, Taken
from tollbridge.store import events, scheduled_events
from tollbridge.store.db import Connection, Database, Tx, raw
from tollbridge.store.events import Stored

Given = tuple[str, EventInput]
"""An organization and an event for it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept now under the event's id; `unchanged` where it was kept before."""

    stored: Stored
    outcome: Literal["created", "unchanged"]


class Submissions:
    """Takes in single events; those that come while others are written are written together, in one commit."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._group: Group[Given, Kept] = Group(self._flush)

    async def submit(self, caller: Caller, value: Any) -> Kept:
        """Keep one event; raises Invalid, and Conflict where its id is that of an event which says something else."""
        return await self._group((caller.org_id, read_event(value)))

    async def _flush(self, given: Sequence[Given]) -> Sequence[Kept | Exception]:
        async with self._db.hot() as connection:
            return await keep(connection, given, clock.now())


class EventImporter:
    """Events as lines of a bulk import."""

    def read(self, value: Any) -> EventInput:
        return read_event(value)

    def alone(self, item: EventInput) -> str:
        return item.id

    async def put_many(self, tx: Tx, caller: Caller, items: Sequence[EventInput], now: datetime) -> list[Taken]:
        kept = await keep(await raw(tx), [(caller.org_id, item) for item in items], now)
        return [each if isinstance(each, Refusal) else Put(each.stored.event.id, each.outcome) for each in kept]


async def keep(connection: Connection, given: Sequence[Given], now: datetime) -> list[Kept | Refusal]:
    """Keep events of any organizations; each stands or falls alone, and of two with one id the first counts."""
    unknown = await _not_configured(connection, given)
    right = [(org_id, item) for org_id, item in given if (org_id, item.type.name) not in unknown]
    fresh = await raise_events(connection, [item.event(org_id, now) for org_id, item in right], now)
    created = {(event.org_id, event.id): event for event in fresh}
    stored: dict[events.Key, Stored] = {}
    if len(created) < len(right):
        stored = await events.known(connection, [(org_id, item.id) for org_id, item in right])
    answers: list[Kept | Refusal] = []
    for org_id, item in given:
        if (org_id, item.type.name) in unknown:
            answers.append(_unknown(item))
        elif (event := created.pop((org_id, item.id), None)) is not None:
            answers.append(Kept(Stored(event, now, None), "created"))
        else:
            answers.append(_kept_before(stored[(org_id, item.id)], item, org_id, now))
    return answers


async def _not_configured(connection: Connection, given: Sequence[Given]) -> set[tuple[str, str]]:
    """The organizations and names of scheduled events that are not configured."""
    named = {(org_id, item.type.name) for org_id, item in given if item.type.category is Category.SCHEDULED}
    return named - await scheduled_events.names(connection, {org_id for org_id, _ in named}) if named else set()


def _unknown(item: EventInput) -> Invalid:
    return Invalid(
        "event.type",
        f"eventName is {shown(item.type.name)}, but there is no such scheduled event.",
        "Configure it first (POST …/scheduledevents/configurations), or correct the name.",
        "eventName",
    )


def _kept_before(stored: Stored, item: EventInput, org_id: str, now: datetime) -> Kept | Conflict:
    if _says(stored.event) == _says(item.event(org_id, now)) and item.happened_at in (None, stored.event.happened_at):
        return Kept(stored, "unchanged")
    return Conflict(
        "event.exists",
        f"There is an event {shown(item.id)} already, and it says something else.",
        "An event is never changed: submit this one under an id of its own.",
        "id",
    )


def _says(event: Event) -> tuple[object, ...]:
    return event.name, event.account_id, event.resource_id, fingerprint(event.body)
