"""How integrations and webhooks fare: marked where a delivery failed for good, until the next success; errors in
succession; disabled after too many. Never decides.

Marks and counts are the machinery's: they leave version and audit fields alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain import json_text
from tollbridge.store.claims import Key
from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class Faring:
    """An integration whose mark or count may change; `errors` are those in succession, how many by code."""

    name: str
    enabled: bool
    config: Mapping[str, Any]
    errors: Mapping[str, int]


async def lock(connection: Connection, run_ids: Sequence[str], faulty: Sequence[str]) -> dict[Key, Faring]:
    """Lock the integrations whose mark or count these runs may change, before their credentials, lanes and runs: those
    of the faulty runs, and those that are marked or count already. Answers which."""
    rows = await connection.fetch(
        """
        SELECT org_id, id, name, enabled, coalesce(body->'configData', '{}') AS config, errors_in_row FROM integrations
        WHERE (org_id, id) IN (SELECT org_id, integration_id FROM runs WHERE id = ANY($1::text[])) AND (
            failed_at IS NOT NULL OR errors_in_row <> '{}'
            OR (org_id, id) IN (SELECT org_id, integration_id FROM runs WHERE id = ANY($2::text[])))
        ORDER BY org_id, id FOR NO KEY UPDATE
        """,
        run_ids,
        faulty,
    )
    return {(row["org_id"], row["id"]): Faring(*list(row)[2:]) for row in rows}


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


async def count(connection: Connection, errors: Mapping[Key, Mapping[str, int]]) -> None:
    """Keep the errors in succession of each (organization, integration). They must be locked already."""
    if errors:
        await connection.execute(
            """
            UPDATE integrations i SET errors_in_row = n.errors::jsonb
            FROM unnest($1::text[], $2::text[], $3::text[]) AS n(org_id, id, errors)
            WHERE (i.org_id, i.id) = (n.org_id, n.id)
            """,
            [org_id for org_id, _ in errors],
            [id for _, id in errors],
            [json_text.dump(each) for each in errors.values()],
        )


async def disable(connection: Connection, reasons: Mapping[Key, str], by: str, now: datetime) -> set[Key]:
    """Disable those of the (organization, integration)s that are enabled; answers which."""
    if not reasons:
        return set()
    rows = await connection.fetch(
        """
        UPDATE integrations i SET enabled = false, disabled_reason = n.reason, updated_at = $4, updated_by = $5,
            version = i.version + 1
        FROM unnest($1::text[], $2::text[], $3::text[]) AS n(org_id, id, reason)
        WHERE (i.org_id, i.id) = (n.org_id, n.id) AND i.enabled RETURNING i.org_id, i.id
        """,
        [org_id for org_id, _ in reasons],
        [id for _, id in reasons],
        list(reasons.values()),
        now,
        by,
    )
    return {(row["org_id"], row["id"]) for row in rows}
