from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Checked, Outcome
from tollbridge.domain.runs import RunLimits
from tollbridge.services import clock, work
from tollbridge.services import credentials as service
from tollbridge.services.parts import Parts
from tollbridge.services.sealing import open_fields
from tollbridge.store.schema import credentials, runs

STRIPE = {"destination": "stripe_test", "name": "Trial", "apiKey": "sk_test_one"}
ANSWERS: dict[str, Outcome] = {
    "sk_test_one": Checked("acct_1", "Acme Ltd", False),
    "sk_test_two": Checked("acct_1", "Acme Ltd", False),
    "sk_test_other": Checked("acct_2", "Umbrella", False),
    "sk_test_away": Fault(FaultKind.UNAVAILABLE, "network.no_reply", "Stripe gave no answer.", "Nothing to do."),
    "sk_test_revoked": Fault(FaultKind.UNAUTHORIZED, "stripe.key", "Expired API Key provided.", "Make a new key."),
}


@pytest.fixture
async def worker(parts: Parts) -> AsyncIterator[None]:
    """What a worker does to check runs, with the vendor's answers written down instead of asked for."""
    await work.register_worker(parts.db, "w1", "here", 1, "0", clock.now())
    working = asyncio.create_task(_work(parts))
    yield
    assert not working.done(), working
    working.cancel()


async def _work(parts: Parts) -> None:
    while True:
        async with parts.db.transaction() as tx:
            queued = list((await tx.execute(select(runs.c.id).where(runs.c.state == "queued"))).scalars())
        claimed = await work.claim(parts.db, parts.vault, queued, "w1", clock.now(), timedelta(minutes=1))
        settlements = [
            work.Settlement(
                each.run_id, each.fence, ANSWERS[each.secrets["apiKey"]], timedelta(seconds=1), clock.now(), 0.0
            )
            for each in claimed
        ]
        await work.settle(parts.db, parts.vault, settlements, RunLimits(8, timedelta(minutes=30)))
        await asyncio.sleep(0.01)


async def secrets_of(parts: Parts, id: str) -> dict[str, Any]:
    async with parts.db.transaction() as tx:
        sealed = (await tx.execute(select(credentials.c.secrets).where(credentials.c.id == id))).scalar_one()
    assert b"sk_test" not in sealed
    return open_fields(parts.vault, id, sealed)


@pytest.mark.usefixtures("worker")
async def test_a_credential_is_checked_when_saved_and_its_secret_never_returned(
    api: httpx.AsyncClient, parts: Parts
) -> None:
    answer = await api.post("integrationcredentials", json=STRIPE)
    made = answer.json()
    assert (made["status"], made["tenantId"], made["tenantName"]) == ("VALID", "acct_1", "Acme Ltd")
    assert (made["type"], made["destination"], made["name"]) == ("STATIC_API_KEY", "STRIPE_TEST", "Trial")
    assert (await api.get(f"integrationruns/{made['checkRunId']}")).json()["status"] == "COMPLETE"
    read = await api.get(f"integrationcredentials/{made['id']}")
    listed = await api.get("integrationcredentials")
    assert listed.json()["data"] == [read.json()]
    assert not any("sk_test" in text for text in (answer.text, read.text, listed.text))
    assert await secrets_of(parts, made["id"]) == {"apiKey": "sk_test_one"}


@pytest.mark.usefixtures("worker")
async def test_a_credential_that_the_vendor_rejects_is_kept_as_invalid_with_the_reason(api: httpx.AsyncClient) -> None:
    made = (await api.post("integrationcredentials", json=STRIPE | {"apiKey": "sk_test_revoked"})).json()
    assert made["status"] == "INVALID"
    assert "Expired API Key" in made["error"]


@pytest.mark.usefixtures("worker")
async def test_a_secret_is_replaced_once_the_new_one_was_checked(api: httpx.AsyncClient, parts: Parts) -> None:
    made = (await api.post("integrationcredentials", json=STRIPE)).json()
    path = f"integrationcredentials/{made['id']}"
    renamed = (await api.put(path, json={**made, "name": "Other name"})).json()
    assert (renamed["name"], renamed["version"]) == ("Other name", 2)
    assert await secrets_of(parts, made["id"]) == {"apiKey": "sk_test_one"}
    changed = (await api.put(path, json=STRIPE | {"apiKey": "sk_test_two", "version": 2})).json()
    assert (changed["name"], changed["status"]) == ("Trial", "VALID")
    assert await secrets_of(parts, made["id"]) == {"apiKey": "sk_test_two"}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("secret", "words"), [("sk_test_other", ["Umbrella", "Acme Ltd"]), ("sk_test_revoked", ["Expired API Key"])]
)
async def test_a_replacement_that_opens_another_tenant_or_nothing_is_refused(
    api: httpx.AsyncClient, parts: Parts, secret: str, words: list[str]
) -> None:
    made = (await api.post("integrationcredentials", json=STRIPE)).json()
    answer = await api.put(f"integrationcredentials/{made['id']}", json=STRIPE | {"name": "New", "apiKey": secret})
    assert answer.status_code == 409
    assert all(word in answer.json()["message"] for word in words)
    read = (await api.get(f"integrationcredentials/{made['id']}")).json()
    assert (read["name"], read["status"], read["version"]) == ("Trial", "VALID", 1)
    assert await secrets_of(parts, made["id"]) == {"apiKey": "sk_test_one"}


@pytest.mark.usefixtures("worker")
async def test_where_the_vendor_is_away_a_replacement_may_be_tried_again(api: httpx.AsyncClient, parts: Parts) -> None:
    made = (await api.post("integrationcredentials", json=STRIPE)).json()
    answer = await api.put(f"integrationcredentials/{made['id']}", json=STRIPE | {"apiKey": "sk_test_away"})
    assert answer.status_code == 503
    assert answer.json()["hint"] == "Repeat the call; the credential keeps its present secret."
    assert await secrets_of(parts, made["id"]) == {"apiKey": "sk_test_one"}


async def test_a_replacement_whose_check_does_not_end_in_time_changes_nothing(
    api: httpx.AsyncClient, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CHECK_PATIENCE", timedelta(seconds=0.1))
    await work.register_worker(parts.db, "w1", "here", 1, "0", clock.now())
    made = (await api.post("integrationcredentials", json=STRIPE)).json()
    path = f"integrationcredentials/{made['id']}"
    answer = await api.put(path, json=STRIPE | {"name": "New", "apiKey": "sk_test_two"})
    assert answer.status_code == 503
    assert "Nothing was changed" in answer.json()["message"]
    read = (await api.get(path)).json()
    assert (read["name"], read["version"]) == ("Trial", 1)
    # What comes late finds its check cut off.
    working = asyncio.create_task(_work(parts))
    again = (await api.post(f"{path}/check")).json()
    assert again["status"] in ("VALID", "UNCHECKED")
    working.cancel()
    assert await secrets_of(parts, made["id"]) == {"apiKey": "sk_test_one"}


async def test_without_a_worker_nothing_is_kept_and_the_answer_says_how_to_start_one(api: httpx.AsyncClient) -> None:
    answer = await api.post("integrationcredentials", json=STRIPE)
    assert answer.status_code == 503
    assert answer.json()["hint"] == "Start one with: tollbridge worker"
    assert (await api.get("integrationcredentials")).json() == {"data": []}


@pytest.mark.usefixtures("worker")
async def test_a_credential_in_use_is_not_deleted_and_names_its_users(api: httpx.AsyncClient) -> None:
    made = (await api.post("integrationcredentials", json=STRIPE)).json()
    path = f"integrationcredentials/{made['id']}"
    config = {"destination": "stripe_test", "entityType": "Bill", "name": "Invoices"}
    integration = await api.post("integrationconfigs", json=config | {"integrationCredentialsId": made["id"]})
    assert integration.json()["connectionStatus"] == "CONNECTED"
    refused = await api.delete(path)
    assert refused.status_code == 409
    assert "Invoices" in refused.json()["message"]
    await api.delete(f"integrationconfigs/{integration.json()['id']}")
    assert (await api.delete(path)).json()["id"] == made["id"]
    assert (await api.get(path)).status_code == 404


@pytest.mark.usefixtures("worker")
async def test_a_credential_can_be_checked_again(api: httpx.AsyncClient) -> None:
    made = (await api.post("integrationcredentials", json=STRIPE)).json()
    again = (await api.post(f"integrationcredentials/{made['id']}/check")).json()
    assert again["status"] == "VALID"
    assert again["checkRunId"] != made["checkRunId"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"destination": "nowhere"}, "destination"),
        ({"name": " "}, "name"),
        ({"type": "HTTP_BASIC"}, "type"),
        ({"apiKey": "sk_live_one"}, "apiKey"),
        ({"apiKey": "pk_test_one"}, "apiKey"),
        ({"apiKey": None}, "apiKey"),
        ({"apiKey": ["sk_test_one"]}, "apiKey"),
        ({"api_key": "sk_test_two"}, "api_key"),
    ],
)
async def test_a_bad_credential_is_refused_by_field_and_never_repeated(
    api: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    answer = await api.post("integrationcredentials", json=STRIPE | change)
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert not any(secret in answer.text for secret in ("sk_test_one", "sk_live_one", "pk_test_one", "sk_test_two"))
