"""Chores that one process does for all: whoever finds one due takes it, and puts it off until its next time."""

from __future__ import annotations

from datetime import datetime, timedelta

from tollbridge.store.db import Connection


async def take(connection: Connection, name: str, now: datetime, period: timedelta) -> bool:
    """Whether the chore is ours this time; then nobody else gets it before the period is over."""
    return bool(
        await connection.fetchval(
            """
            INSERT INTO chores AS c (name, due_at) VALUES ($1, $2::timestamptz + $3)
            ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at WHERE c.due_at <= $2 RETURNING true
            """,
            name,
            now,
            period,
        )
    )
