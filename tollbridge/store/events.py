"""Events: what happened that somebody may want to know, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain import json_text
from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `name` is the wire's eventName, `type` its eventType."""

    org_id: str
    id: str
    name: str
    type: str
    happened_at: datetime
    account_id: str | None
    resource_id: str | None
    integration_id: str | None
    run_id: str | None
    body: Mapping[str, Any]


async def add(connection: Connection, events: Sequence[Event]) -> None:
    """Add the events."""
    if not events:
        return
    await connection.execute(
        """
        INSERT INTO events (org_id, id, name, type, happened_at, account_id, resource_id, integration_id, run_id, body)
        SELECT a, b, c, d, e, f, g, h, i, j::jsonb
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[]) AS n(a, b, c, d, e, f, g, h, i, j)
        """,
        [event.org_id for event in events],
        [event.id for event in events],
        [event.name for event in events],
        [event.type for event in events],
        [event.happened_at for event in events],
        [event.account_id for event in events],
        [event.resource_id for event in events],
        [event.integration_id for event in events],
        [event.run_id for event in events],
        [json_text.dump(event.body) for event in events],
    )
