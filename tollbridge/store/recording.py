"""The hot statements of the recorded conversation: steps for the run log, sealed replies for a resume, learnt mappings.

Each takes a list and is one statement. Rows of runs are locked by `fenced` before anything is written for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.conversation import Intent, StepDone, StepKind
from tollbridge.domain.flows import Written
from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class Sealed:
    """A reply that is kept for a resume."""

    run_id: str
    key: str
    request_hash: str
    writes: bool
    reply: bytes


@dataclass(frozen=True, slots=True)
class Learnt:
    """A mapping that a run learnt, bound to the tenant; `id` is for the case that it is new."""

    id: str
    org_id: str
    integration_id: str | None
    tenant: str
    system: str
    written: Written
    at: datetime


async def fenced(connection: Connection, fences: Mapping[str, int]) -> dict[str, Mapping[str, Any]]:
    """Lock and read those of the runs that still run under the given fence."""
    # Found by their ids alone: by their state it would be all that wait for their turn.
    rows = await connection.fetch(
        """
        WITH locked AS MATERIALIZED (SELECT * FROM runs WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE)
        SELECT r.id, r.org_id, r.integration_id, r.credential_id, r.tenant, r.system, r.flow, r.entity_type,
               r.entity_id, r.revision, r.account_id, r.attempt, r.worked_seconds, r.limited_since, r.fence,
               r.created_by
        FROM locked r JOIN unnest($1::text[], $2::bigint[]) AS f(id, fence) ON f.id = r.id AND f.fence = r.fence
        WHERE r.state = 'running' ORDER BY r.id
        """,
        list(fences.keys()),
        list(fences.values()),
    )
    return {row["id"]: row for row in rows}


async def add_steps(connection: Connection, steps: Sequence[tuple[str, StepDone | Intent]]) -> None:
    """Write steps of runs into the run log; the end of a step takes the place of its intent."""
    if not steps:
        return
    latest = {(run_id, step.seq): _step_values(run_id, step) for run_id, step in steps}
    columns: list[list[Any]] = [list(column) for column in zip(*latest.values(), strict=True)]
    await connection.execute(
        """
        INSERT INTO run_steps (run_id, seq, key, name, kind, attempt, epoch, started_at, completed_at, status, request,
                               reply, fault)
        SELECT a, b, c, d, e, f, g, h, i, j, k::jsonb, l::jsonb, m::jsonb
        FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::timestamptz[],
            $9::timestamptz[], $10::int[], $11::text[], $12::text[], $13::text[])
            AS s(a, b, c, d, e, f, g, h, i, j, k, l, m)
        ON CONFLICT (run_id, seq) DO UPDATE SET
            key = excluded.key, name = excluded.name, kind = excluded.kind, attempt = excluded.attempt,
            epoch = excluded.epoch, started_at = excluded.started_at, completed_at = excluded.completed_at,
            status = excluded.status, request = coalesce(excluded.request, run_steps.request), reply = excluded.reply,
            fault = excluded.fault
        """,
        *columns,
    )


async def forget_bodies(connection: Connection, before: datetime, limit: int) -> bool:
    """Empty requests and replies in the run log of steps that began before that moment, so many at once; the steps
    stay. Answers whether there may be more."""
    # By place, as the rows are locked: by key the whole table might be read to find them.
    done = await connection.execute(
        """
        UPDATE run_steps SET request = NULL, reply = NULL WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM run_steps WHERE started_at < $1 AND (request IS NOT NULL OR reply IS NOT NULL)
            ORDER BY started_at LIMIT $2 FOR UPDATE SKIP LOCKED))
        """,
        before,
        limit,
    )
    return str(done) == f"UPDATE {limit}"


def _step_values(run_id: str, step: StepDone | Intent) -> tuple[Any, ...]:
    if isinstance(step, Intent):
        intent = (run_id, step.seq, step.step_key, step.name, StepKind.WRITE, step.attempt, step.epoch, step.at)
        return (*intent, None, None, _kept(step.request_shown), None, None)
    # What was written stands there since its intent.
    fault = None if step.fault is None else _kept(json_text.dump(step.fault))
    request = None if step.kind is StepKind.WRITE else _kept(step.request_shown)
    return (
        *(run_id, step.seq, step.key, step.name, step.kind, step.attempt, step.epoch, step.started_at),
        *(step.completed_at, step.status, request, _kept(step.reply_shown), fault),
    )


def _kept(text: str | None) -> str | None:
    # PostgreSQL's text holds no NUL, and its jsonb neither; a vendor's reply may.
    return None if text is None else text.replace("\\u0000", "\\ufffd")


async def keep_replies(connection: Connection, replies: Sequence[Sealed]) -> None:
    """Keep the sealed replies; a later one of the same step takes the place of the earlier."""
    if not replies:
        return
    latest = {(reply.run_id, reply.key): reply for reply in replies}.values()
    await connection.execute(
        """
        INSERT INTO run_records (run_id, key, request_hash, writes, reply)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[], $5::bytea[])
        ON CONFLICT (run_id, key) DO UPDATE SET
            request_hash = excluded.request_hash, writes = excluded.writes, reply = excluded.reply
        """,
        [reply.run_id for reply in latest],
        [reply.key for reply in latest],
        [reply.request_hash for reply in latest],
        [reply.writes for reply in latest],
        [reply.reply for reply in latest],
    )


async def forget_replies(connection: Connection, run_ids: Sequence[str]) -> None:
    """Delete the sealed replies of runs that do not resume."""
    await connection.execute("DELETE FROM run_records WHERE run_id = ANY($1::text[])", run_ids)


async def replies_of(connection: Connection, run_ids: Sequence[str]) -> list[Sealed]:
    """The sealed replies of the runs."""
    rows = await connection.fetch(
        "SELECT run_id, key, request_hash, writes, reply FROM run_records WHERE run_id = ANY($1::text[])", run_ids
    )
    return [Sealed(*row) for row in rows]


async def last_seqs(connection: Connection, run_ids: Sequence[str]) -> dict[str, int]:
    """The number of the last step of each run that has steps."""
    rows = await connection.fetch(
        "SELECT run_id, max(seq) AS seq FROM run_steps WHERE run_id = ANY($1::text[]) GROUP BY run_id", run_ids
    )
    return {row["run_id"]: row["seq"] for row in rows}


async def learn(connection: Connection, mappings: Sequence[Learnt]) -> None:
    """Keep the mappings, bound to their tenant; one that leads elsewhere by now is changed. The audit log says so."""
    if not mappings:
        return
    latest = {
        (each.org_id, each.tenant, each.system, each.written.entity, each.written.entity_id, each.written.table): each
        for each in mappings
    }
    ordered = [latest[key] for key in sorted(latest)]
    await connection.execute(
        """
        WITH kept AS (
            INSERT INTO external_mappings AS m (org_id, id, version, created_at, created_by, updated_at, updated_by,
                body, m3ter_entity, m3ter_id, external_system, external_table, external_id, tenant)
            SELECT a, b, 1, c, d, c, d, jsonb_build_object('m3terEntity', e, 'm3terId', f, 'externalSystem', g,
                       'externalTable', h, 'externalId', i), e, f, g, h, i, j
            FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::text[], $10::text[]) AS n(a, b, c, d, e, f, g, h, i, j)
            ON CONFLICT ON CONSTRAINT external_mappings_target DO UPDATE SET
                external_id = excluded.external_id, version = m.version + 1, updated_at = excluded.updated_at,
                updated_by = excluded.updated_by,
                body = m.body || jsonb_build_object('externalId', excluded.external_id)
            WHERE m.external_id <> excluded.external_id
            RETURNING m.*)
        INSERT INTO audit_log (org_id, id, at, principal, action, entity, entity_id, before, after)
        SELECT k.org_id, gen_random_uuid()::text, k.updated_at, k.updated_by,
               CASE WHEN o.id IS NULL THEN 'CREATE' ELSE 'UPDATE' END, 'ExternalMapping', k.id,
               CASE WHEN o.id IS NULL THEN '{}' ELSE jsonb_build_object('externalId', o.external_id) END,
               CASE WHEN o.id IS NULL THEN k.body || jsonb_build_object('tenant', k.tenant)
                    ELSE jsonb_build_object('externalId', k.external_id) END
        -- The table as it was before this statement.
        FROM kept k LEFT JOIN external_mappings o ON (o.org_id, o.id) = (k.org_id, k.id)
        """,
        [each.org_id for each in ordered],
        [each.id for each in ordered],
        [each.at for each in ordered],
        [f"INTEGRATION_{each.integration_id}" for each in ordered],
        [each.written.entity for each in ordered],
        [each.written.entity_id for each in ordered],
        [each.system for each in ordered],
        [each.written.table for each in ordered],
        [each.written.external_id for each in ordered],
        [each.tenant for each in ordered],
    )
