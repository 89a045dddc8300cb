"""Every change of configuration is told: who, when, before, after, and never a secret."""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from tests.api.entities import ACCOUNT, a_bill, add_credential, ndjson, refused, send
from tollbridge.domain.audit import difference
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts
from tollbridge.store import audit
from tollbridge.store.db import Database
from tollbridge.store.schema import metadata

CONFIG = {"destination": "Stripe", "entityType": "Bill", "name": "Invoices"}
MAPPING = {"m3terEntity": "Account", "m3terId": "acme", "externalSystem": "Stripe", "externalTable": "Customer"}


async def log(api: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    """Oldest first."""
    return list(reversed((await send(api, "GET", f"auditlog?pageSize=200{query}"))["data"]))


async def test_a_change_is_told_with_who_what_before_after_and_the_request(
    api: httpx.AsyncClient, organization: NewOrganization
) -> None:
    made = await send(api, "POST", "integrationconfigs", CONFIG)
    answer = await api.put(
        f"integrationconfigs/{made['id']}",
        json=CONFIG | {"name": "Renamed", "configData": {"accountIds": ["acme"]}},
        headers={"x-request-id": "mine-1"},
    )
    assert answer.headers["x-request-id"] == "mine-1"
    await send(api, "POST", f"integrationconfigs/{made['id']}/disable", {"reason": "Holiday"})
    await send(api, "POST", f"integrationconfigs/{made['id']}/enable")
    await send(api, "DELETE", f"integrationconfigs/{made['id']}")
    created, updated, disabled, enabled, deleted = await log(api, f"&entity=Integration&entityId={made['id']}")
    assert created["principal"] == f"SERVICE_USER_{organization.service_user_id}"
    assert (created["action"], created["before"], created["after"]["name"]) == ("CREATE", {}, "Invoices")
    assert updated["before"] == {"name": "Invoices", "configData": {}}
    assert updated["after"] == {"name": "Renamed", "configData": {"accountIds": ["acme"]}}
    assert (updated["requestId"], updated["address"]) == ("mine-1", "127.0.0.1")
    assert (disabled["action"], disabled["after"]) == ("DISABLE", {"enabled": False, "disabledReason": "Holiday"})
    assert (enabled["action"], enabled["before"]["enabled"]) == ("ENABLE", False)
    assert (deleted["action"], deleted["principal"]) == ("DELETE", created["principal"])
    assert (deleted["before"]["name"], deleted["after"]) == ("Renamed", {})


async def test_a_change_that_is_refused_leaves_no_line(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", "integrationconfigs", CONFIG)
    before = await log(api)
    await refused(api, "PUT", f"integrationconfigs/{made['id']}", CONFIG | {"version": 7})
    assert await log(api) == before


async def test_mappings_users_keys_lock_dates_and_decisions_are_told(api: httpx.AsyncClient) -> None:
    user = await send(api, "POST", "serviceusers", {"name": "CI", "role": "viewer"})
    key = await send(api, "POST", f"serviceusers/{user['id']}/accesskeys")
    await send(api, "POST", f"serviceusers/{user['id']}/accesskeys/{key['id']}/deactivate")
    await send(api, "PUT", "billconfig", {"billLockDate": "2026-01-31"})
    mapping = await send(api, "POST", "externalmappings", MAPPING | {"externalId": "cus_1"})
    await send(api, "PUT", f"externalmappings/{mapping['id']}", MAPPING | {"externalId": "cus_2"})
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "PUT", "bills/b", a_bill())
    made = await send(api, "POST", "integrationconfigs", CONFIG)
    await send(api, "POST", f"integrationconfigs/{made['id']}/send")
    told = [(each["entity"], each["action"]) for each in await log(api)]
    assert told == [
        ("ServiceUser", "CREATE"),
        ("AccessKey", "CREATE"),
        ("ServiceUser", "CREATE"),
        ("AccessKey", "CREATE"),
        ("AccessKey", "DISABLE"),
        ("BillConfig", "CREATE"),
        ("ExternalMapping", "CREATE"),
        ("ExternalMapping", "UPDATE"),
        ("Integration", "CREATE"),
        ("Integration", "SEND"),
    ]
    changed = (await log(api, "&entity=ExternalMapping&action=UPDATE"))[0]
    assert (changed["before"], changed["after"]) == ({"externalId": "cus_1"}, {"externalId": "cus_2"})


async def test_no_secret_is_ever_in_the_log(api: httpx.AsyncClient, db: Database) -> None:
    await add_credential(db)
    user = await send(api, "POST", "serviceusers", {"name": "CI", "role": "viewer"})
    key = await send(api, "POST", f"serviceusers/{user['id']}/accesskeys")
    await send(api, "DELETE", "integrationcredentials/c1")
    whole = str(await db.pool.fetch("SELECT * FROM audit_log"))
    assert key["apiSecret"] not in whole
    assert "sealed" not in whole
    told = (await log(api, "&entity=Credential"))[0]
    assert told["before"]["tenantName"] == "Acme Ltd"
    assert "secrets" not in told["before"]
    before, after = difference({"headers": {"Authorization": "a"}, "same": 1}, {"headers": {"Authorization": "b"}})
    assert (before, after) == ({"headers": {"Authorization": "•••"}, "same": 1}, {"headers": {"Authorization": "•••"}})


async def test_an_import_of_many_mappings_stays_fast_and_is_told_line_by_line(
    api: httpx.AsyncClient, db: Database
) -> None:
    lines = [MAPPING | {"m3terId": f"a{n}", "externalId": f"cus_{n}"} for n in range(5000)]
    await send_lines(api, lines)
    started = time.monotonic()
    await send_lines(api, [line | {"externalId": f"x{line['externalId']}"} for line in lines])
    counts = await db.pool.fetch("SELECT action, count(*) FROM audit_log WHERE entity = 'ExternalMapping' GROUP BY 1")
    assert {row["action"]: row["count"] for row in counts} == {"CREATE": 5000, "UPDATE": 5000}
    # Ten batches, each a handful of statements: a statement a line would take many times as long.
    assert time.monotonic() - started < 60


async def send_lines(api: httpx.AsyncClient, lines: list[dict[str, Any]]) -> None:
    answer = await api.post(
        "imports/externalmappings", content=ndjson(*lines), headers={"content-type": "application/x-ndjson"}
    )
    assert answer.json()["refused"] == 0, answer.text


async def test_the_log_is_read_by_filters_and_page_by_page(
    api: httpx.AsyncClient, organization: NewOrganization
) -> None:
    for name in "ABC":
        await send(api, "POST", "serviceusers", {"name": name, "role": "viewer"})
    mine = f"&principal=SERVICE_USER_{organization.service_user_id}"
    assert [each["after"]["name"] for each in await log(api, mine)] == ["A", "B", "C"]
    first = await send(api, "GET", f"auditlog?pageSize=2{mine}")
    rest = await send(api, "GET", f"auditlog?pageSize=2{mine}&nextToken={first['nextToken']}")
    assert [each["after"]["name"] for each in first["data"] + rest["data"]] == ["C", "B", "A"]
    assert "nextToken" not in rest
    assert await log(api, "&dtStart=2999-01-01") == await log(api, "&dtEnd=2000-01-01") == []
    assert (await refused(api, "GET", "auditlog?dtStart=soon"))[0] == 400
    assert (await refused(api, "GET", "auditlog?nextToken=mine"))[0] == 400
    assert (await refused(api, "GET", "auditlog?action=WISH"))[0] == 400


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET principal = 'me'", "DELETE FROM audit_log"])
async def test_the_database_itself_lets_the_log_only_grow(
    statement: str, organization: NewOrganization, db: Database
) -> None:
    with pytest.raises(asyncpg.PostgresError, match="only grows"):
        await db.pool.execute(statement)
    assert await db.pool.fetchval("SELECT count(*) FROM audit_log") == 2


def test_everything_that_is_configured_is_audited() -> None:
    records = {
        table.name for table in metadata.sorted_tables if {"version", "body", "created_by"} <= set(table.c.keys())
    }
    # What is billed is no configuration, and tells itself by whom and when.
    billed = {"accounts", "products", "bills"}
    assert {name for name in records if audit.entity_of(metadata.tables[name])} == records - billed


async def test_lines_of_one_organization_are_no_other_s(api: httpx.AsyncClient, app: FastAPI, parts: Parts) -> None:
    from tollbridge.services import organizations

    other = await organizations.create(parts.db, "Other", "other")
    token = (await parts.gate.issue(other.key_id, other.secret)).text
    theirs = await api.get("http://api/organizations/other/auditlog", headers={"Authorization": f"Bearer {token}"})
    assert {each["entityId"] for each in theirs.json()["data"]} == {other.service_user_id, other.key_id}
