"""Jobs: hints for workers that a run is due, kept by pgqueuer in the schema `queue` of the same database.

They are enqueued inside the transaction that decides them. The run is the truth: a lost job is made again by the
sweep, a needless one finds nothing to claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel

from tollbridge.store.db import Connection
from tollbridge.store.leases import lapsed

ENTRYPOINT = "run"
"""The entry point of jobs whose payload is a run's id."""
URGENT = 10
"""The priority of a job for which a person waits."""
LOG_BATCH = 20_000
"""Rows of pgqueuer's own log that are deleted at once."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is due at that moment.

    `fence` is the run's present one: a run has at most one job per fence, while its next job may be made under the
    job that is running.
    """

    run_id: str
    fence: int
    due_at: datetime
    urgent: bool = False


@cache
def queue_settings() -> DBSettings:
    """The names that migration 0002 gave the queue, whatever the environment says."""
    return DBSettings(
        prefix="",
        db_schema="queue",
        channel=Channel("ch_pgqueuer"),
        function="fn_pgqueuer_changed",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        trigger="tg_pgqueuer_changed",
        schedules_table="pgqueuer_schedules",
    )


@cache
def _enqueue() -> str:
    return QueryQueueBuilder(queue_settings()).build_enqueue_query("skip")


async def enqueue(connection: Connection, jobs: Sequence[Job], now: datetime) -> None:
    """Add the jobs to the transaction; those that are queued already stay as they are."""
    if not jobs:
        return
    await connection.fetch(
        _enqueue(),
        [URGENT if job.urgent else 0 for job in jobs],
        [ENTRYPOINT] * len(jobs),
        [job.run_id.encode() for job in jobs],
        [max(job.due_at - now, timedelta(0)) for job in jobs],
        [f"{job.run_id}:{job.fence}" for job in jobs],
        [None] * len(jobs),
    )


async def due_without_job(connection: Connection, now: datetime, limit: int) -> list[Job]:
    """Runs that are due, may start and have no job; runs whose worker let the lease expire among them.

    A lease that ends later than any can (here and wherever one is judged) was taken by a clock that ran ahead.
    """
    rows = await connection.fetch(
        f"""
        SELECT r.id, r.fence, r.lane IS NULL AS urgent
        FROM runs r LEFT JOIN lanes l ON l.id = r.lane
        WHERE r.flow <> 'notify'
          AND ((r.state IN ('queued', 'waiting') AND r.due_at <= $1) OR (r.state = 'running'
            AND {lapsed("r.lease_until", "$1")}))
          AND (r.lane IS NULL OR l.run_id = r.id)
          AND NOT EXISTS (
            SELECT FROM queue.pgqueuer j
            WHERE j.dedupe_key = r.id || ':' || r.fence AND j.status IN ('queued', 'picked'))
        ORDER BY r.due_at LIMIT $2
        """,  # noqa: S608 (constants)
        now,
        limit,
    )
    return [Job(row["id"], row["fence"], now, row["urgent"]) for row in rows]


async def trim_log(connection: Connection, before: datetime) -> bool:
    """Forget a batch of pgqueuer's own log from before that moment; it writes three rows per job and keeps them.

    Answers whether there may be more.
    """
    # The oldest have the lowest ids; `created` has no index.
    done = await connection.execute(
        """
        DELETE FROM queue.pgqueuer_log WHERE created < $1 AND id IN (
            SELECT id FROM queue.pgqueuer_log ORDER BY id LIMIT $2)
        """,
        before,
        LOG_BATCH,
    )
    return str(done) == f"DELETE {LOG_BATCH}"
