"""What is known of each bill in each integration that sends bills: the facts by which the domain tells their state.

One relation serves sums, lists and single bills alike, so that a number and the list behind it cannot differ. Decides
nothing: states come in as the combinations of facts that make them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.deliveries import MATCHED, DeliveryFacts, DeliveryState, facts_of
from tollbridge.domain.errors import Invalid
from tollbridge.domain.integrations import BillFacts, Position, Scope, scope_of
from tollbridge.domain.runs import RunState
from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class Sender:
    """An integration that sends bills; `tenant` is the external tenant that its credential opens, where it has one."""

    id: str
    name: str
    system: str
    tenant: str | None
    scope: Scope


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which bills; what is None does not count. `start` is inclusive, `end` exclusive."""

    bill_ids: Sequence[str] | None = None
    account_id: str | None = None
    status: str | None = None
    currency: str | None = None
    start: date | None = None
    end: date | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A bill in an integration. `version` is that of the run that counts."""

    bill: BillFacts
    currency: str
    total: Decimal
    integration_id: str
    facts: DeliveryFacts
    hold_reason: str | None
    version: int | None
    run_id: str | None
    told: str | None
    external_id: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Sum:
    """How many bills of a month (its first day) and currency have the same facts in an integration, and their sum."""

    month: date
    currency: str
    integration_id: str
    facts: DeliveryFacts
    count: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Gap:
    """How many bills of a month and currency no integration is responsible for, or two of one category are."""

    month: date
    currency: str
    category: str | None
    count: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class GapBill:
    """One of these bills, with the integrations of the category that are responsible for it."""

    bill: BillFacts
    currency: str
    total: Decimal
    category: str | None
    integration_ids: Sequence[str]


async def senders(connection: Connection, org_id: str, integration_id: str | None = None) -> list[Sender]:
    """The integrations of the organization that send bills, or the one that is named."""
    rows = await connection.fetch(
        """
        SELECT i.id, i.name, i.system, c.tenant, coalesce(i.body->'configData', '{}')::text AS config
        FROM integrations i LEFT JOIN credentials c ON (c.org_id, c.id) = (i.org_id, i.credential_id)
        WHERE i.org_id = $1 AND i.entity_type = 'Bill' AND ($2::text IS NULL OR i.id = $2)
        ORDER BY i.created_at, i.id
        """,
        org_id,
        integration_id,
    )
    return [
        Sender(row["id"], row["name"], row["system"], row["tenant"], scope_of(json_text.parse(row["config"])))
        for row in rows
    ]


_SENDERS = """
    jsonb_to_recordset($2::text::jsonb)
        AS i(id text, tenant text, category text, accounts text[], restricted text[], since date, approved bool)
"""
_BILLS = """
    b.org_id = $1 AND ($3::text[] IS NULL OR b.id = ANY($3)) AND ($4::text IS NULL OR b.account_id = $4)
    AND ($5::text IS NULL OR b.currency = $5) AND ($9::text IS NULL OR b.status = $9)
    AND b.bill_date >= coalesce($6::date, '-infinity') AND b.bill_date < coalesce($7::date, 'infinity')
"""
# `domain.integrations.position_of`, for many bills; a test compares the two.
# What account filters came to is one constant object, read by integration and account: whatever the plan, that is fast.
# All facts of a pair are one text, `_code` in Python: sums go by it, and a search by state is one comparison.
_FACTS = """
    coalesce(r.state, '') || concat(
        '/', (r.revision IS NOT DISTINCT FROM b.revision)::int, (l.org_id IS NOT NULL)::int,
        (cardinality(i.accounts) > 0 AND NOT b.account_id = ANY(i.accounts))::int,
        (b.account_id = ANY(i.restricted))::int,
        coalesce($8::text::jsonb ->> (i.id || ' ' || b.account_id) = 'out', false)::int,
        coalesce(b.bill_date < i.since, false)::int,
        (i.approved AND b.status <> 'APPROVED')::int,
        coalesce($8::text::jsonb ->> (i.id || ' ' || b.account_id) = 'undecided', false)::int) AS facts
"""
# Each side by its index and at most once, so that a page stops as soon as it is full.
_FACTS_OF_PAIR = """
    LEFT JOIN LATERAL (
        SELECT id, state, hold_reason, revision, error, note, external_id, url FROM runs
        WHERE org_id = b.org_id AND entity_type = 'Bill' AND entity_id = b.id AND integration_id = i.id
          AND flow = 'deliver' AND state <> 'cancelled'
        ORDER BY revision = b.revision DESC, state IN ('running', 'waiting') DESC, revision DESC, created_at DESC,
            id DESC
        LIMIT 1) r ON true
    LEFT JOIN LATERAL (
        SELECT org_id, run_id, external_id, url FROM ledger
        WHERE org_id = b.org_id AND tenant = i.tenant AND entity_type = 'Bill' AND entity_id = b.id
          AND document = 'invoice' AND state = 'done' AND version = b.revision
        LIMIT 1) l ON true
"""
# What the ledger holds is delivered, whatever else is known of it.
_UNDONE = """
    AND NOT EXISTS (
        SELECT FROM ledger d
        WHERE d.org_id = b.org_id AND d.tenant = i.tenant AND d.entity_type = 'Bill' AND d.entity_id = b.id
          AND d.document = 'invoice' AND d.state = 'done' AND d.version = b.revision)
"""


async def sums(connection: Connection, org_id: str, among: Sequence[Sender], wanted: Wanted) -> list[Sum]:
    """Counts and sums of all pairs that have the same facts."""
    rows = await _fetch(
        connection,
        f"""
        SELECT month, currency, integration, count(*) AS count, sum(total) AS total, facts
        FROM (SELECT date_trunc('month', b.bill_date)::date AS month, b.currency, b.total, i.id AS integration, {_FACTS}
              FROM bills b CROSS JOIN {_SENDERS} {_FACTS_OF_PAIR} WHERE {_BILLS}) pairs
        GROUP BY month, currency, integration, facts
        """,  # noqa: S608
        *_parameters(org_id, among, {}, wanted),
    )
    return [
        Sum(row["month"], row["currency"], row["integration"], _facts(row["facts"]), row["count"], row["total"])
        for row in rows
    ]


async def pairs(
    connection: Connection,
    org_id: str,
    among: Sequence[Sender],
    wanted: Wanted,
    states: Collection[DeliveryState],
    *,
    size: int,
    token: str | None,
) -> tuple[list[Pair], str | None]:
    """One page of pairs in one of the states, by bill and integration, and the token that continues after it."""
    after = _read_token(token)
    # Most bills are delivered: who does not ask for those must not look for the run of each.
    undone = "" if DeliveryState.DELIVERED in states else _UNDONE
    rows = await _fetch(
        connection,
        f"""
        SELECT * FROM (
            SELECT b.id, b.revision, b.account_id, b.bill_date, b.status, b.currency, b.total, i.id AS integration,
                   {_FACTS}, r.hold_reason, r.revision AS version, coalesce(r.id, l.run_id) AS run_id,
                   coalesce(r.error, r.note) AS told, coalesce(l.external_id, r.external_id) AS external_id,
                   coalesce(l.url, r.url) AS url
            FROM bills b CROSS JOIN {_SENDERS} {_FACTS_OF_PAIR}
            WHERE {_BILLS} {undone} AND b.id >= $11 AND (b.id, i.id) > ($11, $12 COLLATE "C")) pairs
        WHERE facts = ANY($10::text[]) ORDER BY id, integration COLLATE "C" LIMIT $13
        """,  # noqa: S608
        *_parameters(org_id, among, {}, wanted),
        _codes(states),
        *after,
        size + 1,
    )
    found = [_pair(row) for row in rows[:size]]
    return found, _token(found[-1].bill.id, found[-1].integration_id) if len(rows) > size else None


_CLAIMS = f"""
    (SELECT b.id, b.revision, b.account_id, b.bill_date, b.status, b.currency, b.total, i.category, i.id AS integration,
            {_FACTS}
     FROM bills b LEFT JOIN {_SENDERS} ON true {_FACTS_OF_PAIR} WHERE {_BILLS}) pairs
"""  # noqa: S608
_MATCHING = "integration IS NOT NULL AND facts = ANY($10::text[])"


async def gaps(
    connection: Connection, org_id: str, among: Sequence[Sender], categories: Mapping[str, str], wanted: Wanted
) -> list[Gap]:
    """Bills that no integration is responsible for (without category), and those that two of one category are.

    `categories` has the category of each system.
    """
    rows = await _fetch(
        connection,
        f"""
        SELECT date_trunc('month', bill_date)::date AS month, currency, category, count(*) AS count,
               sum(total) AS total
        FROM ({_unmatched()} UNION ALL {_doubled()}) gaps
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 NULLS FIRST
        """,  # noqa: S608
        *_parameters(org_id, among, categories, wanted),
        _codes(MATCHED),
    )
    return [Gap(**row) for row in rows]


async def gap_bills(
    connection: Connection,
    org_id: str,
    among: Sequence[Sender],
    categories: Mapping[str, str],
    wanted: Wanted,
    *,
    doubled: bool,
    size: int,
    token: str | None,
) -> tuple[list[GapBill], str | None]:
    """One page of the bills behind `gaps`: those of two integrations of one category, or those of none."""
    rows = await _fetch(
        connection,
        f"""
        SELECT * FROM ({_doubled() if doubled else _unmatched()}) gaps
        WHERE (id, coalesce(category, '')) > ($11, $12) ORDER BY id, coalesce(category, '') LIMIT $13
        """,  # noqa: S608
        *_parameters(org_id, among, categories, wanted),
        _codes(MATCHED),
        *_read_token(token),
        size + 1,
    )
    found = [
        GapBill(_bill(row), row["currency"], row["total"], row["category"], row["integrations"]) for row in rows[:size]
    ]
    return found, _token(found[-1].bill.id, found[-1].category or "") if len(rows) > size else None


async def _fetch(connection: Connection, query: str, *values: Any) -> Sequence[Any]:
    """Planned for these very values: what is not asked for is then no part of the plan."""
    await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    found: Sequence[Any] = await connection.fetch(query, *values)
    return found


_BILL = "id, revision, account_id, bill_date, status, currency, total"


def _unmatched() -> str:
    return f"""
        SELECT {_BILL}, NULL::text AS category, '{{}}'::text[] AS integrations FROM {_CLAIMS}
        GROUP BY {_BILL} HAVING count(*) FILTER (WHERE {_MATCHING}) = 0
    """  # noqa: S608


def _doubled() -> str:
    return f"""
        SELECT {_BILL}, category, array_agg(integration ORDER BY integration) AS integrations FROM {_CLAIMS}
        WHERE {_MATCHING} GROUP BY {_BILL}, category HAVING count(*) > 1
    """  # noqa: S608


def _parameters(org_id: str, among: Sequence[Sender], categories: Mapping[str, str], wanted: Wanted) -> tuple[Any, ...]:
    told = [
        {
            "id": sender.id,
            "tenant": sender.tenant,
            "category": categories.get(sender.system, sender.system),
            "accounts": list(sender.scope.account_ids),
            "restricted": list(sender.scope.restricted_account_ids),
            "since": sender.scope.send_from and sender.scope.send_from.isoformat(),
            "approved": sender.scope.approved_only,
        }
        for sender in among
    ]
    return (
        org_id,
        json_text.dump(told),
        None if wanted.bill_ids is None else list(wanted.bill_ids),
        wanted.account_id,
        wanted.currency,
        wanted.start,
        wanted.end,
        json_text.dump(
            {f"{sender.id} {account}": "out" for sender in among for account in sender.scope.by_filter.left_out}
            | {
                f"{sender.id} {account}": "undecided"
                for sender in among
                for account in sender.scope.by_filter.undecided
            }
        ),
        wanted.status,
    )


def _codes(states: Collection[DeliveryState]) -> list[str]:
    return [_code(facts) for facts in facts_of(states)]


def _code(facts: DeliveryFacts) -> str:
    flags = (facts.present, facts.done, *astuple(facts.position))
    return f"{facts.run or ''}/{''.join(str(int(flag)) for flag in flags)}"


def _facts(code: str) -> DeliveryFacts:
    run, _, flags = code.partition("/")
    present, done, *position = (flag == "1" for flag in flags)
    return DeliveryFacts(RunState(run) if run else None, present, done, Position(*position))


def _bill(row: Any) -> BillFacts:
    return BillFacts(row["id"], row["revision"], row["account_id"], row["bill_date"], row["status"])


def _pair(row: Any) -> Pair:
    return Pair(
        bill=_bill(row),
        currency=row["currency"],
        total=row["total"],
        integration_id=row["integration"],
        facts=_facts(row["facts"]),
        hold_reason=row["hold_reason"],
        version=row["version"],
        run_id=row["run_id"],
        told=row["told"],
        external_id=row["external_id"],
        url=row["url"],
    )


def _token(*keys: str) -> str:
    return base64.urlsafe_b64encode(json_text.dump(keys).encode()).decode().rstrip("=")


def _read_token(token: str | None) -> tuple[str, str]:
    """Bill and integration (or category) after which the page begins."""
    if not token:
        return "", ""
    try:
        first, second = json_text.parse(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if not isinstance(first, str) or not isinstance(second, str):
            raise ValueError("no texts")
    except (ValueError, TypeError, binascii.Error):
        raise Invalid(
            "paging.token",
            f"nextToken {token[:80]!r} is not one of ours.",
            "Leave nextToken out to start at the first page, then pass on what the last page answered.",
            "nextToken",
        ) from None
    return first, second
