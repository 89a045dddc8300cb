"""What became of each bill, over the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.api.entities import ACCOUNT, a_bill, add_credential, refused, send
from tollbridge.store.db import Database


@pytest.fixture
async def integration(api: httpx.AsyncClient, db: Database) -> str:
    await add_credential(db)
    await send(api, "POST", "accounts", ACCOUNT)
    made = await send(
        api,
        "POST",
        "integrationconfigs",
        {
            "destination": "Stripe",
            "entityType": "Bill",
            "integrationCredentialsId": "c1",
            "configData": {"sendFrom": "2026-10-01"},
        },
    )
    return str(made["id"])


async def test_a_bill_tells_its_state_in_each_integration(api: httpx.AsyncClient, integration: str) -> None:
    put = await send(api, "PUT", "bills/b1", a_bill())
    await send(api, "PUT", "bills/old", a_bill(billDate="2026-09-30"))
    (found,) = (await send(api, "GET", "bills/b1/deliveries"))["data"]
    assert found == {
        "billId": "b1",
        "revision": 1,
        "accountId": "acme",
        "billDate": "2026-10-31",
        "currency": "EUR",
        "billTotal": Decimal("12.50"),
        "integrationConfigId": integration,
        "integrationName": found["integrationName"],
        "system": "STRIPE",
        "state": "running",
        "reason": "The run waits for its turn.",
        "runId": put["integrations"][0]["runId"],
    }
    (old,) = (await send(api, "GET", "bills/old/deliveries"))["data"]
    assert (old["state"], old.get("runId")) == ("before_cut_over", None)
    assert "2026-10-01" in old["reason"]
    status, _ = await refused(api, "GET", "bills/nothing/deliveries")
    assert status == 404


async def test_behind_each_total_stands_its_list(api: httpx.AsyncClient, integration: str) -> None:
    for number, day in enumerate(["2026-09-30", "2026-10-30", "2026-10-31", "2026-11-01"]):
        await send(api, "PUT", f"bills/b{number}", a_bill(billDate=day))
    summary = await send(api, "GET", "deliveries/summary?billDateStart=2026-09-01&billDateEnd=2026-11-01")
    told = [(each["period"], each["state"], each["count"], each["sum"]) for each in summary["totals"]]
    assert told == [("2026-09", "before_cut_over", 1, Decimal("12.50")), ("2026-10", "running", 2, Decimal("25.00"))]
    assert [(each["period"], each["count"]) for each in summary["unmatched"]] == [("2026-09", 1)]
    assert summary["doubled"] == []
    listed = await all_of(api, f"deliveries?state=running&billDateEnd=2026-11-01&integrationConfigId={integration}")
    assert [each["billId"] for each in listed] == ["b1", "b2"]
    assert [each["billId"] for each in await all_of(api, "deliveries/unmatched?")] == ["b0"]
    assert await all_of(api, "deliveries/doubled?") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=lost", "state"),
        ("billDateStart=yesterday", "billDateStart"),
        ("nextToken=made-up", "nextToken"),
        ("system=Nobody", "systemName"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_name(api: httpx.AsyncClient, query: str, field: str) -> None:
    status, told = await refused(api, "GET", f"deliveries?{query}")
    assert status in (400, 422)
    assert field in str(told)


async def all_of(api: httpx.AsyncClient, path: str) -> list[Any]:
    """The whole list, one entry at a time."""
    found: list[Any] = []
    token = ""
    while True:
        page = await send(api, "GET", f"{path}&pageSize=1" + (f"&nextToken={token}" if token else ""))
        found += page["data"]
        if "nextToken" not in page:
            return found
        token = page["nextToken"]
