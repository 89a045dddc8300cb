"""Rows of an account in all tables, for who erases a person's data. Every table is named here, as one that holds such
data or as one that does not; a test sees to it that none is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollbridge.domain import json_text
from tollbridge.store.audit import MAY_CHANGE
from tollbridge.store.db import Connection

Change = Callable[[Mapping[str, Any]], Mapping[str, Any]]

HOLDS = frozenset(
    "accounts bills bill_revisions runs run_steps run_snapshots run_previews run_payloads run_records ledger events"
    " external_mappings alerts alert_notes outbox audit_log".split()
)
HOLDS_NONE = frozenset(
    # Whose the data of an account is, is no user, and no vendor.
    "organizations service_users access_keys users user_links user_sessions sign_in_limits sso_sign_ins products"
    " bill_configs credentials oauth_redirects integrations rules webhooks scheduled_events bring_backs mendings"
    # Ids and figures alone.
    " lanes workers rate_limits slot_leases token_leases restores counters chores scheduled_dues".split()
)

KEPT_OF_EVENTS = ("code", "runId", "integrationId", "accountId", "entityId")


@dataclass(frozen=True, slots=True)
class Person:
    """The account as it is still, and by which texts its person would be recognised."""

    body: Mapping[str, Any]
    texts: tuple[str, ...]


async def person(connection: Connection, org_id: str, account_id: str) -> Person | None:
    """The account, locked; None where there is none."""
    row = await connection.fetchrow(
        "SELECT body::text AS body, name FROM accounts WHERE org_id = $1 AND id = $2 FOR UPDATE", org_id, account_id
    )
    if row is None:
        return None
    body = json_text.parse(row["body"]) if isinstance(row["body"], str) else row["body"]
    return Person(body, tuple({row["name"], body.get("name", ""), body.get("emailAddress", "")} - {""}))


async def unstarted(connection: Connection, org_id: str, account_id: str) -> list[tuple[str, str]]:
    """(id, lane) of the account's runs that are queued or held."""
    rows = await connection.fetch(
        "SELECT id, lane FROM runs WHERE org_id = $1 AND account_id = $2 AND state IN ('queued', 'held')",
        org_id,
        account_id,
    )
    return [(row["id"], row["lane"]) for row in rows]


async def under_way(connection: Connection, org_id: str, account_id: str) -> int:
    """How many runs of the account are not at an end."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM runs WHERE org_id = $1 AND account_id = $2"
        " AND state IN ('queued', 'held', 'running', 'waiting')",
        org_id,
        account_id,
    )
    return count


async def run_ids(connection: Connection, org_id: str, account_id: str, after: str, limit: int) -> list[str]:
    """Ids of runs of the account, from after that one on."""
    rows = await connection.fetch(
        "SELECT id FROM runs WHERE org_id = $1 AND account_id = $2 AND id > $3 ORDER BY id LIMIT $4",
        org_id,
        account_id,
        after,
        limit,
    )
    return [row["id"] for row in rows]


async def bill_ids(connection: Connection, org_id: str, account_id: str, after: str, limit: int) -> list[str]:
    """Ids of bills of the account, deleted ones too, from after that one on."""
    rows = await connection.fetch(
        """
        SELECT id FROM (
            SELECT id FROM bills WHERE org_id = $1 AND account_id = $2
            UNION SELECT entity_id FROM runs WHERE org_id = $1 AND account_id = $2 AND entity_type = 'Bill'
            UNION SELECT bill_id FROM bill_revisions WHERE org_id = $1 AND body ->> 'accountId' = $2) b
        WHERE id > $3 ORDER BY id LIMIT $4
        """,
        org_id,
        account_id,
        after,
        limit,
    )
    return [row["id"] for row in rows]


async def erase_bills(
    connection: Connection, org_id: str, ids: Sequence[str], bill: Change, line: Change
) -> Mapping[str, int]:
    """Rewrite the bills and all their revisions."""
    bills = await connection.fetch(
        "SELECT id, body::text AS body FROM bills WHERE org_id = $1 AND id = ANY($2::text[]) ORDER BY id FOR UPDATE",
        org_id,
        ids,
    )
    await connection.execute(
        "UPDATE bills b SET body = n.body::jsonb, version = version + 1"
        " FROM unnest($2::text[], $3::text[]) AS n(id, body) WHERE b.org_id = $1 AND b.id = n.id",
        org_id,
        [row["id"] for row in bills],
        [_rewritten(row["body"], bill) for row in bills],
    )
    revisions = await connection.fetch(
        "SELECT bill_id, revision, body::text AS body, lines::text AS lines FROM bill_revisions"
        " WHERE org_id = $1 AND bill_id = ANY($2::text[])",
        org_id,
        ids,
    )
    await connection.execute(
        "UPDATE bill_revisions r SET body = n.body::jsonb, lines = n.lines::jsonb"
        " FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[]) AS n(id, revision, body, lines)"
        " WHERE r.org_id = $1 AND r.bill_id = n.id AND r.revision = n.revision",
        org_id,
        [row["bill_id"] for row in revisions],
        [row["revision"] for row in revisions],
        [_rewritten(row["body"], bill) for row in revisions],
        [json_text.dump([dict(line(each)) for each in json_text.parse(row["lines"])]) for row in revisions],
    )
    ledger = await connection.execute(
        "UPDATE ledger SET url = NULL WHERE org_id = $1 AND entity_type = 'Bill' AND entity_id = ANY($2::text[])",
        org_id,
        ids,
    )
    return {"bills": len(bills), "bill_revisions": len(revisions), "ledger": _count(ledger)}


async def erase_runs(connection: Connection, ids: Sequence[str], told: str) -> Mapping[str, int]:
    """Empty what the runs said, asked and were answered; what they did, and when, stays."""
    statements = {
        "runs": """
            UPDATE runs SET error = CASE WHEN error IS NULL THEN NULL ELSE $2 END,
                note = CASE WHEN note IS NULL THEN NULL ELSE $2 END,
                hint = NULL, url = NULL, offers = NULL, decision = NULL, version = version + 1
            WHERE id = ANY($1::text[])""",
        "run_steps": "UPDATE run_steps SET request = NULL, reply = NULL, fault = NULL WHERE run_id = ANY($1::text[])"
        " AND $2 <> ''",
        "run_snapshots": "UPDATE run_snapshots SET account = '{}', mappings = '[]' WHERE run_id = ANY($1::text[])"
        " AND $2 <> ''",
        "run_previews": "DELETE FROM run_previews WHERE run_id = ANY($1::text[]) AND $2 <> ''",
        "run_payloads": "DELETE FROM run_payloads WHERE run_id = ANY($1::text[]) AND $2 <> ''",
        "run_records": "DELETE FROM run_records WHERE run_id = ANY($1::text[]) AND $2 <> ''",
    }
    return {table: _count(await connection.execute(sql, ids, told)) for table, sql in statements.items()}


async def erase_events(
    connection: Connection, org_id: str, account_id: str | None, bill_ids: Sequence[str], told: str
) -> int:
    """Of events about the account, or about these bills, keep ids and code."""
    done = await connection.execute(
        """
        UPDATE events SET body = jsonb_build_object('eventData', jsonb_build_object('message', $5::text) || coalesce((
            SELECT jsonb_object_agg(key, value) FROM jsonb_each(body -> 'eventData')
            WHERE key = ANY($4::text[])), '{}'))
        WHERE org_id = $1 AND (account_id = $2 OR resource_id = ANY($3::text[]))
        """,
        org_id,
        account_id,
        bill_ids,
        KEPT_OF_EVENTS,
        told,
    )
    return _count(done)


async def erase_mentions(connection: Connection, org_id: str, texts: Sequence[str], told: str) -> Mapping[str, int]:
    """Empty whatever names the person without being about the account: events, and what alerts say and were told."""
    written = [json_text.dump(text)[1:-1] for text in texts]
    named = "EXISTS (SELECT FROM unnest($2::text[]) AS t(text) WHERE position(lower(text) in lower({})) > 0)"
    statements = {
        "events": f"UPDATE events SET body = $3::jsonb WHERE org_id = $1 AND {named.format('body::text')}",  # noqa: S608
        "outbox": f"DELETE FROM outbox WHERE org_id = $1 AND {named.format('content::text')} AND $3 <> ''",  # noqa: S608
        "alerts": f"UPDATE alerts SET description = $3, remedy = ''"  # noqa: S608
        f" WHERE org_id = $1 AND {named.format('description || remedy')}",
        "alert_notes": f"UPDATE alert_notes SET text = $3 WHERE org_id = $1 AND {named.format('text')}",  # noqa: S608
    }
    emptied = json_text.dump({"eventData": {"message": told}})
    found = {}
    for table, sql in statements.items():
        as_json = table in ("events", "outbox")
        done = await connection.execute(
            sql, org_id, written if as_json else texts, emptied if table == "events" else told
        )
        found[table] = _count(done)
    return found


async def erase_mappings(connection: Connection, org_id: str, account_id: str) -> list[tuple[str, str, str, str]]:
    """Delete the account's mappings, and answer of each (id, system, table, id there)."""
    rows = await connection.fetch(
        "DELETE FROM external_mappings WHERE org_id = $1 AND m3ter_entity = 'Account' AND m3ter_id = $2"
        " RETURNING id, external_system, external_table, external_id",
        org_id,
        account_id,
    )
    return [tuple(row) for row in rows]


async def erase_audit(connection: Connection, org_id: str, account_id: str, texts: Sequence[str]) -> int:
    """Empty the lines of the audit log about the account's mappings, and those that name the person."""
    await connection.execute(MAY_CHANGE)
    done = await connection.execute(
        """
        UPDATE audit_log SET before = '{}', after = '{}'
        WHERE org_id = $1 AND (before <> '{}' OR after <> '{}') AND (
            entity = 'ExternalMapping' AND (before ->> 'm3terId' = $2 OR after ->> 'm3terId' = $2 OR entity_id IN (
                SELECT entity_id FROM audit_log WHERE org_id = $1 AND entity = 'ExternalMapping'
                  AND (before ->> 'm3terId' = $2 OR after ->> 'm3terId' = $2)))
            OR EXISTS (SELECT FROM unnest($3::text[]) AS t(text)
                       WHERE position(lower(text) in lower(before::text || after::text)) > 0))
        """,
        org_id,
        account_id,
        [json_text.dump(text)[1:-1] for text in texts],
    )
    return _count(done)


async def erase_account(connection: Connection, org_id: str, id: str, body: Mapping[str, Any], by: str) -> None:
    await connection.execute(
        "UPDATE accounts SET body = $3::text::jsonb, code = $4, name = $5, version = version + 1, updated_at = now(),"
        " updated_by = $6 WHERE org_id = $1 AND id = $2",
        org_id,
        id,
        json_text.dump(dict(body)),
        body["code"],
        body["name"],
        by,
    )


def _rewritten(text: str, change: Change) -> str:
    return json_text.dump(dict(change(json_text.parse(text))))


def _count(done: str) -> int:
    return int(done.split()[-1])
