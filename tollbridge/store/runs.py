"""Runs: made, claimed, put to rest; every statement takes a list. Decides nothing: the domain says what becomes of a
run. Locks are taken in the order of ids, lanes before runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tollbridge.domain.runs import Flow, HoldReason, RunState
from tollbridge.store import lanes, recording
from tollbridge.store.db import Connection
from tollbridge.store.jobs import Job, enqueue
from tollbridge.store.leases import lapsed

SETTLED_CHANNEL = "tollbridge_runs"
"""The channel on which the id of every run that ended or rests is told."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be made, queued or held."""

    id: str
    org_id: str
    created_by: str
    integration_id: str | None
    credential_id: str | None
    system: str
    destination: str
    destination_id: str | None
    entity_type: str
    entity_id: str
    revision: int
    account_id: str | None
    flow: Flow
    hold_reason: HoldReason | None = None
    replay_of: str | None = None
    decision: str | None = None
    """What a person decided before, as JSON."""
    note: str | None = None

    @property
    def lane(self) -> str | None:
        """The lane of the run: one per integration and account; checks have none."""
        return None if self.integration_id is None else lane_of(self.integration_id, self.account_id)


def lane_of(integration_id: str, account_id: str | None) -> str:
    """The id of a lane."""
    return f"{integration_id}/{account_id}"


@dataclass(frozen=True, slots=True)
class Settled:
    """The columns of a run after it was settled; `due_at` is None where it does not go on by itself."""

    id: str
    state: RunState
    attempt: int
    worked_seconds: float
    hold_reason: str | None = None
    fault_kind: str | None = None
    fault_code: str | None = None
    error: str | None = None
    hint: str | None = None
    due_at: datetime | None = None
    limited_since: datetime | None = None
    completed_at: datetime | None = None
    external_id: str | None = None
    url: str | None = None
    total: Decimal | None = None
    currency: str | None = None
    note: str | None = None
    offers: str | None = None
    """As JSON."""


@dataclass(frozen=True, slots=True)
class Resting:
    """A run that is not claimed, and why: it is held, or ends without having run."""

    id: str
    state: RunState
    hold_reason: HoldReason | None
    note: str | None


async def add(connection: Connection, runs: Sequence[NewRun], now: datetime) -> None:
    """Make the runs, give free lanes to the first queued in them, and enqueue what may start.

    The lanes must be locked already.
    """
    if not runs:
        return
    await connection.execute(
        """
        INSERT INTO runs (id, org_id, version, created_at, created_by, updated_at, integration_id, credential_id,
            system, destination, destination_id, entity_type, entity_id, revision, account_id, lane, flow, state,
            hold_reason, attempt, due_at, fence, look_first, replay_of, decision, worked_seconds, note)
        SELECT a, b, 1, $18, c, $18, d, e, f, g, h, i, j, k, l, m, n,
            CASE WHEN o IS NULL THEN 'queued' ELSE 'held' END, o, 1, $18, 0, p IS NOT NULL, p, q::jsonb, 0, r
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
            $17::text[], $19::text[]) AS n(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r)
        """,
        [run.id for run in runs],
        [run.org_id for run in runs],
        [run.created_by for run in runs],
        [run.integration_id for run in runs],
        [run.credential_id for run in runs],
        [run.system for run in runs],
        [run.destination for run in runs],
        [run.destination_id for run in runs],
        [run.entity_type for run in runs],
        [run.entity_id for run in runs],
        [run.revision for run in runs],
        [run.account_id for run in runs],
        [run.lane for run in runs],
        [run.flow for run in runs],
        [run.hold_reason for run in runs],
        [run.replay_of for run in runs],
        [run.decision for run in runs],
        now,
        [run.note for run in runs],
    )
    queued = [run for run in runs if run.hold_reason is None]
    await enqueue(connection, [Job(run.id, 0, now, urgent=True) for run in queued if run.lane is None], now)
    await lanes.fill(connection, {run.lane for run in queued if run.lane is not None}, now)


async def lock_due(connection: Connection, run_ids: Sequence[str], now: datetime) -> list[Mapping[str, Any]]:
    """Lock and read those of the runs that may be claimed: due, or running with an expired lease; no previews
    and no questions."""
    # Found by their ids alone: by their state it would be all that wait for their turn.
    rows = await connection.fetch(
        f"""
        WITH locked AS MATERIALIZED (SELECT * FROM runs WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE)
        SELECT id, org_id, integration_id, credential_id, tenant, system, entity_type, entity_id, revision, account_id,
               lane, flow, state, attempt, fence, worked_seconds, started_at, decision::text AS decision,
               look_first OR EXISTS (SELECT FROM restores WHERE look_until > $2) AS look_first
        FROM locked
        WHERE flow NOT IN ('preview', 'ask')
          AND ((state IN ('queued', 'waiting') AND due_at <= $2) OR (state = 'running'
            AND {lapsed("lease_until", "$2")}))
        ORDER BY id
        """,  # noqa: S608 (constants)
        run_ids,
        now,
    )
    return list(rows)


async def start(
    connection: Connection,
    runs: Sequence[tuple[str, str, str]],
    worker_id: str,
    now: datetime,
    lease_until: datetime,
) -> dict[str, Mapping[str, Any]]:
    """Lease the runs, given as (id, credential, tenant), to the worker under a new fence; answers fence and start."""
    rows = await connection.fetch(
        """
        UPDATE runs r SET state = 'running', fence = r.fence + 1, lease_until = $5, worker_id = $4, credential_id = n.c,
            tenant = nullif(n.t, ''), started_at = coalesce(r.started_at, $6), updated_at = $6, version = r.version + 1,
            hold_reason = NULL, note = NULL
        FROM unnest($1::text[], $2::text[], $3::text[]) AS n(id, c, t) WHERE r.id = n.id
        RETURNING r.id, r.fence, r.started_at
        """,
        [run[0] for run in runs],
        [run[1] for run in runs],
        [run[2] for run in runs],
        worker_id,
        lease_until,
        now,
    )
    return {row["id"]: row for row in rows}


async def put_to_rest(connection: Connection, runs: Sequence[Resting], now: datetime) -> None:
    """Hold or end runs that do not start. Runs and their lanes must be locked already."""
    if not runs:
        return
    await connection.execute(
        """
        UPDATE runs r SET state = n.s, hold_reason = n.h, note = n.t, lease_until = NULL, worker_id = NULL,
            updated_at = $5::timestamptz,
            version = r.version + 1, completed_at = CASE WHEN n.s <> 'held' THEN $5::timestamptz END
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n(id, s, h, t) WHERE r.id = n.id
        """,
        [run.id for run in runs],
        [run.state for run in runs],
        [run.hold_reason for run in runs],
        [run.note for run in runs],
        now,
    )
    await leave(connection, [run.id for run in runs], [run.id for run in runs if run.state.ended], now)


async def settle(connection: Connection, runs: Sequence[Settled], now: datetime) -> None:
    """Write how the runs stand. Runs and their lanes must be locked already."""
    await connection.execute(
        """
        UPDATE runs r SET state = b, attempt = c, worked_seconds = d, hold_reason = e, fault_kind = f, fault_code = g,
            error = h, hint = i, due_at = coalesce(j, r.due_at), limited_since = k, completed_at = l, external_id = m,
            url = n, total = o, currency = p, note = q, offers = t::jsonb, lease_until = NULL, worker_id = NULL,
            updated_at = $19, version = r.version + 1
        FROM unnest($1::text[], $2::text[], $3::int[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::text[],
            $15::numeric[], $16::text[], $17::text[], $18::text[])
            AS s(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, t)
        WHERE r.id = s.a
        """,
        [run.id for run in runs],
        [run.state for run in runs],
        [run.attempt for run in runs],
        [run.worked_seconds for run in runs],
        [run.hold_reason for run in runs],
        [run.fault_kind for run in runs],
        [run.fault_code for run in runs],
        [run.error for run in runs],
        [run.hint for run in runs],
        [run.due_at for run in runs],
        [run.limited_since for run in runs],
        [run.completed_at for run in runs],
        [run.external_id for run in runs],
        [run.url for run in runs],
        [run.total for run in runs],
        [run.currency for run in runs],
        [run.note for run in runs],
        [run.offers for run in runs],
        now,
    )


async def decide(connection: Connection, run_id: str, decision: str, now: datetime) -> None:
    """Queue the held run with what was decided (JSON); it looks anew at what stands there. Its lane must be locked."""
    await connection.execute(
        f"""
        UPDATE runs SET {let_go("$3")}, decision = $2::jsonb, offers = NULL, started_at = NULL
        WHERE id = $1
        """,  # noqa: S608 (constants)
        run_id,
        decision,
        now,
    )
    await connection.execute("DELETE FROM run_records WHERE run_id = $1 AND NOT writes", run_id)


async def leave(connection: Connection, run_ids: Sequence[str], ended: Sequence[str], now: datetime) -> None:
    """What follows where runs rest: the next of their lanes starts, who waits is told, and those that ended forget
    their replies."""
    if not run_ids:
        return
    await lanes.release(connection, run_ids, now)
    if ended:
        await recording.forget_replies(connection, ended)
    await connection.execute("SELECT pg_notify($1, id) FROM unnest($2::text[]) AS n(id)", SETTLED_CHANNEL, run_ids)


async def end_unstarted(
    connection: Connection, run_ids: Sequence[str], state: RunState, note: str, now: datetime
) -> list[str]:
    """End those of the runs that are queued or held, and answer which. Their lanes must be locked already."""
    rows = await connection.fetch(
        "SELECT id FROM runs WHERE id = ANY($1::text[]) AND state IN ('queued', 'held') ORDER BY id FOR UPDATE", run_ids
    )
    ids = [row["id"] for row in rows]
    await put_to_rest(connection, [Resting(id, state, None, note) for id in ids], now)
    return ids


def let_go(now: str) -> str:
    """What an update sets of a held run that goes on; `now` is the parameter with the present moment."""
    return f"""state = 'queued', {held_until(now)}, hold_reason = NULL, fault_kind = NULL, fault_code = NULL,
            error = NULL, hint = NULL, note = NULL, due_at = {now}, updated_at = {now}, version = version + 1"""


def held_until(now: str) -> str:
    """What an update that lets a held run go on notes of the hold, which began when the run was changed last; `now` is
    the parameter with the present moment."""
    return f"""holds = coalesce(holds, '[]') || jsonb_strip_nulls(jsonb_build_object('reason', hold_reason,
            'since', updated_at, 'until', {now}::timestamptz, 'note', coalesce(error, note)))"""


async def release_held(
    connection: Connection, held: Sequence[tuple[str, str]], reasons: Sequence[HoldReason], now: datetime
) -> int:
    """Queue the runs of the (organization, integration)s that are held for one of the reasons; answers how many."""
    if not held:
        return 0
    candidates = await connection.fetch(
        """
        SELECT lane FROM runs WHERE state = 'held' AND hold_reason = ANY($3::text[]) AND flow <> 'notify'
          AND (org_id, integration_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        [org_id for org_id, _ in held],
        [integration_id for _, integration_id in held],
        reasons,
    )
    ids = {row["lane"] for row in candidates}
    await lanes.lock(connection, ids)
    rows = await connection.fetch(
        f"""
        UPDATE runs SET {let_go("$4")}
        WHERE state = 'held' AND hold_reason = ANY($3::text[]) AND lane = ANY($5::text[])
          AND (org_id, integration_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        RETURNING id
        """,  # noqa: S608 (constants)
        [org_id for org_id, _ in held],
        [integration_id for _, integration_id in held],
        reasons,
        now,
        list(ids),
    )
    await lanes.fill(connection, ids, now)
    return len(rows)


async def adopt(connection: Connection, run_ids: Sequence[str], parent_id: str) -> None:
    """Make children of runs that were just made."""
    await connection.execute("UPDATE runs SET parent_id = $2 WHERE id = ANY($1::text[])", run_ids, parent_id)


async def release_one(connection: Connection, run_id: str, now: datetime) -> str | None:
    """Queue a held run; answers where it goes. Its lane must be locked already."""
    destination: str | None = await connection.fetchval(
        f"""
        UPDATE runs SET {let_go("$2")}
        WHERE id = $1 AND state = 'held' RETURNING destination_id
        """,  # noqa: S608 (constants)
        run_id,
        now,
    )
    return destination


async def heartbeat(
    connection: Connection, fences: Sequence[tuple[str, int]], worker_id: str, now: datetime, until: datetime
) -> set[str]:
    """Extend the leases and answer the runs whose lease is still the worker's."""
    await connection.execute("UPDATE workers SET seen_at = $2 WHERE id = $1", worker_id, now)
    rows = await connection.fetch(
        """
        WITH locked AS MATERIALIZED (
            SELECT id, fence, state FROM runs WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE),
        mine AS (
            SELECT r.id FROM locked r JOIN unnest($1::text[], $2::bigint[]) AS f(id, fence)
                ON f.id = r.id AND f.fence = r.fence
            WHERE r.state = 'running')
        UPDATE runs SET lease_until = $3 FROM mine WHERE runs.id = mine.id RETURNING runs.id
        """,
        [run_id for run_id, _ in fences],
        [fence for _, fence in fences],
        until,
    )
    return {row["id"] for row in rows}


async def cut_off_checks(connection: Connection, org_id: str, credential_id: str, note: str, now: datetime) -> None:
    """Cancel the checks of the credential that have not ended; one that runs finds its fence stale."""
    rows = await connection.fetch(
        """
        WITH mine AS (
            SELECT id FROM runs WHERE org_id = $1 AND entity_type = 'Credential' AND entity_id = $2
              AND state IN ('queued', 'held', 'waiting', 'running') ORDER BY id FOR UPDATE)
        UPDATE runs SET fence = fence + 1 FROM mine WHERE runs.id = mine.id RETURNING runs.id
        """,
        org_id,
        credential_id,
    )
    await put_to_rest(connection, [Resting(row["id"], RunState.CANCELLED, None, note) for row in rows], now)


async def unstarted_of(connection: Connection, org_id: str, integration_id: str) -> list[tuple[str, str | None]]:
    """(id, lane) of the runs of the integration that are queued or held."""
    rows = await connection.fetch(
        "SELECT id, lane FROM runs WHERE org_id = $1 AND integration_id = $2 AND state IN ('queued', 'held')",
        org_id,
        integration_id,
    )
    return [(row["id"], row["lane"]) for row in rows]


async def held_of(
    connection: Connection, org_id: str, integration_id: str, reasons: Sequence[HoldReason]
) -> list[tuple[str, str | None]]:
    """(id, lane) of the runs of the integration that are held for one of these reasons."""
    rows = await connection.fetch(
        "SELECT id, lane FROM runs WHERE org_id = $1 AND integration_id = $2 AND state = 'held'"
        " AND hold_reason = ANY($3::text[])",
        org_id,
        integration_id,
        reasons,
    )
    return [(row["id"], row["lane"]) for row in rows]


async def count_held(connection: Connection, org_id: str, reason: HoldReason) -> int:
    """How many runs of the organization are held for that reason."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM runs WHERE org_id = $1 AND state = 'held' AND hold_reason = $2", org_id, reason
    )
    return count


async def state_of(connection: Connection, run_id: str) -> tuple[RunState | None, str | None]:
    """The state of the run and what it says where it failed; None where there is no such run."""
    row = await connection.fetchrow("SELECT state, error FROM runs WHERE id = $1", run_id)
    return (RunState(row["state"]), row["error"]) if row else (None, None)
