"""Groups of error events that are mended: what of each is stuck, and how far a mending is. Decides nothing.

The runs of a mending are those whose parent it is: replays of what failed, and what was held with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tollbridge.domain import json_text
from tollbridge.domain.events import Cause
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.store import lanes
from tollbridge.store.db import Connection
from tollbridge.store.event_groups import MOST_GROUPED
from tollbridge.store.runs import held_until, let_go

MESSAGES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Mending:
    """How far a mending is. `reached` is the last failed run that was looked at."""

    org_id: str
    id: str
    integration_id: str
    name: str
    code: str
    missing: str
    state: str
    note: str | None
    total: int
    sums: Mapping[str, str]
    reached: str
    started_at: datetime
    started_by: str
    updated_at: datetime

    @property
    def cause(self) -> Cause:
        return Cause(self.integration_id, self.name, self.code, self.missing)


@dataclass(frozen=True, slots=True)
class Sum:
    """So many runs of a cause, and the sum of their bills in a currency; `reason` is why they are held, None where they
    failed. Of what is held for its integration, name, code and missing are empty."""

    cause: Cause
    reason: HoldReason | None
    currency: str | None
    count: int
    total: Decimal | None


@dataclass(frozen=True, slots=True)
class Failing:
    """Runs of a mending that failed again, by the code of their fault, with the words of one of them."""

    code: str
    count: int
    message: str
    run_id: str


_COLUMNS = (
    "org_id, id, integration_id, name, code, missing, state, note, total, sums::text, reached, started_at, started_by,"
    " updated_at"
)
# The events of an organization by cause, the latest; the same as `store.event_groups` groups.
_EVENTS = f"""
    (SELECT run_id, integration_id, name, coalesce(body #>> '{{eventData,newDto,code}}', '') AS code,
            coalesce((body #>> '{{eventData,newDto,missing,system}}') || '/'
                     || (body #>> '{{eventData,newDto,missing,table}}'), '') AS missing,
            body #>> '{{eventData,newDto,missing,entity}}' AS entity,
            body #>> '{{eventData,newDto,missing,id}}' AS entity_id
     FROM events WHERE org_id = $1 AND type = 'IntegrationEvent' ORDER BY received_at DESC, id DESC
     LIMIT {MOST_GROUPED}) e
"""  # noqa: S608
# A run that failed for this cause, and that nothing has taken the place of.
_STUCK = """
    r.org_id = $1 AND r.id = e.run_id AND r.integration_id = e.integration_id AND r.fault_code = e.code
    AND r.state = 'failed' AND r.flow IN ('deliver', 'withdraw')
    AND NOT EXISTS (
        SELECT FROM runs o WHERE o.org_id = r.org_id AND o.entity_type = r.entity_type AND o.entity_id = r.entity_id
          AND o.integration_id = r.integration_id AND o.id > r.id AND o.flow IN ('deliver', 'withdraw')
          AND o.state <> 'cancelled')
    AND NOT EXISTS (
        SELECT FROM ledger l WHERE l.org_id = r.org_id AND l.tenant = r.tenant AND l.entity_type = r.entity_type
          AND l.entity_id = r.entity_id AND l.document = 'invoice' AND l.state = 'done' AND l.version >= r.revision)
"""
_CAUSE = "e.integration_id = $2 AND e.name = $3 AND e.code = $4 AND e.missing = $5"


async def sums(connection: Connection, org_id: str) -> list[Sum]:
    """What is stuck: failed runs by their cause, held ones by integration and reason, those of a mending by its
    cause."""
    failed = await connection.fetch(
        f"""
        SELECT integration_id, name, code, missing, currency, count(*) AS runs, sum(total) AS total
        FROM (SELECT DISTINCT e.integration_id, e.name, e.code, e.missing, r.id, b.currency, b.total
              FROM {_EVENTS} JOIN runs r ON {_STUCK}
              LEFT JOIN bills b ON r.entity_type = 'Bill' AND (b.org_id, b.id) = (r.org_id, r.entity_id)) stuck
        GROUP BY 1, 2, 3, 4, 5
        """,  # noqa: S608
        org_id,
    )
    held = await connection.fetch(
        """
        SELECT r.integration_id, coalesce(m.name, '') AS name, coalesce(m.code, '') AS code,
               coalesce(m.missing, '') AS missing, r.hold_reason, b.currency, count(*) AS runs, sum(b.total) AS total
        FROM runs r LEFT JOIN bills b ON r.entity_type = 'Bill' AND (b.org_id, b.id) = (r.org_id, r.entity_id)
        LEFT JOIN mendings m ON r.hold_reason = 'mending' AND (m.org_id, m.id) = (r.org_id, r.parent_id)
        WHERE r.org_id = $1 AND r.state = 'held' AND r.hold_reason IN ('disabled', 'unauthorized', 'mending')
          AND r.flow IN ('deliver', 'withdraw') AND r.integration_id IN (SELECT id FROM integrations WHERE org_id = $1)
        GROUP BY 1, 2, 3, 4, 5, 6
        """,
        org_id,
    )
    return [Sum(Cause(*list(row)[:4]), None, row["currency"], row["runs"], row["total"]) for row in failed] + [
        Sum(Cause(*list(row)[:4]), HoldReason(row["hold_reason"]), row["currency"], row["runs"], row["total"])
        for row in held
    ]


async def disabled_by(connection: Connection, org_id: str) -> dict[str, frozenset[str]]:
    """The disabled integrations, each with the codes of the errors in succession that it counts."""
    rows = await connection.fetch(
        "SELECT id, errors_in_row::text AS errors FROM integrations WHERE org_id = $1 AND NOT enabled", org_id
    )
    return {row["id"]: frozenset(json_text.parse(row["errors"])) for row in rows}


async def missing(connection: Connection, org_id: str, cause: Cause, limit: int) -> list[tuple[str, str]]:
    """(entity, id) of what lacks a mapping in the stuck runs of the cause."""
    rows = await connection.fetch(
        f"""
        SELECT DISTINCT e.entity, e.entity_id FROM {_EVENTS} JOIN runs r ON {_STUCK}
        WHERE {_CAUSE} AND e.entity_id IS NOT NULL ORDER BY e.entity, e.entity_id LIMIT $6
        """,  # noqa: S608
        org_id,
        cause.integration_id,
        cause.name,
        cause.code,
        cause.missing,
        limit,
    )
    return [(row["entity"], row["entity_id"]) for row in rows]


async def stuck(connection: Connection, mending: Mending, limit: int) -> list[tuple[str, str | None]]:
    """The next failed runs of the group with their lanes, oldest first; those that failed since it began are left
    out."""
    rows = await connection.fetch(
        f"""
        SELECT DISTINCT r.id, r.lane FROM {_EVENTS} JOIN runs r ON {_STUCK}
        WHERE {_CAUSE} AND r.id > $6 AND r.completed_at <= $7 ORDER BY r.id LIMIT $8
        """,  # noqa: S608
        mending.org_id,
        mending.integration_id,
        mending.name,
        mending.code,
        mending.missing,
        mending.reached,
        mending.started_at,
        limit,
    )
    return [(row["id"], row["lane"]) for row in rows]


async def begin(connection: Connection, fresh: Mending) -> None:
    await connection.execute(
        """
        INSERT INTO mendings (org_id, id, integration_id, name, code, missing, state, note, total, sums, reached,
            started_at, started_by, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11, $12, $13, $14)
        """,
        fresh.org_id,
        fresh.id,
        fresh.integration_id,
        fresh.name,
        fresh.code,
        fresh.missing,
        fresh.state,
        fresh.note,
        fresh.total,
        json_text.dump(fresh.sums),
        fresh.reached,
        fresh.started_at,
        fresh.started_by,
        fresh.updated_at,
    )


async def get(connection: Connection, org_id: str, id: str, *, lock: bool = False) -> Mending | None:
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM mendings WHERE org_id = $1 AND id = $2{' FOR UPDATE' if lock else ''}",  # noqa: S608
        org_id,
        id,
    )
    return _read(row) if row else None


async def under_way(connection: Connection, org_id: str, integration_id: str) -> Mending | None:
    """The one of the integration that is under way."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM mendings WHERE org_id = $1 AND integration_id = $2 AND state = 'sending'",  # noqa: S608
        org_id,
        integration_id,
    )
    return _read(row) if row else None


async def next_one(connection: Connection) -> Mending | None:
    """One that is under way, least lately looked after, locked; those that others look after are left out."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM mendings WHERE state = 'sending'"  # noqa: S608
        " ORDER BY updated_at LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    return _read(row) if row else None


def _read(row: object) -> Mending:
    values = list(row)  # type: ignore[call-overload]
    values[9] = json_text.parse(values[9])
    return Mending(*values)


async def note(
    connection: Connection, found: Mending, state: str, text: str | None, reached: str, now: datetime
) -> None:
    """Write how far it is."""
    await connection.execute(
        "UPDATE mendings SET state = $3, note = $4, reached = $5, updated_at = $6 WHERE org_id = $1 AND id = $2",
        found.org_id,
        found.id,
        state,
        text,
        reached,
        now,
    )


async def adopt_held(connection: Connection, found: Mending, reasons: Sequence[HoldReason], now: datetime) -> None:
    """Make the runs of the integration that are held for these reasons, or that an earlier mending of the same cause
    left held, children of the mending; they stay held."""
    await connection.execute(
        f"""
        WITH mine AS (
            SELECT id FROM runs WHERE org_id = $1 AND integration_id = $2 AND state = 'held'
              AND flow IN ('deliver', 'withdraw') AND (hold_reason = ANY($4::text[])
                OR hold_reason = 'mending' AND parent_id IN (SELECT id FROM mendings WHERE org_id = $1
                  AND integration_id = $2 AND (name, code, missing) = ($6, $7, $8))) ORDER BY id FOR UPDATE)
        UPDATE runs r SET parent_id = $3, {held_until("$5")}, hold_reason = 'mending', note = NULL, updated_at = $5,
            version = r.version + 1
        FROM mine WHERE r.id = mine.id
        """,  # noqa: S608 (constants)
        found.org_id,
        found.integration_id,
        found.id,
        reasons,
        now,
        found.name,
        found.code,
        found.missing,
    )


async def release(connection: Connection, found: Mending, limit: int, now: datetime) -> int:
    """Queue the oldest of its children that are held for their turn; answers how many."""
    chosen = await connection.fetch(
        "SELECT id, lane FROM runs WHERE parent_id = $1 AND state = 'held' AND hold_reason = 'mending'"
        " ORDER BY created_at, id LIMIT $2",
        found.id,
        limit,
    )
    mine = {row["lane"] for row in chosen if row["lane"] is not None}
    await lanes.lock(connection, mine)
    rows = await connection.fetch(
        f"""
        WITH mine AS (
            SELECT id FROM runs WHERE id = ANY($1::text[]) AND state = 'held' AND hold_reason = 'mending'
            ORDER BY id FOR UPDATE)
        UPDATE runs r SET {let_go("$2")}
        FROM mine WHERE r.id = mine.id RETURNING r.id
        """,  # noqa: S608 (constants)
        [row["id"] for row in chosen],
        now,
    )
    await lanes.fill(connection, mine, now)
    return len(rows)


async def hold_back(connection: Connection, found: Mending, now: datetime) -> None:
    """Hold its children that are queued and have not started."""
    chosen = await connection.fetch(
        "SELECT id, lane FROM runs WHERE parent_id = $1 AND state = 'queued' ORDER BY id", found.id
    )
    await lanes.lock(connection, {row["lane"] for row in chosen if row["lane"] is not None})
    rows = await connection.fetch(
        """
        WITH mine AS (SELECT id FROM runs WHERE id = ANY($1::text[]) AND state = 'queued' ORDER BY id FOR UPDATE)
        UPDATE runs r SET state = 'held', hold_reason = 'mending', updated_at = $2, version = r.version + 1
        FROM mine WHERE r.id = mine.id RETURNING r.id
        """,
        [row["id"] for row in chosen],
        now,
    )
    await lanes.release(connection, [row["id"] for row in rows], now)


async def children(connection: Connection, id: str) -> dict[tuple[RunState, HoldReason | None], int]:
    """How many children stand in each state, held ones by their reason."""
    rows = await connection.fetch(
        "SELECT state, hold_reason, count(*) AS runs FROM runs WHERE parent_id = $1 GROUP BY 1, 2", id
    )
    return {
        (RunState(row["state"]), HoldReason(row["hold_reason"]) if row["hold_reason"] else None): row["runs"]
        for row in rows
    }


async def failing(connection: Connection, id: str) -> list[Failing]:
    """Why children failed again, the most frequent first."""
    rows = await connection.fetch(
        """
        SELECT coalesce(fault_code, '') AS code, count(*) AS runs, min(error) AS message, min(id) AS run_id
        FROM runs WHERE parent_id = $1 AND state = 'failed' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $2
        """,
        id,
        MESSAGES_SHOWN,
    )
    return [Failing(row["code"], row["runs"], row["message"] or "", row["run_id"]) for row in rows]
