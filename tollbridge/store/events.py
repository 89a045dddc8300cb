"""Rows of events: added once by their id, listed newest first by when they came in, forgotten after a while."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tollbridge.domain import json_text
from tollbridge.domain.events import Event
from tollbridge.store.db import Connection

Key = tuple[str, str]
"""Organization and id."""


async def add(connection: Connection, events: Sequence[tuple[Event, str]], now: datetime) -> set[Key]:
    """Add the events, each with its body as JSON, and answer those whose id was not there yet.

    Of two with one id the first counts.
    """
    if not events:
        return set()
    # In one order everywhere, so that two who add the same never wait for each other.
    ordered = sorted(events, key=lambda each: (each[0].org_id, each[0].id))
    rows = await connection.fetch(
        """
        INSERT INTO events (org_id, id, name, type, happened_at, account_id, resource_id, integration_id, run_id, body,
            rule_ids, rule_codes, received_at)
        SELECT a, b, c, d, e, f, g, h, i, j::jsonb,
            CASE WHEN k IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(k::jsonb)) END,
            CASE WHEN l IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(l::jsonb)) END,
            $13
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]) AS n(a, b, c, d, e, f, g, h, i, j, k, l)
        ON CONFLICT (org_id, id) DO NOTHING
        RETURNING org_id, id
        """,
        [event.org_id for event, _ in ordered],
        [event.id for event, _ in ordered],
        [event.name for event, _ in ordered],
        [event.type for event, _ in ordered],
        [event.happened_at for event, _ in ordered],
        [event.account_id for event, _ in ordered],
        [event.resource_id for event, _ in ordered],
        [event.integration_id for event, _ in ordered],
        [event.run_id for event, _ in ordered],
        [body for _, body in ordered],
        [_list(event.rule_ids) for event, _ in ordered],
        [_list(event.rule_codes) for event, _ in ordered],
        now,
    )
    return {(row["org_id"], row["id"]) for row in rows}


def _list(values: Sequence[str]) -> str | None:
    return json_text.dump(list(values)) if values else None
