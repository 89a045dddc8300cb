from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from tests.api.entities import ACCOUNT, a_bill, add_credential, refused, send
from tollbridge.domain import json_text
from tollbridge.store.db import Database
from tollbridge.store.schema import run_snapshots, run_steps, runs

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def add_run(db: Database, id: str, minutes: int = 0, **columns: Any) -> None:
    """A delivered run that began so many minutes after noon."""
    moment = START + timedelta(minutes=minutes)
    row = {
        "id": id,
        "org_id": "org 1",
        "version": 3,
        "created_at": moment,
        "created_by": "SYSTEM",
        "updated_at": moment,
        "integration_id": "i1",
        "system": "STRIPE",
        "destination": "Stripe",
        "destination_id": "d1",
        "entity_type": "Bill",
        "entity_id": "b1",
        "revision": 1,
        "account_id": "a1",
        "flow": "deliver",
        "state": "delivered",
        "attempt": 1,
        "due_at": moment,
        "fence": 1,
        "look_first": False,
        "worked_seconds": 0.5,
        "started_at": moment,
        "completed_at": moment,
        "external_id": "in_1",
        "url": "https://stripe.example/in_1",
        "total": Decimal("12.50"),
        "currency": "EUR",
    }
    async with db.transaction() as tx:
        await tx.execute(insert(runs).values(row | columns))


async def ids(api: httpx.AsyncClient, path: str, **params: Any) -> list[str]:
    answer = await api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [run["id"] for run in answer.json()["data"]]


async def test_a_run_is_told_in_the_words_of_the_wire_and_in_ours(api: httpx.AsyncClient, db: Database) -> None:
    await add_run(db, "r1")
    run = json_text.parse((await api.get("integrationruns/r1")).content)
    assert run["status"] == "COMPLETE"
    assert run["state"] == "delivered"
    assert run["dtStarted"] == "2026-03-01T12:00:00.000Z"
    assert (run["entityType"], run["entityId"], run["destination"], run["version"]) == ("Bill", "b1", "Stripe", 3)
    assert (run["externalId"], run["total"], run["currency"]) == ("in_1", Decimal("12.50"), "EUR")
    assert "error" not in run


async def test_a_held_run_says_why_and_what_to_do(api: httpx.AsyncClient, db: Database) -> None:
    await add_run(db, "off", state="held", hold_reason="disabled")
    await add_run(db, "key", state="held", hold_reason="unauthorized", error="Stripe answered 401", hint="Repair it.")
    assert "enable it" in (await api.get("integrationruns/off")).json()["note"]
    told = (await api.get("integrationruns/key")).json()
    assert (told["error"], told["hint"], "note" in told) == ("Stripe answered 401", "Repair it.", False)


async def test_runs_of_an_entity_are_listed_between_two_moments(api: httpx.AsyncClient, db: Database) -> None:
    for minute in range(3):
        await add_run(db, f"r{minute}", minute)
    await add_run(db, "other", entity_id="b2")
    path = "integrationruns/Bill/b1"
    assert await ids(api, path) == ["r2", "r1", "r0"]
    assert await ids(api, path, order="ASC") == ["r0", "r1", "r2"]
    assert await ids(api, path, startDate="2026-03-01T12:00:00Z") == ["r2", "r1"]
    assert await ids(api, path, endDate="2026-03-01T13:01:00+01:00") == ["r1", "r0"]
    assert await ids(api, path, startDate="2026-03-02") == []


async def test_runs_are_listed_page_by_page_in_both_orders(api: httpx.AsyncClient, db: Database) -> None:
    for minute in range(3):
        await add_run(db, f"r{minute}", minute)
    for order, expected in (("ASC", ["r0", "r1", "r2"]), ("DESC", ["r2", "r1", "r0"])):
        first = (await api.get("integrationruns", params={"pageSize": 2, "order": order})).json()
        token = first["nextToken"]
        found = [run["id"] for run in first["data"]]
        found += await ids(api, "integrationruns", pageSize=2, order=order, nextToken=token)
        assert found == expected


async def test_runs_are_found_by_status_integration_entity_and_destination(
    api: httpx.AsyncClient, db: Database
) -> None:
    await add_run(db, "done")
    other: dict[str, Any] = {"integration_id": "i2", "destination_id": "d2", "entity_id": "b2"}
    await add_run(db, "failed", state="failed", fault_kind="UNAVAILABLE", **other)
    assert await ids(api, "integrationruns", status="ERROR") == ["failed"]
    assert await ids(api, "integrationruns", integrationId="i1") == ["done"]
    assert await ids(api, "integrationruns", entityType="Bill", entityId="b2") == ["failed"]
    assert await ids(api, "integrationruns", entityType="Bill", entityId="b2", integrationId="i1") == []
    assert await ids(api, "integrationruns/destinations/d2") == ["failed"]
    assert await ids(api, "integrationruns/destinations/d2", destination="stripe") == ["failed"]


async def test_the_latest_run_of_one_and_of_several_entities(api: httpx.AsyncClient, db: Database) -> None:
    await add_run(db, "old")
    await add_run(db, "new", 1)
    await add_run(db, "else", entity_id="b2")
    assert (await api.get("integrationruns/Bill/latest/b1")).json()["id"] == "new"
    assert (await api.get("integrationruns/Bill/latest/none")).status_code == 404
    assert await ids(api, "integrationruns/Bill/latest", ids="b1,b2,none") == ["new", "else"]
    assert await ids(api, "integrationruns/Bill/latest", ids=["b2", "b1"]) == ["else", "new"]


async def test_the_log_is_readable_text_and_the_steps_are_a_timeline(api: httpx.AsyncClient, db: Database) -> None:
    await add_run(db, "r1")
    async with db.transaction() as tx:
        await tx.execute(
            insert(run_snapshots).values(run_id="r1", config={"finish": "send"}, mappings=[], account={"id": "a1"})
        )
        await tx.execute(
            insert(run_steps).values(
                run_id="r1",
                seq=1,
                key="invoice",
                name="Create draft invoice",
                kind="write",
                attempt=1,
                epoch=0,
                started_at=START,
                completed_at=START + timedelta(seconds=0.25),
                status=200,
                request={"method": "POST", "path": "/v1/invoices"},
                reply={"id": "in_1", "total": Decimal("12.50")},
            )
        )
    payload = (await api.get("integrationruns/logs/r1")).json()["Payload"]
    text = base64.b64decode(payload).decode()
    assert "Delivered as in_1" in text
    assert "1. Create draft invoice [write invoice] 2026-03-01 12:00:00.000Z, attempt 1, 0.250 s: 200" in text
    assert '"total": 12.50' in text
    timeline = (await api.get("integrationruns/r1/steps")).json()
    assert timeline["configuration"] == {"finish": "send"}
    assert timeline["run"]["id"] == "r1"
    step = timeline["steps"][0]
    assert (step["name"], step["status"], step["dtCompleted"]) == (
        "Create draft invoice",
        200,
        "2026-03-01T12:00:00.250Z",
    )
    assert (await api.get("integrationruns/r1")).json()["configuration"] == {"finish": "send"}


@pytest.mark.parametrize("path", ["integrationruns/no", "integrationruns/logs/no", "integrationruns/no/steps"])
async def test_an_unknown_run_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert answer.status_code == 404
    assert answer.json()["message"]


@pytest.mark.parametrize("query", ["status=DONE", "order=UP", "startDate=yesterday", "endDate=32"])
async def test_a_bad_filter_is_refused_by_name(api: httpx.AsyncClient, query: str) -> None:
    answer = await api.get(f"integrationruns?{query}")
    assert answer.status_code == 400
    assert answer.json()["field"] == query.split("=")[0]


async def test_a_bill_gets_a_run_which_is_not_replayed_while_it_is_under_way(
    api: httpx.AsyncClient, db: Database
) -> None:
    await add_credential(db)
    config = {"destination": "Stripe", "entityType": "Bill", "integrationCredentialsId": "c1"}
    integration = await send(api, "POST", "integrationconfigs", config)
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "PUT", "bills/b1", a_bill())
    run = (await send(api, "GET", "integrationruns/Bill/b1"))["data"][0]
    assert (run["status"], run["state"], run["integrationId"]) == ("WAITING", "queued", integration["id"])
    replayed = await api.post(f"integrationruns/{run['id']}/replay")
    assert replayed.status_code == 409
    assert replayed.json()["code"] == "run.under_way"
    assert (await send(api, "GET", f"integrationconfigs/{integration['id']}"))["status"] == "WAITING"


async def test_bills_are_held_while_an_integration_is_disabled_and_counted_where_it_is_new(
    api: httpx.AsyncClient, db: Database
) -> None:
    await add_credential(db)
    config = {"destination": "Stripe", "entityType": "Bill", "integrationCredentialsId": "c1"}
    first = await send(api, "POST", "integrationconfigs", config)
    await send(api, "POST", f"integrationconfigs/{first['id']}/disable")
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "PUT", "bills/b1", a_bill())
    runs_of_bill = "integrationruns/Bill/b1"
    held = (await send(api, "GET", runs_of_bill))["data"][0]
    assert (held["status"], held["holdReason"]) == ("DISABLED", "disabled")
    await send(api, "POST", f"integrationconfigs/{first['id']}/enable")
    assert (await send(api, "GET", runs_of_bill))["data"][0]["state"] == "queued"
    second = await send(api, "POST", "integrationconfigs", config)
    assert second["billsInScope"] == {"count": 1, "totals": {"EUR": Decimal("12.50")}, "undecidedAccounts": 0}
    assert await send(api, "POST", f"integrationconfigs/{second['id']}/send") == {"runs": 1}


async def test_an_unknown_run_is_not_replayed(api: httpx.AsyncClient) -> None:
    assert (await api.post("integrationruns/none/replay")).status_code == 404


async def test_a_held_run_shows_its_choices_and_takes_one(api: httpx.AsyncClient, db: Database) -> None:
    await add_credential(db)
    config = {"destination": "Stripe", "entityType": "Bill", "integrationCredentialsId": "c1"}
    integration = await send(api, "POST", "integrationconfigs", config)
    await send(api, "POST", "accounts", ACCOUNT)
    offers = [{"choice": "void_and_reissue", "text": "Void in_1; then issue it anew.", "money": False}]
    changed: dict[str, Any] = {"state": "held", "hold_reason": "changed", "offers": offers, "completed_at": None}
    await add_run(db, "r1", integration_id=integration["id"], account_id="acme", **changed)
    assert (await send(api, "GET", "integrationruns/r1"))["choices"] == offers
    status, refusal = await refused(api, "POST", "integrationruns/r1/decide", {"choice": "delta"})
    assert (status, refusal["field"]) == (400, "choice")
    decided = await send(
        api,
        "POST",
        "integrationruns/r1/decide",
        {"choice": "void_and_reissue", "note": "As agreed.", "mailCustomer": False},
    )
    assert decided["state"] == "queued"
    assert decided["decision"]["note"] == "As agreed."
    assert "choices" not in decided
    payload = (await send(api, "GET", "integrationruns/logs/r1"))["Payload"]
    assert f"by {decided['decision']['by']}" in base64.b64decode(payload).decode()
    assert (await refused(api, "POST", "integrationruns/r1/decide", {"choice": "leave"}))[0] == 409
