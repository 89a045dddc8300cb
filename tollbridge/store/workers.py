"""Workers: who is there, and when each gave its last sign of life."""

from __future__ import annotations

from datetime import datetime

from tollbridge.store.db import Connection


async def register(
    connection: Connection, worker_id: str, host: str, pid: int, version: str, now: datetime, forget_before: datetime
) -> None:
    """Add the worker; forget those that have been silent since before that moment."""
    await connection.execute(
        "INSERT INTO workers (id, host, pid, version, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $5)"
        " ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
        worker_id,
        host,
        pid,
        version,
        now,
    )
    await connection.execute("DELETE FROM workers WHERE seen_at < $1", forget_before)


async def remove(connection: Connection, worker_id: str) -> None:
    """Forget the worker and what it leased."""
    await connection.execute("DELETE FROM slot_leases WHERE worker_id = $1", worker_id)
    await connection.execute("DELETE FROM workers WHERE id = $1", worker_id)


async def seen_since(connection: Connection, since: datetime) -> bool:
    """Whether any worker gave a sign of life since."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM workers WHERE seen_at > $1)", since))


async def versions_since(connection: Connection, since: datetime) -> dict[str, int]:
    """How many workers gave a sign of life since, by their version."""
    rows = await connection.fetch(
        "SELECT version, count(*)::int AS workers FROM workers WHERE seen_at > $1 GROUP BY version", since
    )
    return {row["version"]: row["workers"] for row in rows}
