"""Reading events, and what types of them there are in an organization."""

from __future__ import annotations

from collections.abc import Mapping

from tollbridge.domain.event_types import EVENT_TYPES, fields_of, type_of
from tollbridge.services.caller import Caller
from tollbridge.services.entities import missing
from tollbridge.store import events, scheduled_events
from tollbridge.store.db import Database, raw
from tollbridge.store.events import Filters, Page, Stored


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
