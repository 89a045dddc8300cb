"""Raising events: the one way by which any event enters the store, in the transaction of what it tells.

What follows from an event is decided in `services.firing`, called from here alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from tollbridge.domain.events import Changed, Event, entity_changed, fitted
from tollbridge.services import clock, dues, firing
from tollbridge.services.firing import Fired
from tollbridge.store import events as rows
from tollbridge.store.db import Connection, Tx, raw


async def raise_events(connection: Connection, events: Sequence[Event], now: datetime) -> list[Event]:
    """Keep the events and let follow what must; answers those that are new.

    One whose id is known is left as it is, and nothing follows from it again. Bodies are cut to `MAX_BODY`.
    """
    if not events:
        return []
    fitting = [fitted(event) for event in events]
    fired = await firing.match(connection, [event for event, _ in fitting])
    kept = [(_marked(event, rules), body) for (event, body), rules in zip(fitting, fired, strict=True)]
    added = await rows.add(connection, kept, now)
    new = []
    for (event, _), rules in zip(kept, fired, strict=True):
        if (event.org_id, event.id) in added:
            added.discard((event.org_id, event.id))
            new.append((event, rules))
    await firing.fire(connection, new, now)
    return [event for event, _ in new]


def _marked(event: Event, fired: Sequence[Fired]) -> Event:
    """The event with the rules that fired on it; one whose calculation came to nothing did not."""
    rules = [each.rule for each in fired if each.error is None]
    if not rules:
        return event
    return replace(event, rule_ids=[rule.id for rule in rules], rule_codes=[rule.code for rule in rules])


async def raise_changes(tx: Tx, org_id: str, entity: str, changes: Sequence[Changed], now: datetime) -> None:
    """Tell what became of entities that we hold, which are named as in their event types (`account`, `bill` …)."""
    if changes:
        events = [entity_changed(org_id, clock.new_id(), entity, change, now) for change in changes]
        connection = await raw(tx)
        await dues.note(connection, org_id, entity, changes, now)
        await raise_events(connection, events, now)
