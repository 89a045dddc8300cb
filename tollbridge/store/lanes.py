"""Lanes: the runs of one integration for one account, of which at most one is in flight, in order of arrival.

A lane's row names the run that has it: from the moment its first job is enqueued until it is held or ends, retries
included. A lane without a run has none queued. Whoever changes a lane locks it first, lanes before runs, in the order
of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from tollbridge.store.db import Connection
from tollbridge.store.jobs import Job, enqueue


async def lock(connection: Connection, lanes: Iterable[str]) -> None:
    """Make the lanes where they are missing, and lock them."""
    # One statement, in order, for new lanes and old: the update that never happens locks those that are there.
    await connection.execute(
        "INSERT INTO lanes (id) SELECT unnest($1::text[]) ON CONFLICT (id) DO UPDATE SET id = excluded.id WHERE false",
        sorted(set(lanes)),
    )


async def lock_of(connection: Connection, run_ids: Sequence[str]) -> dict[str, str | None]:
    """Lock the lanes of the runs, and answer which run has each."""
    rows = await connection.fetch(
        """
        SELECT id, run_id FROM lanes
        WHERE id IN (SELECT lane FROM runs WHERE id = ANY($1::text[]) AND lane IS NOT NULL) ORDER BY id FOR UPDATE
        """,
        run_ids,
    )
    return {row["id"]: row["run_id"] for row in rows}


async def release(connection: Connection, run_ids: Sequence[str], now: datetime) -> None:
    """Take their lanes from these runs, and give each to the next that is queued."""
    rows = await connection.fetch(
        "UPDATE lanes SET run_id = NULL WHERE run_id = ANY($1::text[]) AND id IN "
        "(SELECT lane FROM runs WHERE id = ANY($1::text[])) RETURNING id",
        run_ids,
    )
    await fill(connection, [row["id"] for row in rows], now)


async def fill(connection: Connection, lanes: Iterable[str], now: datetime) -> None:
    """Give each of the lanes that is free to the first run queued in it, and enqueue that run's job."""
    rows = await connection.fetch(
        """
        UPDATE lanes SET run_id = head.id
        FROM (
            SELECT free.id AS lane, first.*
            FROM lanes free CROSS JOIN LATERAL (
                SELECT id, fence, due_at FROM runs
                WHERE lane = free.id AND state = 'queued' ORDER BY created_at, id LIMIT 1) first
            WHERE free.id = ANY($1::text[]) AND free.run_id IS NULL
        ) head
        WHERE lanes.id = head.lane
        RETURNING head.id, head.fence, head.due_at
        """,
        list(lanes),
    )
    await enqueue(connection, [Job(row["id"], row["fence"], row["due_at"]) for row in rows], now)
