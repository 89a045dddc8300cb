"""The ledger: what is known of each document in each external tenant, unique whatever runs and integrations there are.

A row belongs to one run at a time: the one that drives its document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.changes import Earlier
from tollbridge.domain.conversation import LedgerRow, LedgerState, LedgerStep, StepState
from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands."""

    org_id: str
    tenant: str
    entity_type: str
    entity_id: str
    document: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A row with what is known of the run that it belongs to."""

    row: LedgerRow
    owner_state: str | None


@dataclass(frozen=True, slots=True)
class Write:
    """What became of writes of one document: `steps` by key as they stand in the row; `external_id` once it is done."""

    place: Place
    version: int
    run_id: str
    integration_id: str | None
    steps: Mapping[str, Mapping[str, Any]]
    external_id: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """A document that was delivered."""

    place: Place
    version: int
    run_id: str
    integration_id: str | None
    external_id: str
    url: str | None
    total: Decimal | None
    currency: str | None
    at: datetime


_PLACES = "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])"


async def open_rows(
    connection: Connection, documents: Sequence[tuple[Place, int]], entities: Sequence[Place], now: datetime
) -> dict[Place, Stored]:
    """Make the rows of the documents (with their versions) where they are missing; lock and read them, and all rows of
    the entities besides, whatever their document."""
    if not documents:
        return {}
    await connection.execute(
        f"""
        INSERT INTO ledger (org_id, tenant, entity_type, entity_id, document, version, state, steps, updated_at)
        SELECT a, b, c, d, e, f, 'none', '{{}}', $7
        FROM {_PLACES[:-1]}, $6::bigint[]) AS p(a, b, c, d, e, f) ORDER BY a, b, c, d, e ON CONFLICT DO NOTHING
        """,  # noqa: S608 (a constant)
        *_columns([place for place, _ in documents]),
        [version for _, version in documents],
        now,
    )
    wanted = [*(place for place, _ in documents), *entities]
    rows = await connection.fetch(
        """
        SELECT l.org_id, l.tenant, l.entity_type, l.entity_id, l.document, l.version, l.state, l.steps::text AS steps,
               l.external_id, l.run_id, l.earlier::text AS earlier, o.state AS owner_state
        FROM ledger l LEFT JOIN runs o ON o.id = l.run_id
        WHERE (l.org_id, l.tenant, l.entity_type, l.entity_id) IN (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]))
        ORDER BY l.org_id, l.tenant, l.entity_type, l.entity_id, l.document
        FOR UPDATE OF l
        """,
        *_columns(wanted)[:4],
    )
    return {
        Place(row["org_id"], row["tenant"], row["entity_type"], row["entity_id"], row["document"]): Stored(
            _row(row), row["owner_state"]
        )
        for row in rows
    }


async def known(connection: Connection, place: Place) -> LedgerRow | None:
    """The row of one document, only read; None where there is none."""
    row = await connection.fetchrow(
        """
        SELECT version, state, steps::text AS steps, external_id, run_id, earlier::text AS earlier FROM ledger
        WHERE (org_id, tenant, entity_type, entity_id, document) = ($1, $2, $3, $4, $5)
        """,
        *_key(place),
    )
    return _row(row) if row else None


async def own(connection: Connection, owners: Sequence[tuple[Place, str]]) -> None:
    """Make each row that of the run."""
    await connection.execute(
        f"""
        UPDATE ledger l SET run_id = p.f FROM {_PLACES[:-1]}, $6::text[]) AS p(a, b, c, d, e, f)
        WHERE (l.org_id, l.tenant, l.entity_type, l.entity_id, l.document) = (p.a, p.b, p.c, p.d, p.e)
        """,  # noqa: S608
        *_columns([place for place, _ in owners]),
        [run_id for _, run_id in owners],
    )


async def note(connection: Connection, writes: Sequence[Write]) -> None:
    """Note sends and what became of them; each place at most once.

    The first send of an epoch is kept. A newer version starts anew and keeps in `earlier` what stood before; an older
    one changes nothing.
    """
    if not writes:
        return
    writes = sorted(writes, key=lambda write: _key(write.place))
    await connection.execute(
        f"""
        INSERT INTO ledger AS l (org_id, tenant, entity_type, entity_id, document, version, run_id, integration_id,
                                 steps, state, external_id, updated_at)
        SELECT a, b, c, d, e, f, g, h, i::jsonb, CASE WHEN j IS NULL THEN 'sent' ELSE 'done' END, j, k
        FROM {_PLACES[:-1]}, $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[])
            AS p(a, b, c, d, e, f, g, h, i, j, k)
        ON CONFLICT (org_id, tenant, entity_type, entity_id, document) DO UPDATE SET
            version = excluded.version, run_id = excluded.run_id, integration_id = excluded.integration_id,
            updated_at = excluded.updated_at,
            earlier = CASE
                WHEN l.version = excluded.version THEN l.earlier
                WHEN l.state = 'done' OR (l.earlier IS NULL AND l.steps <> '{{}}') THEN jsonb_build_object(
                    'version', l.version, 'external_id', l.external_id)
                ELSE l.earlier END,
            state = CASE WHEN l.version = excluded.version AND l.state = 'done' THEN 'done' ELSE excluded.state END,
            external_id = CASE WHEN l.version = excluded.version THEN coalesce(excluded.external_id, l.external_id)
                               ELSE excluded.external_id END,
            steps = CASE WHEN l.version <> excluded.version THEN excluded.steps ELSE l.steps || (
                SELECT coalesce(jsonb_object_agg(key, CASE
                    WHEN l.steps->key->'epoch' = value->'epoch' THEN
                        (l.steps->key) || value || jsonb_strip_nulls(
                            jsonb_build_object('first_sent_at', l.steps->key->'first_sent_at'))
                    ELSE value END), '{{}}')
                FROM jsonb_each(excluded.steps)) END
        WHERE l.version <= excluded.version
        """,  # noqa: S608
        *_columns([write.place for write in writes]),
        [write.version for write in writes],
        [write.run_id for write in writes],
        [write.integration_id for write in writes],
        [json_text.dump(write.steps) for write in writes],
        [write.external_id for write in writes],
        [write.at for write in writes],
    )


async def finish(connection: Connection, documents: Sequence[Done]) -> None:
    """Mark the documents delivered."""
    if not documents:
        return
    documents = sorted(documents, key=lambda done: _key(done.place))
    await connection.execute(
        f"""
        UPDATE ledger l SET state = 'done', version = p.f, run_id = p.g, integration_id = p.h, external_id = p.i,
            url = p.j, total = p.k, currency = p.l, updated_at = p.m
        FROM {_PLACES[:-1]}, $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::numeric[],
            $12::text[], $13::timestamptz[]) AS p(a, b, c, d, e, f, g, h, i, j, k, l, m)
        WHERE (l.org_id, l.tenant, l.entity_type, l.entity_id, l.document) = (p.a, p.b, p.c, p.d, p.e)
        """,  # noqa: S608
        *_columns([done.place for done in documents]),
        [done.version for done in documents],
        [done.run_id for done in documents],
        [done.integration_id for done in documents],
        [done.external_id for done in documents],
        [done.url for done in documents],
        [done.total for done in documents],
        [done.currency for done in documents],
        [done.at for done in documents],
    )


async def delivered(
    connection: Connection, org_id: str, integration_id: str, entity_type: str, entity_id: str
) -> LedgerRow | None:
    """What was delivered of the entity to the tenant that the integration opens, or None."""
    row = await connection.fetchrow(
        """
        SELECT l.version, l.state, l.steps::text AS steps, l.external_id, l.run_id, l.earlier::text AS earlier
        FROM ledger l
        JOIN integrations i ON i.org_id = l.org_id AND i.id = $2
        JOIN credentials c ON c.org_id = l.org_id AND c.id = i.credential_id AND c.tenant = l.tenant
        WHERE l.org_id = $1 AND l.entity_type = $3 AND l.entity_id = $4 AND l.document = 'invoice' AND l.state = 'done'
        """,
        org_id,
        integration_id,
        entity_type,
        entity_id,
    )
    return _row(row) if row else None


async def touched(
    connection: Connection, org_id: str, entity_type: str, entity_ids: Sequence[str]
) -> list[tuple[str, str, str | None]]:
    """(entity id, tenant, integration) of the entities' documents of which something stands, or may stand."""
    rows = await connection.fetch(
        """
        SELECT entity_id, tenant, integration_id, version, state, steps::text AS steps, external_id, run_id,
               earlier::text AS earlier
        FROM ledger
        WHERE org_id = $1 AND entity_type = $2 AND entity_id = ANY($3::text[]) AND document = 'invoice'
        """,
        org_id,
        entity_type,
        entity_ids,
    )
    return [
        (row["entity_id"], row["tenant"], row["integration_id"])
        for row in rows
        if (known := _row(row)).took_effect or known.earlier
    ]


def _key(place: Place) -> tuple[str, str, str, str, str]:
    return (place.org_id, place.tenant, place.entity_type, place.entity_id, place.document)


def _columns(places: Sequence[Place]) -> tuple[list[str], ...]:
    return tuple([_key(place)[index] for place in places] for index in range(5))


def _row(row: Any) -> LedgerRow:
    steps = {key: _step(value) for key, value in json_text.parse(row["steps"]).items()}
    earlier = Earlier(**json_text.parse(row["earlier"])) if row["earlier"] else None
    return LedgerRow(row["version"], LedgerState(row["state"]), steps, row["external_id"], row["run_id"], earlier)


def _step(value: Mapping[str, Any]) -> LedgerStep:
    first, last = value.get("first_sent_at"), value.get("last_sent_at")
    return LedgerStep(
        value["epoch"],
        StepState(value["state"]),
        datetime.fromisoformat(first) if first else None,
        datetime.fromisoformat(last) if last else None,
    )


async def forget_before(connection: Connection, moment: datetime, limit: int) -> bool:
    """Delete rows that nothing happened to since that moment, so many at most; answers whether there may be more."""
    done = await connection.execute(
        "DELETE FROM ledger WHERE ctid = ANY(ARRAY("
        "SELECT ctid FROM ledger WHERE updated_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
        moment,
        limit,
    )
    return str(done) == f"DELETE {limit}"
