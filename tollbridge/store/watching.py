"""What a look for trouble reads, whatever the organization; only what is under way, or recent, by indexes that it has.

Decides nothing: thresholds come in as moments, the answers become alerts in `services.watching`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain.rhythm import Day
from tollbridge.store.alerts import Key
from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class Stuck:
    """Runs of an organization that may start and have not, none of its runs having moved meanwhile."""

    org_id: str
    runs: int
    since: datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Bills that an integration has been to send for too long; the oldest with its run."""

    org_id: str
    integration_id: str
    name: str
    bills: int
    oldest: str
    since: datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class Addressees:
    """Whom an integration tells, and what it is called."""

    name: str
    emails: Sequence[str]


async def organizations(connection: Connection) -> dict[str, str]:
    """The names of all organizations, by id."""
    return {row["id"]: row["name"] for row in await connection.fetch("SELECT id, name FROM organizations ORDER BY id")}


async def stuck_queues(connection: Connection, before: datetime) -> list[Stuck]:
    """Organizations with runs due since before that moment of which none was claimed or came to an end since.

    A run that waits behind another of its lane is not due, whatever its row says; neither are notifications to a
    webhook that is down.
    """
    rows = await connection.fetch(
        """
        WITH due AS (
            SELECT r.org_id, count(*)::int AS runs, min(r.due_at) AS since,
                   (array_agg(r.id ORDER BY r.due_at, r.id))[1] AS run_id
            FROM runs r LEFT JOIN lanes l ON l.id = r.lane
            WHERE r.state IN ('queued', 'waiting') AND r.due_at <= $1 AND r.flow <> 'notify'
              AND (r.lane IS NULL OR l.run_id = r.id)
            GROUP BY r.org_id)
        SELECT org_id, runs, since, run_id FROM due d
        WHERE NOT EXISTS (SELECT FROM runs WHERE state = 'running' AND org_id = d.org_id AND updated_at > $1)
          AND NOT EXISTS (
              SELECT FROM integrations i CROSS JOIN LATERAL (
                  SELECT completed_at FROM runs WHERE integration_id = i.id AND completed_at IS NOT NULL
                  ORDER BY completed_at DESC LIMIT 1) r
              WHERE i.org_id = d.org_id AND r.completed_at > $1)
        ORDER BY org_id
        """,
        before,
    )
    return [Stuck(*row) for row in rows]


async def undelivered_bills(connection: Connection, before: datetime) -> list[Undelivered]:
    """Integrations with bills whose runs were made before that moment and have not ended.

    A bill in scope has a run since it came in; one whose run failed is told of by the alert of its failure.
    """
    rows = await connection.fetch(
        """
        SELECT i.org_id, i.id, i.name, count(DISTINCT r.entity_id)::int AS bills,
               (array_agg(r.entity_id ORDER BY r.created_at, r.id))[1] AS oldest, min(r.created_at) AS since,
               (array_agg(r.id ORDER BY r.created_at, r.id))[1] AS run_id
        FROM runs r JOIN integrations i ON (i.org_id, i.id) = (r.org_id, r.integration_id)
        WHERE r.state IN ('queued', 'waiting', 'running', 'held') AND r.lane IS NOT NULL
          AND r.flow = 'deliver' AND r.entity_type = 'Bill' AND r.created_at <= $1
        GROUP BY i.org_id, i.id, i.name ORDER BY i.org_id, i.id
        """,
        before,
    )
    return [Undelivered(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Expiring:
    """A credential that is known to expire."""

    org_id: str
    id: str
    name: str
    expires_at: datetime


async def expiring(connection: Connection, before: datetime) -> list[Expiring]:
    """Credentials that are known to expire before that moment, or have."""
    rows = await connection.fetch(
        "SELECT org_id, id, name, expires_at FROM credentials WHERE expires_at <= $1 ORDER BY org_id, id", before
    )
    return [Expiring(*row) for row in rows]


async def arrivals(connection: Connection, org_id: str, history: timedelta) -> list[Day]:
    """The days on which bills came in, oldest first, looking back so far from the last of them."""
    rows = await connection.fetch(
        """
        SELECT min(created_at) AS first, max(created_at) AS last FROM bills
        WHERE org_id = $1 AND created_at >= (SELECT max(created_at) FROM bills WHERE org_id = $1) - $2::interval
        GROUP BY date_trunc('day', created_at AT TIME ZONE 'UTC') ORDER BY 1
        """,
        org_id,
        history,
    )
    return [Day(row["first"], row["last"]) for row in rows]


async def replication_lag(connection: Connection) -> timedelta | None:
    """How far the slowest replica is behind; None where there is none, or where this user may not know."""
    lag: timedelta | None = await connection.fetchval(
        "SELECT max(replay_lag) FROM pg_stat_replication WHERE state = 'streaming'"
    )
    return lag


# A failed run is behind its alert until a later one of the same entity and integration came to an end. That of a bill
# which is gone has nothing left to deliver.
_LEFT = """
    f.state = 'failed' AND f.fault_code IS NOT DISTINCT FROM a.code
    AND NOT EXISTS (
        SELECT FROM runs n WHERE n.org_id = f.org_id AND n.entity_type = f.entity_type AND n.entity_id = f.entity_id
          AND n.integration_id = f.integration_id AND (n.created_at, n.id) > (f.created_at, f.id)
          AND n.state IN ('delivered', 'skipped', 'superseded', 'cancelled', 'failed') AND n.flow <> 'preview')
    AND (f.entity_type <> 'Bill' OR f.flow <> 'deliver'
         OR EXISTS (SELECT FROM bills WHERE org_id = f.org_id AND id = f.entity_id))
"""


async def mended_failures(connection: Connection) -> list[Key]:
    """Alerts of failed runs behind which none is left; the others are made to name one that is.

    The run that the alert names is looked at first: the others only where that one was made good.
    """
    rows = await connection.fetch(
        f"""
        WITH doubtful AS MATERIALIZED (
            SELECT * FROM alerts a WHERE a.type = 'RUN_FAILED' AND a.state <> 'CLOSED'
              AND NOT EXISTS (SELECT FROM runs f WHERE f.id = a.run_id AND {_LEFT}))
        SELECT a.org_id, a.id, a.cause, (
            SELECT f.id FROM runs f
            WHERE f.integration_id = a.integration_id AND f.completed_at > a.opened_at - interval '1 minute' AND {_LEFT}
            ORDER BY f.completed_at DESC LIMIT 1) AS left
        FROM doubtful a
        """  # noqa: S608
    )
    await connection.executemany(
        "UPDATE alerts SET run_id = $3 WHERE org_id = $1 AND id = $2",
        [(row["org_id"], row["id"], row["left"]) for row in rows if row["left"]],
    )
    return [(row["org_id"], row["cause"]) for row in rows if not row["left"]]


async def gone_causes(connection: Connection, calm_since: datetime) -> dict[Key, str]:
    """Open alerts whose integration or credential is not there any more, or is well again, with why they may close. A
    webhook is well when it took the last of its notifications and has left none untaken since `calm_since`."""
    rows = await connection.fetch(
        """
        SELECT a.org_id, a.cause, CASE
            WHEN i.id IS NULL AND a.credential_id IS NULL THEN 'the integration was deleted.'
            WHEN c.id IS NULL AND a.credential_id IS NOT NULL THEN 'the credential was deleted.'
            WHEN a.type = 'INTEGRATION_DISABLED' AND i.enabled THEN 'the integration is enabled.'
            WHEN a.type = 'INTEGRATION_FAILING' AND i.errors_in_row = '{}'
                THEN 'it has no errors in succession any more.'
            WHEN a.type = 'INTEGRATION_FAILED' AND i.failed_at IS NULL AND a.updated_at < $1
                THEN 'it takes notifications again.'
            WHEN a.type = 'CREDENTIAL_INVALID' AND c.status = 'VALID' THEN 'the credential works.' END AS why
        FROM alerts a LEFT JOIN integrations i ON (i.org_id, i.id) = (a.org_id, a.integration_id)
        LEFT JOIN credentials c ON (c.org_id, c.id) = (a.org_id, a.credential_id)
        WHERE a.state <> 'CLOSED' AND (a.integration_id IS NOT NULL OR a.credential_id IS NOT NULL)
        """,
        calm_since,
    )
    return {(row["org_id"], row["cause"]): row["why"] for row in rows if row["why"]}


async def addressees(
    connection: Connection, keys: Iterable[tuple[str, str]], now: datetime
) -> dict[tuple[str, str], Addressees]:
    """Whom these (organization, integration)s tell: the addresses that they name, and users that may still come in."""
    wanted = sorted(set(keys))
    rows = await connection.fetch(
        """
        SELECT org_id, id, name, ARRAY(SELECT jsonb_array_elements_text(
            CASE jsonb_typeof(body #> '{configData,notifyEmails}') WHEN 'array'
            THEN body #> '{configData,notifyEmails}' ELSE '[]' END)) AS emails,
            ARRAY(SELECT mail FROM users u WHERE u.org_id = i.org_id AND i.body #> '{configData,notifyUsers}' ? u.id
                AND (u.end_access IS NULL OR u.end_access > $3) ORDER BY mail) AS users
        FROM integrations i WHERE (org_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        [org_id for org_id, _ in wanted],
        [id for _, id in wanted],
        now,
    )
    return {(row["org_id"], row["id"]): _addressees(row) for row in rows}


def _addressees(row: Any) -> Addressees:
    return Addressees(row["name"], [*row["emails"], *row["users"]])
