"""How integrations and webhooks fare: marked where a delivery failed for good, until the next success. Never decides.

The marks are the machinery's: they leave version and audit fields alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from tollbridge.store.claims import Key
from tollbridge.store.db import Connection


async def lock(connection: Connection, run_ids: Sequence[str], faulty: Sequence[str]) -> set[Key]:
    """Lock the integrations whose mark these runs may change, before their credentials, lanes and runs: those of the
    faulty runs, and those that are marked already. Answers which."""
    rows = await connection.fetch(
        """
        SELECT org_id, id FROM integrations
        WHERE (org_id, id) IN (SELECT org_id, integration_id FROM runs WHERE id = ANY($1::text[])) AND (
            failed_at IS NOT NULL
            OR (org_id, id) IN (SELECT org_id, integration_id FROM runs WHERE id = ANY($2::text[])))
        ORDER BY org_id, id FOR NO KEY UPDATE
        """,
        run_ids,
        faulty,
    )
    return {(row["org_id"], row["id"]) for row in rows}


async def mark(connection: Connection, failed: Mapping[Key, bool], now: datetime) -> None:
    """Note for each (organization, integration) whether its latest delivery failed, and the same of its webhook. The
    integrations must be locked already."""
    for outcome in (True, False):
        keys = [key for key, each in failed.items() if each is outcome]
        if keys:
            await connection.execute(
                """
                WITH marked AS (
                    UPDATE integrations SET failed_at = CASE WHEN $3 THEN $4::timestamptz END
                    WHERE (org_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
                      AND (failed_at IS NOT NULL) <> $3
                    RETURNING org_id, destination_id)
                UPDATE webhooks w SET down_since = CASE WHEN $3 THEN $4::timestamptz END FROM marked
                WHERE (w.org_id, w.id) = (marked.org_id, marked.destination_id) AND (w.down_since IS NOT NULL) <> $3
                """,
                [org_id for org_id, _ in keys],
                [id for _, id in keys],
                outcome,
                now,
            )
