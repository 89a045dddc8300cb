"""Previews: what each was given, which it reads instead of what is stored, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain import json_text
from tollbridge.store.db import Connection
from tollbridge.store.leases import lapsed


@dataclass(frozen=True, slots=True)
class Given:
    """A due preview with what it was given: configuration, mappings, account, what a person decided (as JSON), and the
    bill as it was taken in."""

    run: Mapping[str, Any]
    config: Mapping[str, Any]
    mappings: Sequence[Mapping[str, str]]
    account: Mapping[str, Any]
    decision: str | None
    body: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]


async def lock_due(connection: Connection, run_ids: Sequence[str], now: datetime) -> list[Given]:
    """Lock and read those of the runs that are previews and may be claimed."""
    rows = await connection.fetch(
        f"""
        SELECT r.*, r.decision::text AS decided, s.config, s.mappings, s.account, b.body, b.lines
        FROM runs r JOIN run_snapshots s ON s.run_id = r.id
        JOIN bill_revisions b ON (b.org_id, b.bill_id, b.revision) = (r.org_id, r.entity_id, r.revision)
        WHERE r.id = ANY($1::text[]) AND r.flow = 'preview'
          AND ((r.state = 'queued' AND r.due_at <= $2) OR (r.state = 'running'
            AND {lapsed("r.lease_until", "$2")}))
        ORDER BY r.id FOR UPDATE OF r
        """,  # noqa: S608 (constants)
        run_ids,
        now,
    )
    names = ("config", "mappings", "account", "decided", "body", "lines")
    return [Given(row, *(row[name] for name in names)) for row in rows]


async def keep(connection: Connection, found: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Keep what previews found."""
    if found:
        await connection.execute(
            "INSERT INTO run_previews (run_id, result)"
            " SELECT a, b::jsonb FROM unnest($1::text[], $2::text[]) AS p(a, b)",
            [run_id for run_id, _ in found],
            [json_text.dump(result) for _, result in found],
        )


async def result_of(connection: Connection, run_id: str) -> dict[str, Any] | None:
    """What the preview found, or None."""
    found: dict[str, Any] | None = await connection.fetchval(
        "SELECT result FROM run_previews WHERE run_id = $1", run_id
    )
    return found


async def forget(connection: Connection, before: datetime, limit: int) -> bool:
    """Delete what previews found that were asked for before that moment, so many at once; answers whether there may be
    more."""
    done = await connection.execute(
        """
        DELETE FROM run_previews WHERE run_id IN (
            SELECT p.run_id FROM run_previews p JOIN runs r ON r.id = p.run_id WHERE r.created_at < $1 LIMIT $2)
        """,
        before,
        limit,
    )
    return str(done) == f"DELETE {limit}"
