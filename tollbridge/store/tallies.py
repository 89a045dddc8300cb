"""How many deliveries ended in each hour. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tollbridge.domain.tallies import Tally
from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class HourOf:
    """What ended in an integration within the hour that begins at `hour`."""

    integration_id: str
    hour: datetime
    tally: Tally


async def hours(connection: Connection, org_id: str, start: datetime, end: datetime) -> Sequence[HourOf]:
    """The hours from `start` on, until before `end`, in which something ended; of notifications none, since these are
    too many to be counted so."""
    rows = await connection.fetch(
        """
        SELECT i.id, ended.* FROM integrations i CROSS JOIN LATERAL (
          SELECT date_bin('1 hour', r.completed_at, TIMESTAMPTZ 'epoch') AS hour,
            count(*) FILTER (WHERE r.state = 'delivered') AS delivered,
            count(*) FILTER (WHERE r.state = 'failed') AS failed
          FROM runs r
          WHERE r.integration_id = i.id AND r.completed_at >= $2 AND r.completed_at < $3
            AND r.state IN ('delivered', 'failed') AND r.flow IN ('deliver', 'withdraw')
          GROUP BY hour
        ) AS ended
        WHERE i.org_id = $1 AND i.system <> 'WEBHOOK'
        """,
        org_id,
        start,
        end,
    )
    return [HourOf(row["id"], row["hour"], Tally(row["delivered"], row["failed"])) for row in rows]
