from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tollbridge.store import jobs
from tollbridge.store.db import Database

NOW = datetime(2026, 11, 1, tzinfo=UTC)


async def test_only_old_lines_of_the_queues_own_log_are_forgotten(db: Database) -> None:
    async with db.hot() as connection:
        for age in (5, 2, 0):
            await connection.execute(
                "INSERT INTO queue.pgqueuer_log (created, job_id, status, priority, entrypoint)"
                " VALUES ($1, 1, 'successful', 0, 'run')",
                NOW - timedelta(hours=age),
            )
        assert not await jobs.trim_log(connection, NOW - timedelta(hours=1))
        left = await connection.fetch("SELECT created FROM queue.pgqueuer_log")
    assert [row["created"] for row in left] == [NOW]
