"""Rate limits and slots of credentials, shared by all workers.

Whoever leases holds the row of the bucket until it commits.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tollbridge.domain.limits import Bucket, fair_slots
from tollbridge.store.db import Connection
from tollbridge.store.leases import lapsed


async def lock_bucket(connection: Connection, credential_id: str, burst: int, now: datetime) -> Bucket:
    """The credential's bucket, full where it is new, locked."""
    row = await connection.fetchrow(
        """
        INSERT INTO rate_limits AS r (credential_id, tokens, refilled_at) VALUES ($1, $2, $3)
        ON CONFLICT (credential_id) DO UPDATE SET tokens = r.tokens
        RETURNING tokens, refilled_at, blocked_until
        """,
        credential_id,
        float(burst),
        now,
    )
    return Bucket(*row)


async def save_bucket(connection: Connection, credential_id: str, bucket: Bucket) -> None:
    await connection.execute(
        "UPDATE rate_limits SET tokens = $2, refilled_at = $3, blocked_until = $4 WHERE credential_id = $1",
        credential_id,
        bucket.tokens,
        bucket.refilled_at,
        bucket.blocked_until,
    )


async def lease_slots(
    connection: Connection,
    credential_id: str,
    worker_id: str,
    wanted: int,
    concurrency: int,
    now: datetime,
    lease: timedelta,
) -> int:
    """Lease the worker its fair part of the slots; the bucket's row must be locked."""
    if wanted == 0:
        await connection.execute(
            "DELETE FROM slot_leases WHERE credential_id = $1 AND worker_id = $2", credential_id, worker_id
        )
        return 0
    rows = await connection.fetch(
        "SELECT slots FROM slot_leases WHERE credential_id = $1 AND worker_id <> $2 AND NOT "  # noqa: S608 (constants)
        + lapsed("until", "$3"),
        credential_id,
        worker_id,
        now,
    )
    slots = fair_slots(wanted, concurrency, [row["slots"] for row in rows])
    await connection.execute(
        """
        INSERT INTO slot_leases (credential_id, worker_id, slots, until) VALUES ($1, $2, $3, $4)
        ON CONFLICT (credential_id, worker_id) DO UPDATE SET slots = excluded.slots, until = excluded.until
        """,
        credential_id,
        worker_id,
        slots,
        now + lease,
    )
    return slots


async def block(connection: Connection, credential_id: str, until: datetime) -> None:
    """Lease no tokens before that moment; an earlier block that lasts longer stays."""
    await connection.execute(
        """
        INSERT INTO rate_limits AS r (credential_id, tokens, refilled_at, blocked_until) VALUES ($1, 1, $2, $2)
        ON CONFLICT (credential_id) DO UPDATE SET blocked_until = greatest(r.blocked_until, excluded.blocked_until)
        """,
        credential_id,
        until,
    )
