"""What dispatch reads: integrations with the state of their credential, the runs that bills have, bills in scope.

All on raw connections that belong to other transactions, so JSON is read as text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.account_filter import Account
from tollbridge.domain.integrations import BillFacts, Scope
from tollbridge.domain.runs import RunState
from tollbridge.store.db import Connection
from tollbridge.store.runs import lane_of


@dataclass(frozen=True, slots=True)
class Target:
    """An integration as dispatch sees it; `credential_status` is None without a credential."""

    id: str
    system: str
    destination: str
    destination_id: str | None
    credential_id: str | None
    enabled: bool
    disabled_reason: str | None
    config: Mapping[str, Any]
    credential_status: str | None
    tenant: str | None

    def lane(self, account_id: str) -> str:
        """The lane of the account in this integration."""
        return lane_of(self.id, account_id)


@dataclass(frozen=True, slots=True)
class Standing:
    """A run of a bill that counts, whatever its flow: neither superseded nor cancelled."""

    id: str
    integration_id: str
    bill_id: str
    revision: int
    state: RunState
    lane: str


async def targets(
    connection: Connection, org_id: str, *, entity_type: str | None = None, integration_id: str | None = None
) -> list[Target]:
    """The integrations of the organization that send this type, or the one that is named."""
    rows = await connection.fetch(
        """
        SELECT i.id, i.system, i.body->>'destination' AS destination, i.destination_id, i.credential_id, i.enabled,
               i.disabled_reason, coalesce(i.body->'configData', '{}')::text AS config, c.status, c.tenant
        FROM integrations i LEFT JOIN credentials c ON (c.org_id, c.id) = (i.org_id, i.credential_id)
        WHERE i.org_id = $1 AND ($2::text IS NULL OR lower(i.entity_type) = lower($2))
          AND ($3::text IS NULL OR i.id = $3)
        ORDER BY i.created_at, i.id
        """,
        org_id,
        entity_type,
        integration_id,
    )
    return [
        Target(
            row["id"],
            row["system"],
            row["destination"] or row["system"],
            row["destination_id"],
            row["credential_id"],
            row["enabled"],
            row["disabled_reason"],
            json_text.parse(row["config"]),
            row["status"],
            row["tenant"],
        )
        for row in rows
    ]


async def standing_runs(connection: Connection, org_id: str, bill_ids: Sequence[str]) -> list[Standing]:
    """The deliveries of the bills that count."""
    rows = await connection.fetch(
        """
        SELECT id, integration_id, entity_id, revision, state, lane FROM runs
        WHERE org_id = $1 AND entity_type = 'Bill' AND entity_id = ANY($2::text[]) AND flow IN ('deliver', 'withdraw')
          AND state NOT IN ('superseded', 'cancelled')
        """,
        org_id,
        bill_ids,
    )
    return [
        Standing(
            row["id"], row["integration_id"], row["entity_id"], row["revision"], RunState(row["state"]), row["lane"]
        )
        for row in rows
    ]


async def accounts(
    connection: Connection, org_id: str, ids: Collection[str] | None, bill_ids: Collection[str] | None
) -> list[Account]:
    """These accounts of the organization, or those of the bills, or all, as filters see them."""
    rows = await connection.fetch(
        """
        SELECT id, name, code, body->>'currency' AS currency, (body->'address')::text AS address,
               (body->'customFields')::text AS custom
        FROM accounts WHERE org_id = $1 AND ($2::text[] IS NULL OR id = ANY($2::text[]))
          AND ($3::text[] IS NULL
               OR id IN (SELECT account_id FROM bills WHERE org_id = $1 AND id = ANY($3::text[])))
        """,
        org_id,
        None if ids is None else list(ids),
        None if bill_ids is None else list(bill_ids),
    )
    return [
        Account(row["id"], row["name"], row["code"], row["currency"], _parsed(row["address"]), _parsed(row["custom"]))
        for row in rows
    ]


def _parsed(text: str | None) -> Mapping[str, Any] | None:
    return json_text.parse(text) if text is not None else None


_IN_SCOPE = """
    FROM bills b
    WHERE b.org_id = $1 AND (cardinality($2::text[]) = 0 OR b.account_id = ANY($2::text[]))
      AND NOT b.account_id = ANY($3::text[]) AND ($4::date IS NULL OR b.bill_date >= $4::date)
      AND (NOT $5::bool OR b.status = 'APPROVED')
      AND NOT EXISTS (
        SELECT FROM runs r
        WHERE r.org_id = b.org_id AND r.entity_type = 'Bill' AND r.entity_id = b.id AND r.integration_id = $6
          AND r.flow = 'deliver' AND r.state NOT IN ('superseded', 'cancelled', 'failed'))
      AND NOT EXISTS (SELECT FROM unnest($7::text[]) AS f(id) WHERE f.id = b.account_id)
"""
"""The rule of `domain.integrations.decide` as a condition, for counts over all bills; a test compares the two."""


async def sums_in_scope(
    connection: Connection, org_id: str, integration_id: str, scope: Scope
) -> tuple[int, Mapping[str, Decimal]]:
    """How many bills in scope no run of the integration carries or carried, and their sums by currency."""
    rows = await connection.fetch(
        f"SELECT b.currency, count(*) AS count, sum(b.total) AS total {_IN_SCOPE} GROUP BY b.currency",
        *_parameters(org_id, integration_id, scope),
    )
    return sum(row["count"] for row in rows), {row["currency"]: row["total"] for row in rows}


async def bills_in_scope(
    connection: Connection, org_id: str, integration_id: str, scope: Scope, after: str, limit: int
) -> list[BillFacts]:
    """The next of these bills by id."""
    rows = await connection.fetch(
        f"""
        SELECT b.id, b.revision, b.account_id, b.bill_date, b.status {_IN_SCOPE} AND b.id > $8 ORDER BY b.id LIMIT $9
        """,
        *_parameters(org_id, integration_id, scope),
        after,
        limit,
    )
    return [BillFacts(*row) for row in rows]


def _parameters(org_id: str, integration_id: str, scope: Scope) -> tuple[Any, ...]:
    return (
        org_id,
        list(scope.account_ids),
        list(scope.restricted_account_ids),
        scope.send_from,
        scope.approved_only,
        integration_id,
        [*scope.by_filter.left_out, *scope.by_filter.undecided],
    )


async def bill_revision(connection: Connection, org_id: str, bill_id: str) -> int | None:
    """The present revision of the bill, or None where it is gone."""
    revision: int | None = await connection.fetchval(
        "SELECT revision FROM bills WHERE org_id = $1 AND id = $2", org_id, bill_id
    )
    return revision
