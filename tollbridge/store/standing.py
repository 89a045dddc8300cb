"""How integrations and webhooks fare: marked where a delivery failed for good, until the next success; errors in
succession; disabled after too many. Never decides.

Marks and counts are the machinery's: they leave version and audit fields alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain import json_text
from tollbridge.store.claims import Key
from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class Faring:
    """An integration whose mark or count may change; `errors` are those in succession, how many by code, and
    `probe_run_id` names the run that is tried while it is disabled."""

    name: str
    system: str
    enabled: bool
    config: Mapping[str, Any]
    errors: Mapping[str, int]
    probe_run_id: str | None


async def lock(connection: Connection, run_ids: Sequence[str], faulty: Sequence[str]) -> dict[Key, Faring]:
    """Lock the integrations whose mark or count these runs may change, before their credentials, lanes and runs: those
    of the faulty runs, and those that are marked or count already. Answers which."""
    rows = await connection.fetch(
        """
        SELECT org_id, id, name, system, enabled, coalesce(body->'configData', '{}') AS config, errors_in_row,
               probe_run_id
        FROM integrations
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


@dataclass(frozen=True, slots=True)
class Disabling:
    """Why an integration is disabled, and after how long it is probed first; None: never."""

    reason: str
    probe_after: timedelta | None


async def disable(connection: Connection, wanted: Mapping[Key, Disabling], by: str, now: datetime) -> set[Key]:
    """Disable those of the (organization, integration)s that are enabled; answers which."""
    if not wanted:
        return set()
    rows = await connection.fetch(
        """
        UPDATE integrations i SET enabled = false, disabled_reason = n.reason, updated_at = $4, updated_by = $5,
            version = i.version + 1, probe_run_id = NULL, probe_seconds = n.seconds,
            probe_at = $4::timestamptz + n.seconds * interval '1 second'
        FROM unnest($1::text[], $2::text[], $3::text[], $6::float8[]) AS n(org_id, id, reason, seconds)
        WHERE (i.org_id, i.id) = (n.org_id, n.id) AND i.enabled RETURNING i.org_id, i.id
        """,
        [org_id for org_id, _ in wanted],
        [id for _, id in wanted],
        [each.reason for each in wanted.values()],
        now,
        by,
        [each.probe_after.total_seconds() if each.probe_after else None for each in wanted.values()],
    )
    return {(row["org_id"], row["id"]) for row in rows}


async def enable(connection: Connection, keys: Sequence[Key], by: str, now: datetime) -> None:
    """Enable the (organization, integration)s again, without errors. They must be locked already."""
    if keys:
        await connection.execute(
            """
            UPDATE integrations SET enabled = true, disabled_reason = NULL, errors_in_row = '{}', probe_at = NULL,
                probe_seconds = NULL, probe_run_id = NULL, updated_at = $3, updated_by = $4, version = version + 1
            WHERE (org_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
            """,
            [org_id for org_id, _ in keys],
            [id for _, id in keys],
            now,
            by,
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """A held run of a disabled integration that is to be tried; `lane` is that of a bill's account."""

    org_id: str
    integration_id: str
    run_id: str
    lane: str | None
    notification: bool


async def next_probe(connection: Connection, now: datetime) -> Probe | None:
    """The oldest held run of an integration whose time to be probed has come and of which none is tried now; the
    integration is locked, and those that others look after are left out."""
    row = await connection.fetchrow(
        """
        SELECT i.org_id, i.id, r.id AS run_id, r.lane, r.flow = 'notify' AS notification
        FROM integrations i CROSS JOIN LATERAL (
            SELECT id, lane, flow FROM runs
            WHERE integration_id = i.id AND org_id = i.org_id AND state = 'held' AND hold_reason = 'disabled'
            ORDER BY created_at, id LIMIT 1) r
        WHERE NOT i.enabled AND i.probe_at <= $1 AND NOT EXISTS (
            SELECT FROM runs p WHERE p.id = i.probe_run_id AND p.state IN ('queued', 'running', 'waiting'))
        ORDER BY i.probe_at LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED
        """,
        now,
    )
    return Probe(*row) if row else None


async def note_probe(connection: Connection, probe: Probe, longest: timedelta, now: datetime) -> None:
    """Write that this run is tried, and when the next may be: after twice the wait."""
    await connection.execute(
        """
        UPDATE integrations SET probe_run_id = $3, probe_seconds = least(probe_seconds * 2, $4),
            probe_at = $5::timestamptz + least(probe_seconds * 2, $4) * interval '1 second'
        WHERE org_id = $1 AND id = $2
        """,
        probe.org_id,
        probe.integration_id,
        probe.run_id,
        longest.total_seconds(),
        now,
    )
