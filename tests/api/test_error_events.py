"""Error events over the API: by cause, and marked as actioned, one by one or with all of their cause."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from tests.api.entities import send
from tests.console.trouble import REJECTED, unmapped
from tollbridge.domain.errors import Fault
from tollbridge.domain.events import run_failed
from tollbridge.services import clock
from tollbridge.services.raising import raise_events
from tollbridge.store.db import Database


async def fail(db: Database, id: str, fault: Fault, minutes_ago: int = 1) -> None:
    """An error event that came in so long ago."""
    at = clock.now() - timedelta(minutes=minutes_ago)
    event = run_failed(
        id,
        fault.rule.event or "",
        fault,
        at,
        org_id="org 1",
        run_id=None,
        integration_id="int",
        account_id="a",
        entity_id="b",
    )
    async with db.hot() as connection:
        await raise_events(connection, [event], at)


@pytest.fixture
async def errors(db: Database) -> None:
    await fail(db, "one", unmapped("a"), 3)
    await fail(db, "two", unmapped("b"), 2)
    await fail(db, "other", REJECTED, 1)


async def test_error_events_are_grouped_by_cause(api: httpx.AsyncClient, errors: None) -> None:
    found = (await send(api, "GET", "events/groups"))["data"]
    assert [(each["latestEventId"], each["code"], each["count"], each["open"]) for each in found] == [
        ("other", "stripe.customer_gone", 1, 1),
        ("two", "mapping.missing", 2, 2),
    ]
    assert found[1]["missing"] == "Stripe/Customer"
    assert found[1]["message"] == "Account b has no Customer in Stripe. Create the mapping."
    none = await send(api, "GET", "events/groups?integrationConfigId=another")
    assert none["data"] == []


async def test_one_event_is_marked_and_the_mark_is_taken_back(api: httpx.AsyncClient, errors: None) -> None:
    assert (await send(api, "POST", "events/one/mark"))["dtActioned"]
    assert "dtActioned" not in {k for k, v in (await send(api, "GET", "events/two")).items() if v}
    group = (await send(api, "GET", "events/groups"))["data"][1]
    assert (group["count"], group["open"]) == (1, 1)
    again = await send(api, "POST", "events/one/mark", {"actioned": False, "note": "It came back."})
    assert not again.get("dtActioned")


async def test_a_group_is_marked_but_not_what_came_in_since(api: httpx.AsyncClient, db: Database, errors: None) -> None:
    until = (clock.now() - timedelta(seconds=90)).isoformat()
    marked = await send(api, "POST", "events/two/group/mark", {"until": until, "note": "Mapped."})
    assert marked == {"marked": 2}
    await fail(db, "later", unmapped("c"), 0)
    assert [each["id"] for each in (await send(api, "GET", "events"))["data"]] == ["later", "other"]
    assert await send(api, "POST", "events/later/group/mark") == {"marked": 1}
    assert (await send(api, "GET", "events/groups?includeActioned=true"))["data"][0]["open"] == 0


async def test_what_is_no_error_event_belongs_to_no_group(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "events", {"id": "e", "eventName": "billing.bill.created", "new": {"id": "x"}})
    refused = await api.post("events/e/group/mark")
    assert (refused.status_code, refused.json()["code"]) == (400, "event.no_error")
    assert (await api.post("events/none/mark")).status_code == 404
    assert (await api.post("events/none/group/mark")).status_code == 404
    assert (await api.post("events/e/mark", json={"note": "x" * 2001})).status_code == 400


async def test_nothing_is_mended_where_nothing_can_be(api: httpx.AsyncClient, db: Database, errors: None) -> None:
    gone = await api.get("events/two/group")
    assert (gone.status_code, gone.json()["message"]) == (404, 'There is no integration configuration "int".')
    assert (await api.post("events/two/group/mend")).status_code == 404
    assert (await api.get("events/mendings/none")).status_code == 404
    assert (await api.post("events/mendings/none/stop")).status_code == 404
