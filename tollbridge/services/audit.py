"""The audit log as services write what is no change of a row, and as administrators read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tollbridge.domain.audit import NOTHING, Action, Fields
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.store import audit, records
from tollbridge.store.audit import Entry, Wanted
from tollbridge.store.db import Connection, Database, Tx


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some lines, newest first, and the token that continues after them, if there are more."""

    data: Sequence[Entry]
    next_token: str | None


async def note(
    tx: Tx, caller: Caller, action: Action, entity: str, id: str, before: Fields = NOTHING, after: Fields = NOTHING
) -> None:
    """Note what the caller did, in the transaction in which it is done; only what differs is kept."""
    await audit.note(tx, [audit.entry(caller.org_id, clock.now(), caller.principal, action, entity, id, before, after)])


async def note_raw(connection: Connection, caller: Caller, action: Action, entity: str, id: str, after: Fields) -> None:
    """The same on a raw connection."""
    now = clock.now()
    await audit.note_all(
        connection, [audit.entry(caller.org_id, now, caller.principal, action, entity, id, after=after)]
    )


async def page(db: Database, caller: Caller, wanted: Wanted, size: int, token: str | None) -> AuditPage:
    """One page of the organization's log; raises Invalid for a token that is not ours."""
    after = records.read_token(token) if token else None
    async with db.transaction() as tx:
        found = await audit.page(tx, caller.org_id, wanted, size=size + 1, after=after)
    last = found[size - 1] if len(found) > size else None
    return AuditPage(found[:size], records.make_token(last.at, last.id) if last else None)
