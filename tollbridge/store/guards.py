"""How the guards of integrations stand: which bills were let through, and the volumes of their months. Decides nothing.

Whoever counts locks the integration first, before credentials, lanes and runs, so that whatever number of workers
claim at once, they count one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tollbridge.domain import json_text
from tollbridge.store.claims import Key
from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class Standing:
    """An integration with a guard. `round` counts how often first sends began; `waiting` says that they are not over;
    `volumes` is None where that guard is off."""

    round: int
    waiting: bool
    volumes: Mapping[str, Any] | None
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HeldBy:
    """An integration of which runs are held: behind first sends, of which `sent` were let through, or of a month."""

    key: Key
    standing: Standing
    first: bool
    volume: bool
    sent: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A bill that was let through, by its newest run; `total` and `currency` are those of the document there, else of
    the bill."""

    run_id: str
    bill_id: str
    account_id: str | None
    state: str
    external_id: str | None
    url: str | None
    total: Decimal | None
    currency: str | None
    completed_at: datetime | None


async def lock_of(connection: Connection, run_ids: Sequence[str]) -> dict[Key, Standing]:
    """Lock those integrations of the runs that have a guard, and answer how they stand."""
    rows = await connection.fetch(
        """
        SELECT org_id, id, first_round, first_waiting, volumes::text AS volumes,
               coalesce(body->'configData', '{}')::text AS config
        FROM integrations
        WHERE (org_id, id) IN (SELECT org_id, integration_id FROM runs WHERE id = ANY($1::text[]))
          AND (first_waiting OR volumes IS NOT NULL)
        ORDER BY org_id, id FOR NO KEY UPDATE
        """,
        run_ids,
    )
    return {(row["org_id"], row["id"]): _standing(row) for row in rows}


async def sent_first(connection: Connection, integration_id: str, round: int) -> frozenset[str]:
    """The bills that were let through in that round; of those that needed nothing there, none counts."""
    rows = await connection.fetch(
        "SELECT DISTINCT entity_id FROM runs WHERE integration_id = $1 AND admitted = $2 AND state <> 'skipped'",
        integration_id,
        round,
    )
    return frozenset(row["entity_id"] for row in rows)


async def known(connection: Connection, org_id: str, integration_id: str, bill_ids: Sequence[str]) -> frozenset[str]:
    """Those of the bills that the integration let through or delivered before."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT entity_id FROM runs
        WHERE org_id = $1 AND entity_type = 'Bill' AND entity_id = ANY($3::text[]) AND integration_id = $2
          AND flow = 'deliver' AND (admitted IS NOT NULL OR state = 'delivered')
        """,
        org_id,
        integration_id,
        bill_ids,
    )
    return frozenset(row["entity_id"] for row in rows)


async def figures(connection: Connection, org_id: str, bill_ids: Sequence[str]) -> dict[str, tuple[date, str, Decimal]]:
    """Date, currency and total of the bills."""
    rows = await connection.fetch(
        "SELECT id, bill_date, currency, total FROM bills WHERE org_id = $1 AND id = ANY($2::text[])", org_id, bill_ids
    )
    return {row["id"]: (row["bill_date"], row["currency"], row["total"]) for row in rows}


async def let_through(connection: Connection, run_ids: Sequence[str], round: int) -> None:
    """Note that the runs were let through in that round. They must be locked already."""
    await connection.execute("UPDATE runs SET admitted = $2 WHERE id = ANY($1::text[])", run_ids, round)


async def keep_volumes(connection: Connection, key: Key, volumes: Mapping[str, Any] | None) -> None:
    """Keep the volumes of an integration, which must be locked already."""
    await connection.execute(
        "UPDATE integrations SET volumes = $3::text::jsonb WHERE org_id = $1 AND id = $2",
        *key,
        None if volumes is None else json_text.dump(volumes),
    )


async def volumes_until_now(connection: Connection, org_id: str, integration_id: str) -> list[tuple[date, str, Any]]:
    """Month, currency, and (bills, sum) of what the integration delivered until now, or is at."""
    rows = await connection.fetch(
        """
        SELECT date_trunc('month', b.bill_date)::date AS month, b.currency, count(*) AS bills, sum(b.total) AS total
        FROM bills b WHERE b.org_id = $1 AND EXISTS (
            SELECT FROM runs r WHERE r.org_id = b.org_id AND r.entity_type = 'Bill' AND r.entity_id = b.id
              AND r.integration_id = $2 AND r.flow = 'deliver' AND r.state IN ('delivered', 'running', 'waiting'))
        GROUP BY 1, 2
        """,
        org_id,
        integration_id,
    )
    return [(row["month"], row["currency"], (row["bills"], row["total"])) for row in rows]


async def held_by(connection: Connection) -> list[HeldBy]:
    """Integrations for which runs are held by a guard."""
    rows = await connection.fetch(
        """
        SELECT * FROM (
            SELECT i.org_id, i.id, i.first_round, i.first_waiting, i.volumes::text AS volumes,
                   coalesce(i.body->'configData', '{}')::text AS config,
                   EXISTS (SELECT FROM runs WHERE integration_id = i.id AND state = 'held'
                     AND hold_reason = 'first_sends') AS first,
                   EXISTS (SELECT FROM runs WHERE integration_id = i.id AND state = 'held'
                     AND hold_reason = 'volume') AS volume,
                   (SELECT count(DISTINCT entity_id) FROM runs
                    WHERE integration_id = i.id AND admitted = i.first_round AND state <> 'skipped') AS sent
            FROM integrations i) i
        WHERE first OR volume
        """
    )
    return [
        HeldBy((row["org_id"], row["id"]), _standing(row), row["first"], row["volume"], row["sent"]) for row in rows
    ]


_SENT = """
    FROM (SELECT DISTINCT ON (r.entity_id) r.id, r.entity_id, r.account_id, r.state, r.external_id, r.url,
                 coalesce(r.total, b.total) AS total, coalesce(r.currency, b.currency) AS currency, r.completed_at
          FROM runs r JOIN bills b ON (b.org_id, b.id) = (r.org_id, r.entity_id)
          WHERE r.integration_id = $1 AND r.org_id = $4 AND r.state <> 'skipped' AND (
              ($2::int IS NOT NULL AND r.admitted = $2)
              OR (cardinality($3::text[]) > 0 AND r.flow = 'deliver' AND to_char(b.bill_date, 'YYYY-MM') = ANY($3)
                  AND (r.admitted IS NOT NULL OR r.state = 'delivered')))
          ORDER BY r.entity_id, r.created_at DESC, r.id DESC) sent
"""


async def sent(
    connection: Connection, org_id: str, integration_id: str, round: int | None, months: Sequence[str], most: int
) -> list[Sent]:
    """The latest of the bills that were let through: in that round of first sends, or of those months."""
    rows = await connection.fetch(
        f"SELECT * {_SENT} ORDER BY completed_at DESC NULLS LAST, id DESC LIMIT $5",
        integration_id,
        round,
        months,
        org_id,
        most,
    )
    return [Sent(*row) for row in rows]


async def sent_totals(
    connection: Connection, org_id: str, integration_id: str, round: int | None, months: Sequence[str]
) -> tuple[int, int, Mapping[str, Decimal]]:
    """How many these are, how many of them are delivered, and the sums of the delivered by currency."""
    rows = await connection.fetch(
        f"""
        SELECT currency, count(*) AS bills, count(*) FILTER (WHERE state = 'delivered') AS delivered,
               sum(total) FILTER (WHERE state = 'delivered') AS total {_SENT} GROUP BY currency ORDER BY currency
        """,
        integration_id,
        round,
        months,
        org_id,
    )
    totals = {row["currency"]: row["total"] for row in rows if row["delivered"]}
    return sum(row["bills"] for row in rows), sum(row["delivered"] for row in rows), totals


def _standing(row: Any) -> Standing:
    return Standing(row["first_round"], row["first_waiting"], _parsed(row["volumes"]), json_text.parse(row["config"]))


def _parsed(text: str | None) -> Mapping[str, Any] | None:
    return None if text is None else json_text.parse(text)
