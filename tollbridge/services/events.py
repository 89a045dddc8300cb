"""Reading events and what types of them there are; error events by cause, and marked as actioned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Invalid
from tollbridge.domain.event_types import EVENT_TYPES, Category, fields_of, type_of
from tollbridge.domain.events import Cause, cause_of
from tollbridge.domain.fields import Shape, boolean, instant, read_instant, text
from tollbridge.services import audit, clock
from tollbridge.services.caller import Caller
from tollbridge.services.entities import missing
from tollbridge.store import audit as audit_rows
from tollbridge.store import event_groups, events, scheduled_events
from tollbridge.store.audit import Entry, Wanted
from tollbridge.store.db import Database, Tx, raw
from tollbridge.store.event_groups import MOST_GROUPED as MOST_GROUPED
from tollbridge.store.event_groups import Group
from tollbridge.store.events import Filters, Page, Stored

GROUP = "EventGroup"
"""As what the audit log names error events of one cause."""
NOTES_SHOWN = 20
_NOTE = text(most=2000)
MARK = Shape({"actioned": boolean(), "note": _NOTE})
MARK_GROUP = Shape({"note": _NOTE, "until": instant()})


@dataclass(frozen=True, slots=True)
class LatestOfGroup:
    """A group with the event that came last."""

    group: Group
    latest: Stored


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Some groups of error events, and the token that continues after them, if there are more."""

    data: Sequence[LatestOfGroup]
    next_token: str | None


async def page(
    db: Database, caller: Caller, filters: Filters, size: int, token: str | None, *, ascending: bool = False
) -> Page:
    """One page of events by when they came in, newest first unless asked otherwise."""
    async with db.transaction() as tx:
        return await events.page(tx, caller.org_id, filters, ascending=ascending, size=size, token=token)


async def retrieve(db: Database, caller: Caller, id: str) -> Stored:
    """Raises NotFound."""
    async with db.transaction() as tx:
        found = await events.get(tx, caller.org_id, id)
    if found is None:
        raise missing("event", id)
    return found


async def types(db: Database, caller: Caller) -> list[str]:
    """The names of all types on which rules can be, the organization's scheduled events last."""
    async with db.transaction() as tx:
        scheduled = await scheduled_events.names(await raw(tx), [caller.org_id])
    return [*EVENT_TYPES, *sorted(name for _, name in scheduled)]


def only_if_submitted(name: str) -> bool:
    """Whether events of that type are here only where somebody submits them."""
    return not type_of(name).held


async def fields(db: Database, caller: Caller, name: str | None) -> Mapping[str, Mapping[str, str]]:
    """What rules can read of events of that type, or of each; raises Invalid for a type that is not there."""
    names = [name] if name else await types(db, caller)
    return {each: fields_of(each) for each in names}


async def groups(db: Database, caller: Caller, filters: Filters, size: int, token: str | None) -> GroupPage:
    """Events by cause, the one seen last first; of the latest `MOST_GROUPED` events."""
    async with db.transaction() as tx:
        found = await event_groups.page(tx, caller.org_id, filters, size=size, token=token)
        ids = [each.latest_id for each in found.data]
        latest = await events.page(tx, caller.org_id, Filters(ids=ids), size=size, token=None) if ids else None
    by_id = {each.event.id: each for each in latest.data} if latest else {}
    return GroupPage([LatestOfGroup(each, by_id[each.latest_id]) for each in found.data], found.next_token)


async def mark(db: Database, caller: Caller, id: str, *, actioned: bool, note: str = "") -> Stored:
    """Mark one event as actioned, or as not; the note goes into the audit log."""
    note = _NOTE.check(note, "note")
    now = clock.now()
    async with db.transaction() as tx:
        if await events.get(tx, caller.org_id, id) is None:
            raise missing("event", id)
        if await event_groups.mark(tx, caller.org_id, Filters(ids=[id]), now if actioned else None):
            await _note(tx, caller, "Event", id, actioned, 1, note)
    return await retrieve(db, caller, id)


async def mark_group(db: Database, caller: Caller, cause: Cause, until: datetime, note: str = "") -> int:
    """Mark the events of one cause as actioned that came in until that moment, which is what the reader saw of them."""
    note = _NOTE.check(note, "note")
    filters = Filters(type=Category.INTEGRATION, cause=cause, until=until, actioned=False)
    async with db.transaction() as tx:
        count = await event_groups.mark(tx, caller.org_id, filters, clock.now())
        if count:
            await _note(tx, caller, GROUP, cause.key, True, count, note)
    return count


async def mark_group_of(db: Database, caller: Caller, id: str, body: Any) -> int:
    """Mark what came in until now of the cause of one error event; raises NotFound, and Invalid for another event."""
    given = MARK_GROUP.check(body)
    stored = await retrieve(db, caller, id)
    if stored.event.type != Category.INTEGRATION:
        raise Invalid(
            "event.no_error",
            f"The event {id} is of type {stored.event.type}, and belongs to no group.",
            "Name an error event of an integration; `tollbridge events groups` shows them.",
        )
    until = read_instant(given.get("until", "")) or clock.now()
    return await mark_group(db, caller, cause_of(stored.event), until, given.get("note", ""))


async def history(db: Database, caller: Caller, stored: Stored) -> Sequence[Entry]:
    """Who marked the event, alone or with its group, and what they wrote; the latest first."""
    about = {"Event": stored.event.id, GROUP: cause_of(stored.event).key}
    async with db.transaction() as tx:
        found = [
            entry
            for entity, id in about.items()
            for entry in await audit_rows.page(
                tx, caller.org_id, Wanted(entity, id, start=stored.received_at), size=NOTES_SHOWN
            )
        ]
    return sorted(found, key=lambda entry: entry.at, reverse=True)


async def _note(tx: Tx, caller: Caller, entity: str, id: str, actioned: bool, count: int, note: str) -> None:
    action = Action.MARK_ACTIONED if actioned else Action.MARK_OPEN
    told = {"events": count} | ({"note": note} if note else {})
    await audit.note(tx, caller, action, entity, id, after=told)
