"""Rows of scheduled events: what is configured."""

from __future__ import annotations

from collections.abc import Collection

from tollbridge.store.db import Connection


async def names(connection: Connection, org_ids: Collection[str]) -> set[tuple[str, str]]:
    """The names of the scheduled events of these organizations, each with its organization."""
    rows = await connection.fetch(
        "SELECT org_id, name FROM scheduled_events WHERE org_id = ANY($1::text[])", list(org_ids)
    )
    return {(row["org_id"], row["name"]) for row in rows}
