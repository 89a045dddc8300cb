"""Raising events: the one way by which any event enters the store, in the transaction of what it tells.

What follows from an event is decided in `services.firing`, called from here alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tollbridge.domain.events import Changed, Event, entity_changed, fitted
from tollbridge.services import clock, firing
from tollbridge.store import events as rows
from tollbridge.store.db import Connection, Tx, raw


async def raise_events(connection: Connection, events: Sequence[Event], now: datetime) -> list[Event]:
    """Keep the events and let follow what must; answers those that are new.

    One whose id is known is left as it is, and nothing follows from it again. Bodies are cut to `MAX_BODY`.
    """
    if not events:
        return []
    kept = [fitted(event) for event in events]
    added = await rows.add(connection, kept, now)
    new = []
    for event, _ in kept:
        if (event.org_id, event.id) in added:
            added.discard((event.org_id, event.id))
            new.append(event)
    await firing.fire(connection, new, now)
    return new


async def raise_changes(tx: Tx, org_id: str, entity: str, changes: Sequence[Changed], now: datetime) -> None:
    """Tell what became of entities that we hold, which are named as in their event types (`account`, `bill` …)."""
    if changes:
        events = [entity_changed(org_id, clock.new_id(), entity, change, now) for change in changes]
        await raise_events(await raw(tx), events, now)
