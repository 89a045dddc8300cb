"""Runs that carry notifications to webhooks: made, claimed and brought back; the hot statements.

They have no jobs in the queue: workers claim them straight from here, by webhook, oldest first. Who claims for a
webhook that has a rate holds its row meanwhile, so that the rate holds over all workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.store.db import Connection
from tollbridge.store.leases import lapsed
from tollbridge.store.runs import let_go

DUE_CHANNEL = "tollbridge_notifications"
"""The channel on which the ids of webhooks are told that have something to deliver."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A rule that leads to a webhook, as firing sees it; `hold_reason` says why nothing is sent now, and
    `disabled_reason` why it was disabled."""

    org_id: str
    rule_id: str
    integration_id: str
    webhook_id: str
    credential_id: str
    config: Mapping[str, Any]
    ordered: bool
    hold_reason: HoldReason | None
    disabled_reason: str | None


@dataclass(frozen=True, slots=True)
class NewNotification:
    """A run to be made, with what it sends; one with an `error` has failed already.

    `entity` is what the run is for: a rule (`Notification`) or, for a test, the webhook itself. `lane` is set where
    those of one account go one after the other, in the order of their message ids.
    """

    id: str
    org_id: str
    created_by: str
    integration_id: str | None
    credential_id: str
    webhook_id: str
    entity: tuple[str, str]
    event_id: str | None
    account_id: str | None
    lane: str | None
    message_id: str
    body: str
    hold_reason: HoldReason | None = None
    note: str | None = None
    error: str | None = None
    replay_of: str | None = None

    @property
    def state(self) -> RunState:
        if self.error is not None:
            return RunState.FAILED
        return RunState.QUEUED if self.hold_reason is None else RunState.HELD


@dataclass(frozen=True, slots=True)
class Waiting:
    """A webhook with something due. `tokens` is what was left of its rate at `refilled_at`; `laned` says that some of
    it goes out in the order of each account."""

    id: str
    url: str
    active: bool
    body: Mapping[str, Any]
    tokens: float | None
    refilled_at: datetime | None
    laned: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """A run that was claimed."""

    id: str
    org_id: str
    integration_id: str | None
    credential_id: str
    webhook_id: str
    account_id: str | None
    fence: int
    attempt: int
    worked_seconds: float
    message_id: str
    body: str


async def links(connection: Connection, rules: Sequence[tuple[str, str]]) -> list[Linked]:
    """The integrations of these (organization, rule)s with their webhooks."""
    rows = await connection.fetch(
        """
        SELECT i.org_id, i.entity_id, i.id, w.id AS webhook_id, w.credential_id,
               coalesce(i.body->'configData', '{}')::text AS config,
               coalesce((w.body->>'ordered')::bool, false)
                   OR coalesce(b.state IN ('gathering', 'delivering'), false) AS ordered, i.enabled, w.active,
               i.disabled_reason
        FROM integrations i JOIN webhooks w ON (w.org_id, w.id) = (i.org_id, i.destination_id)
        LEFT JOIN bring_backs b ON (b.org_id, b.webhook_id) = (w.org_id, w.id)
        WHERE i.entity_type = 'Notification' AND i.system = 'WEBHOOK'
          AND (i.org_id, i.entity_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY i.created_at, i.id
        """,
        [org_id for org_id, _ in rules],
        [rule_id for _, rule_id in rules],
    )
    return [
        Linked(
            row["org_id"],
            row["entity_id"],
            row["id"],
            row["webhook_id"],
            row["credential_id"],
            json_text.parse(row["config"]),
            row["ordered"],
            None if row["enabled"] and row["active"] else HoldReason.DISABLED,
            row["disabled_reason"],
        )
        for row in rows
    ]


async def add(connection: Connection, runs: Sequence[NewNotification], now: datetime) -> None:
    """Make the runs with their payloads, and tell the workers which webhooks have something to deliver."""
    if not runs:
        return
    await connection.execute(
        """
        WITH n AS MATERIALIZED (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
                $16::text[], $18::text[], $19::text[])
            AS n(id, org, by, integration, credential, webhook, entity, event, account, lane, message, body, state,
                hold, error, replay, type, note)),
        payloads AS (INSERT INTO run_payloads (run_id, body) SELECT id, body FROM n)
        INSERT INTO runs (id, org_id, version, created_at, created_by, updated_at, integration_id, credential_id,
            system, destination, destination_id, entity_type, entity_id, revision, account_id, lane, flow, state,
            hold_reason, fault_kind, fault_code, error, hint, attempt, due_at, fence, look_first, replay_of,
            worked_seconds, event_id, message_id, completed_at, note)
        SELECT id, org, 1, $17, by, $17, integration, credential, 'WEBHOOK', 'Webhook', webhook, type, entity, 1,
            account, lane, 'notify', state, hold, CASE WHEN error IS NOT NULL THEN 'INVALID' END,
            CASE WHEN error IS NOT NULL THEN 'rule.calculation' END, error,
            CASE WHEN error IS NOT NULL THEN 'Mend the calculation of the rule, then resend the run.' END, 1, $17, 0,
            false, replay, 0, event, message, CASE WHEN error IS NOT NULL THEN $17::timestamptz END, note
        FROM n
        """,
        [run.id for run in runs],
        [run.org_id for run in runs],
        [run.created_by for run in runs],
        [run.integration_id for run in runs],
        [run.credential_id for run in runs],
        [run.webhook_id for run in runs],
        [run.entity[1] for run in runs],
        [run.event_id for run in runs],
        [run.account_id for run in runs],
        [run.lane for run in runs],
        [run.message_id for run in runs],
        [run.body for run in runs],
        [run.state for run in runs],
        [run.hold_reason for run in runs],
        [run.error for run in runs],
        [run.replay_of for run in runs],
        now,
        [run.entity[0] for run in runs],
        [run.note for run in runs],
    )
    await tell(connection, {run.webhook_id for run in runs if run.state is RunState.QUEUED})


async def tell(connection: Connection, webhook_ids: set[str]) -> None:
    """Tell the workers, when this transaction commits, that these webhooks have something to deliver."""
    if webhook_ids:
        await connection.execute(
            "SELECT pg_notify($1, id) FROM unnest($2::text[]) AS n(id)", DUE_CHANNEL, sorted(webhook_ids)
        )


async def waiting(connection: Connection, now: datetime, only: Sequence[str] | None) -> list[Waiting]:
    """The webhooks that have something due, of these ids or of all."""
    rows = await connection.fetch(
        """
        SELECT w.id, w.url, w.active, w.body, w.tokens, w.refilled_at, EXISTS (
                SELECT FROM runs r WHERE r.flow = 'notify' AND r.lane >= w.id || '/' AND r.lane < w.id || '0'
                  AND r.state IN ('queued', 'waiting', 'running')) AS laned
        FROM webhooks w
        WHERE ($2::text[] IS NULL OR w.id = ANY($2)) AND (
            EXISTS (SELECT FROM runs r WHERE r.flow = 'notify' AND r.state = 'queued' AND r.destination_id = w.id
                    AND r.due_at <= $1)
            OR EXISTS (SELECT FROM runs r WHERE r.flow = 'notify' AND r.state = 'waiting' AND r.destination_id = w.id
                       AND r.due_at <= $1))
        ORDER BY w.id
        """,
        now,
        only,
    )
    return [Waiting(*row) for row in rows]


async def lock_rates(connection: Connection, webhook_ids: Sequence[str]) -> dict[str, tuple[float | None, datetime]]:
    """Lock these webhooks and read what is left of their rates; those that another worker holds are missing."""
    rows = await connection.fetch(
        "SELECT id, tokens, refilled_at FROM webhooks WHERE id = ANY($1::text[]) ORDER BY id"
        " FOR NO KEY UPDATE SKIP LOCKED",
        webhook_ids,
    )
    return {row["id"]: (row["tokens"], row["refilled_at"]) for row in rows}


_OLDEST = """
    SELECT c.id, w.id FROM unnest($1::text[], $2::int[]) AS w(id, room)
    CROSS JOIN LATERAL (
        SELECT r.id FROM runs r
        WHERE r.flow = 'notify' AND r.state = '{state}' AND r.destination_id = w.id AND r.due_at <= $3
          AND r.lane IS NULL
        ORDER BY r.due_at, r.id LIMIT w.room FOR UPDATE OF r SKIP LOCKED) c
"""


async def oldest(
    connection: Connection, state: RunState, rooms: Sequence[tuple[str, int]], now: datetime
) -> list[tuple[str, str]]:
    """Lock the oldest due runs without a lane in that state, for each (webhook, how many); answers (run, webhook)."""
    rows = await connection.fetch(
        _OLDEST.format(state=state.value), [id for id, _ in rooms], [room for _, room in rooms], now
    )
    return [(row[0], row[1]) for row in rows]


def lane_of(webhook_id: str, account_id: str | None) -> str:
    """The lane of an account at a webhook."""
    return f"{webhook_id}/{account_id or ''}"


async def heads(connection: Connection, webhook_id: str, room: int, now: datetime) -> list[str]:
    """Lock the first unfinished run of each of the webhook's lanes, where it is due; at most so many."""
    # From lane to lane by the index: what waits behind the first of a lane is never looked at.
    rows = await connection.fetch(
        """
        WITH RECURSIVE heads AS (
            (SELECT lane, id, state, due_at FROM runs
             WHERE flow = 'notify' AND lane >= $1 AND lane < $2 AND state IN ('queued', 'waiting', 'running')
             ORDER BY lane, message_id LIMIT 1)
            UNION ALL
            SELECT n.* FROM heads h CROSS JOIN LATERAL (
                SELECT lane, id, state, due_at FROM runs
                WHERE flow = 'notify' AND lane > h.lane AND lane < $2 AND state IN ('queued', 'waiting', 'running')
                ORDER BY lane, message_id LIMIT 1) n)
        SELECT id FROM runs WHERE state IN ('queued', 'waiting') AND due_at <= $3
          AND id IN (SELECT id FROM heads WHERE state <> 'running' AND due_at <= $3 LIMIT $4)
        ORDER BY id FOR UPDATE SKIP LOCKED
        """,
        f"{webhook_id}/",
        # The character after the slash: the end of all lanes of this webhook.
        f"{webhook_id}0",
        now,
        room,
    )
    return [row["id"] for row in rows]


async def start(
    connection: Connection, run_ids: Sequence[str], worker_id: str, now: datetime, lease_until: datetime
) -> list[Taken]:
    """Lease the locked runs to the worker under a new fence."""
    rows = await connection.fetch(
        """
        UPDATE runs r SET state = 'running', fence = r.fence + 1, lease_until = $4, worker_id = $2,
            tenant = 'WEBHOOK:' || r.destination_id, started_at = coalesce(r.started_at, $3), updated_at = $3,
            version = r.version + 1
        FROM run_payloads p WHERE r.id = ANY($1::text[]) AND p.run_id = r.id
        RETURNING r.id, r.org_id, r.integration_id, r.credential_id, r.destination_id, r.account_id, r.fence, r.attempt,
            r.worked_seconds, r.message_id, p.body
        """,
        run_ids,
        worker_id,
        now,
        lease_until,
    )
    return [Taken(*row) for row in rows]


async def spend(connection: Connection, tokens: Sequence[tuple[str, float]], now: datetime) -> None:
    """Keep how many sends (webhook, tokens) are left of the rates."""
    if tokens:
        await connection.execute(
            "UPDATE webhooks w SET tokens = n.tokens, refilled_at = $3 FROM unnest($1::text[], $2::float8[])"
            " AS n(id, tokens) WHERE w.id = n.id",
            [id for id, _ in tokens],
            [left for _, left in tokens],
            now,
        )


async def take_over(connection: Connection, now: datetime) -> int:
    """Make due again what a worker that is gone had claimed; answers how many. Its attempt is not counted: nobody
    knows whether it was sent, and a receiver knows the message by its id."""
    rows = await connection.fetch(
        f"""
        WITH lapsed AS (
            SELECT id FROM runs WHERE state = 'running' AND flow = 'notify'
            AND {lapsed("lease_until", "$1")}
            ORDER BY id FOR UPDATE SKIP LOCKED)
        UPDATE runs SET state = 'waiting', due_at = $1, lease_until = NULL, worker_id = NULL, updated_at = $1,
            version = version + 1
        FROM lapsed WHERE runs.id = lapsed.id RETURNING runs.destination_id
        """,  # noqa: S608 (constants)
        now,
    )
    await tell(connection, {row["destination_id"] for row in rows})
    return len(rows)


async def release_held(connection: Connection, integrations: Sequence[tuple[str, str]], now: datetime) -> int:
    """Queue the notifications of these (organization, integration)s that are held because nothing could be sent;
    answers how many. What is brought back goes out by that alone."""
    rows = await connection.fetch(
        f"""
        WITH mine AS (
            SELECT id FROM runs
            WHERE flow = 'notify' AND state = 'held' AND hold_reason IN ('disabled', 'disconnected', 'paused')
              AND (org_id, integration_id) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY id FOR UPDATE)
        UPDATE runs SET {let_go("$3")}
        FROM mine WHERE runs.id = mine.id RETURNING runs.destination_id
        """,  # noqa: S608 (constants)
        [org_id for org_id, _ in integrations],
        [integration_id for _, integration_id in integrations],
        now,
    )
    await tell(connection, {row["destination_id"] for row in rows})
    return len(rows)


async def wrongly_held(connection: Connection) -> list[tuple[str, str]]:
    """Integrations that are enabled, with an active webhook, but for which notifications are held."""
    rows = await connection.fetch(
        """
        SELECT i.org_id, i.id FROM integrations i JOIN webhooks w ON (w.org_id, w.id) = (i.org_id, i.destination_id)
        JOIN organizations o ON o.id = i.org_id AND o.paused_at IS NULL
        WHERE i.system = 'WEBHOOK' AND i.enabled AND w.active AND EXISTS (
            SELECT FROM runs r WHERE r.integration_id = i.id AND r.state = 'held' AND r.flow = 'notify'
              AND r.hold_reason IN ('disabled', 'disconnected', 'paused'))
        """
    )
    return [(row["org_id"], row["id"]) for row in rows]


async def forget_payloads(connection: Connection, before: str, limit: int) -> bool:
    """Delete payloads of runs that ended and whose ids lie before this one, so many at once. Answers whether there may
    be more."""
    done = await connection.execute(
        """
        DELETE FROM run_payloads WHERE run_id IN (
            SELECT p.run_id FROM run_payloads p JOIN runs r ON r.id = p.run_id
            WHERE p.run_id < $1 AND r.completed_at IS NOT NULL ORDER BY p.run_id LIMIT $2)
        """,
        before,
        limit,
    )
    return str(done) == f"DELETE {limit}"
