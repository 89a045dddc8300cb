"""When scheduled events are due, kept beside what they are about: whoever changes an entity says so here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tollbridge.domain.events import Changed
from tollbridge.domain.schedules import ScheduledEvent
from tollbridge.store import scheduled_events as rows
from tollbridge.store.db import Connection
from tollbridge.store.scheduled_events import Due


async def note(connection: Connection, org_id: str, entity: str, changes: Sequence[Changed], now: datetime) -> None:
    """Keep the moments that these changes move."""
    configured = await rows.of_entity(connection, org_id, entity)
    dues = [
        due_of(each, change.id, moment, now)
        for each in configured
        for change in changes
        if (moment := each.due(change.new)) != each.due(change.old)
    ]
    await rows.put_dues(connection, org_id, dues)


def due_of(configured: ScheduledEvent, entity_id: str, moment: datetime | None, now: datetime) -> Due:
    """What is to be kept of a moment that becomes known now."""
    return Due(configured.id, entity_id, moment if moment and configured.tells(moment, now) else None)
