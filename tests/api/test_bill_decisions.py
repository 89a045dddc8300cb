"""What integrations do about a bill is decided with its change, and said in the answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.entities import ACCOUNT, a_bill, add_credential, ndjson, send
from tests.api.test_integrations import STRIPE
from tollbridge.domain import json_text
from tollbridge.store.db import Database


@pytest.fixture(autouse=True)
async def account(api: httpx.AsyncClient, db: Database) -> None:
    await send(api, "POST", "accounts", ACCOUNT)
    await add_credential(db)


async def integration(api: httpx.AsyncClient, **options: Any) -> str:
    body = {**STRIPE, "integrationCredentialsId": "c1", "configData": {**STRIPE["configData"], **options}}  # type: ignore[dict-item]
    made = await send(api, "POST", "integrationconfigs", body)
    id: str = made["id"]
    return id


async def test_a_new_bill_is_sent_by_each_integration_in_scope(api: httpx.AsyncClient) -> None:
    id = await integration(api)
    [decision] = (await send(api, "PUT", "bills/b", a_bill()))["integrations"]
    assert (decision["integrationConfigId"], decision["decision"]) == (id, "SEND")
    assert (await send(api, "GET", f"integrationruns/{decision['runId']}"))["entityId"] == "b"
    assert (await send(api, "PUT", "bills/b", a_bill()))["integrations"] == []


async def test_a_bill_before_the_cut_over_says_so(api: httpx.AsyncClient) -> None:
    await integration(api, sendFrom="2026-11-01")
    [decision] = (await send(api, "PUT", "bills/b", a_bill()))["integrations"]
    assert (decision["decision"], decision["runId"]) == ("TOO_OLD", None)
    assert "2026-11-01" in decision["reason"]


async def test_a_bill_that_awaits_approval_is_sent_when_it_is_approved(api: httpx.AsyncClient) -> None:
    await integration(api, onlySendOnApproval=True)
    [decision] = (await send(api, "PUT", "bills/b", a_bill()))["integrations"]
    assert decision["decision"] == "AWAITS_APPROVAL"
    [approved] = (await send(api, "POST", "bills/approve", {"billIds": ["b"]}))["integrations"]
    assert (approved["billId"], approved["decision"]) == ("b", "SEND")


async def test_an_approval_taken_back_cancels_what_waited_for_it_and_may_come_again(api: httpx.AsyncClient) -> None:
    approved_only = await integration(api, onlySendOnApproval=True)
    always = await integration(api)
    await send(api, "PUT", "bills/b", a_bill())
    [first, _] = (await send(api, "PUT", "bills/b/status", {"status": "APPROVED"}))["integrations"]
    [cancelled] = (await send(api, "PUT", "bills/b/status", {"status": "PENDING"}))["integrations"]
    assert cancelled == {
        "integrationConfigId": approved_only,
        "decision": "CANCELLED",
        "runId": first["runId"],
        "reason": "The approval of the bill was taken back.",
    }
    states = {run["integrationId"]: run["state"] for run in (await send(api, "GET", "integrationruns"))["data"]}
    assert states == {approved_only: "cancelled", always: "queued"}
    again = (await send(api, "POST", "bills/approve", {"billIds": ["b"]}))["integrations"]
    assert [each["decision"] for each in again] == ["SEND", "ALREADY"]


async def test_an_import_counts_what_was_decided(api: httpx.AsyncClient) -> None:
    id = await integration(api, restrictedAccountIds=["never"])
    await send(api, "POST", "accounts", {**ACCOUNT, "id": "never", "code": "N"})
    lines = ndjson(a_bill(id="1"), a_bill(id="2"), a_bill(id="3", accountId="never"))
    report = json_text.parse((await api.post("imports/bills", content=lines)).content)
    assert report["decisions"] == [
        {"integrationConfigId": id, "decision": "OUT_OF_SCOPE", "bills": 1},
        {"integrationConfigId": id, "decision": "SEND", "bills": 2},
    ]
    again = json_text.parse((await api.post("imports/bills", content=lines)).content)
    assert again["decisions"] == []


async def test_a_refused_bill_decides_nothing(api: httpx.AsyncClient) -> None:
    await integration(api)
    await api.put("bills/b", content=json_text.dump(a_bill(billTotal=1)))
    assert (await send(api, "GET", "integrationruns"))["data"] == []
