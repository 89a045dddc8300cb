"""Events over the API: submitted once by their id, found by every filter, told with their types and fields."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.api.entities import ACCOUNT, a_bill, ndjson, refused, send
from tollbridge.domain import json_text
from tollbridge.domain.event_types import EVENT_TYPES
from tollbridge.domain.events import MAX_BODY
from tollbridge.services import clock, work
from tollbridge.store.db import Database

SPENT = "configuration.commitment.updated"


def an_event(id: str | None = "e1", **changes: Any) -> dict[str, Any]:
    new = {"id": "c1", "accountId": "acme", "amount": 100, "amountSpent": Decimal("92.10")}
    return {"id": id, "eventName": SPENT, "new": new, "old": {**new, "amountSpent": 80}, **changes}


async def ids(api: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await api.get("events", params=query)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


async def test_a_submitted_event_is_read_as_it_was_sent(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", "events", an_event(eventTime="2026-11-01T10:00:00+02:00"))
    assert made.pop("outcome") == "created"
    assert made == await send(api, "GET", "events/e1")
    assert (made["eventName"], made["eventTime"]) == (SPENT, "2026-11-01T08:00:00.000Z")
    assert (made["eventType"], made["accountId"], made["resourceId"]) == ("EntityEvent", "acme", "c1")
    assert made["m3terEvent"]["eventData"]["newDto"]["amountSpent"] == Decimal("92.10")
    assert made["m3terEvent"]["eventData"]["oldDto"]["amountSpent"] == 80
    assert made["dtActioned"] is None


async def test_the_same_id_twice_is_one_event_and_says_so(api: httpx.AsyncClient) -> None:
    first = await send(api, "POST", "events", an_event())
    again = await send(api, "POST", "events", an_event())
    assert again == {**first, "outcome": "unchanged"}
    assert await ids(api) == ["e1"]


@pytest.mark.parametrize(
    "change",
    [
        {"eventName": "configuration.contract.updated"},
        {"accountId": "other"},
        {"old": None},
        {"eventTime": "2020-01-01T00:00:00Z"},
    ],
)
async def test_an_id_is_not_used_for_two_events(api: httpx.AsyncClient, change: dict[str, Any]) -> None:
    await send(api, "POST", "events", an_event())
    status, refusal = await refused(api, "POST", "events", {**an_event(), **change})
    assert (status, refusal["code"], refusal["field"]) == (409, "event.exists", "id")


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        (an_event(id=None), "field.missing", "id"),
        (an_event(id="types"), "field.id", "id"),
        (an_event(id="a/b"), "field.id", "id"),
        (an_event(eventName="configuration.comitment.updated"), "event.type", "eventName"),
        (an_event(eventName="scheduled.bill.unknown", old=None), "event.type", "eventName"),
        (an_event(eventName="integration.perform.error", old=None), "event.ours", "eventName"),
        (an_event(eventTime="yesterday"), "field.invalid", "eventTime"),
        (an_event(new=None), "field.missing", "new"),
        (an_event(new=[]), "field.invalid", "new"),
        (an_event(eventName="configuration.commitment.created"), "event.side", "old"),
        (an_event(eventName="configuration.commitment.deleted"), "event.side", "new"),
        (an_event(eventName="configuration.commitment.deleted", new=None, old=None), "field.missing", "old"),
        (an_event(new={"text": "a\x00b"}), "field.unprintable", "new.text"),
    ],
)
async def test_what_is_not_right_is_refused(
    api: httpx.AsyncClient, event: dict[str, Any], code: str, field: str
) -> None:
    status, refusal = await refused(api, "POST", "events", event)
    assert (status, refusal["code"], refusal["field"]) == (400, code, field)
    assert await ids(api) == []


async def test_an_event_at_the_limit_is_taken_and_one_byte_more_is_not(api: httpx.AsyncClient) -> None:
    # One text may have 100,000 characters, so the limit is reached with several.
    def sized(size: int) -> dict[str, Any]:
        new = {f"t{n}": "x" * 90_000 for n in range(2)}
        short = len(json_text.dump({"eventData": {"newDto": {**new, "t2": ""}}}))
        return an_event(eventName="configuration.contract.created", old=None, new={**new, "t2": "x" * (size - short)})

    assert (await send(api, "POST", "events", sized(MAX_BODY)))["outcome"] == "created"
    _, refusal = await refused(api, "POST", "events", {**sized(MAX_BODY + 1), "id": "e2"})
    assert (refusal["code"], refusal["field"]) == ("event.too_large", "new")


async def test_events_of_entities_we_hold_may_be_submitted_too(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "events", {"id": "b", "eventName": "billing.bill.deleted", "old": {"id": "b9"}})
    made = await send(
        api, "POST", "events", {"id": "a", "eventName": "configuration.account.created", "new": {"id": "x"}}
    )
    assert (made["accountId"], made["resourceId"]) == ("x", "x")
    assert (await send(api, "GET", "accounts"))["data"] == []


async def test_lines_of_events_are_taken_in_each_once(api: httpx.AsyncClient) -> None:
    lines = ndjson(*[an_event(f"e{n}") for n in (1, 2, 1)], an_event("e2", accountId="other"), {"id": "e3"})
    answer = await api.post("imports/events", content=lines)
    report = answer.json()
    assert (report["accepted"], report["unchanged"], report["refused"]) == (2, 1, 2), report
    assert [(each["line"], each["id"], each["code"]) for each in report["refusals"]] == [
        (4, "e2", "event.exists"),
        (5, "e3", "field.missing"),
    ]
    assert sorted(await ids(api)) == ["e1", "e2"]


async def test_concurrent_submissions_share_commits_and_each_is_answered(api: httpx.AsyncClient, db: Database) -> None:
    answers = await asyncio.gather(
        *(send(api, "POST", "events", an_event(f"e{n % 50}")) for n in range(60)),
        refused(api, "POST", "events", an_event("bad", eventName="no.such")),
    )
    outcomes = [each["outcome"] for each in answers[:60]]
    assert (outcomes.count("created"), outcomes.count("unchanged")) == (50, 10)
    commits = await db.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM events WHERE name = $1", SPENT)
    assert commits <= 10


@pytest.fixture
async def several(api: httpx.AsyncClient, db: Database) -> None:
    """Events by what is particular about them; each came in a moment after the one before."""
    await send(api, "POST", "events", an_event("spent"))
    await send(api, "POST", "events", an_event("other", accountId="b", resourceId="c2"))
    await send(api, "POST", "events", {"id": "ingest", "eventName": "ingest.validation.failure", "new": {"a": 1}})
    await send(api, "POST", "events", an_event("fired"))
    await send(api, "POST", "events", an_event("done"))
    await db.pool.execute("UPDATE events SET rule_ids = '{r1,r2}', rule_codes = '{one,two}' WHERE id = 'fired'")
    await db.pool.execute("UPDATE events SET actioned_at = now() WHERE id = 'done'")


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["fired", "ingest", "other", "spent"]),
        ({"includeActioned": "true"}, ["done", "fired", "ingest", "other", "spent"]),
        ({"includeActioned": "false"}, ["fired", "ingest", "other", "spent"]),
        ({"accountId": "b"}, ["other"]),
        ({"resourceId": "c1"}, ["fired", "spent"]),
        ({"resourceId": ""}, ["fired", "ingest", "other", "spent"]),
        ({"eventName": SPENT, "accountId": "acme"}, ["fired", "spent"]),
        ({"eventName": "billing.bill.created"}, []),
        ({"eventType": "IngestValidationFailure"}, ["ingest"]),
        ({"eventType": "Notification"}, ["fired"]),
        ({"eventType": "IntegrationEvent"}, []),
        ({"notificationId": "r2"}, ["fired"]),
        ({"notificationCode": "one"}, ["fired"]),
        ({"notificationCode": "r1"}, []),
        ({"ids": "done,spent,nothing"}, ["done", "spent"]),
    ],
)
async def test_every_filter_finds_its_events(api: httpx.AsyncClient, query: dict[str, str], found: list[str]) -> None:
    assert await ids(api, **query) == found


@pytest.mark.usefixtures("several")
async def test_pages_follow_each_other_with_every_filter(api: httpx.AsyncClient) -> None:
    for query in ({}, {"eventName": SPENT}, {"accountId": "acme"}):
        whole = await ids(api, **query)
        seen: list[str] = []
        token = None
        while True:
            answer = (await api.get("events", params={**query, "pageSize": 1, "nextToken": token or ""})).json()
            seen += [each["id"] for each in answer["data"]]
            token = answer.get("nextToken")
            if not token:
                break
        assert seen == whole


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("ids=a&accountId=b", "ids"),
        ("ids=a&includeActioned=true", "ids"),
        ("eventType=Notfication", "eventType"),
        ("eventName=billing.bil.created", "eventName"),
        ("nextToken=x", "nextToken"),
    ],
)
async def test_a_filter_that_is_not_right_is_told(api: httpx.AsyncClient, query: str, field: str) -> None:
    status, refusal = await refused(api, "GET", f"events?{query}")
    assert (status, refusal["field"]) == (400, field)


async def test_an_unknown_event_is_not_found(api: httpx.AsyncClient) -> None:
    assert (await refused(api, "GET", "events/nothing"))[0] == 404


async def test_types_are_the_catalogue_and_say_what_only_others_submit(api: httpx.AsyncClient) -> None:
    answer = await send(api, "GET", "events/types")
    assert answer["events"] == list(EVENT_TYPES)
    assert SPENT in answer["onlyIfSubmitted"]
    assert "billing.bill.created" not in answer["onlyIfSubmitted"]


async def test_fields_are_those_of_one_type_or_of_all(api: httpx.AsyncClient) -> None:
    one = await send(api, "GET", f"events/fields?eventName={SPENT}")
    assert one["events"].keys() == {SPENT}
    assert one["events"][SPENT]["old.amountSpent"] == "double"
    everything = await send(api, "GET", "events/fields")
    assert list(everything["events"]) == list(EVENT_TYPES)
    assert (await refused(api, "GET", "events/fields?eventName=x"))[1]["field"] == "eventName"


async def test_what_is_told_of_an_entity_has_the_fields_that_rules_are_promised(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", {**ACCOUNT, "customFields": {"a": 1}, "address": {"locality": "Bern"}})
    await send(api, "PUT", "bills/b", a_bill(dueDate="2026-12-01"))
    await send(api, "PUT", "billconfig", {"billLockDate": "2026-01-31"})
    await send(api, "POST", "products", {"code": "p", "name": "P"})
    kinds = {str: "string", int: "int", Decimal: "double", bool: "boolean", dict: "map", list: "array"}
    found = (await send(api, "GET", "events"))["data"]
    assert {each["eventName"] for each in found} == {
        "configuration.account.created",
        "configuration.product.created",
        "billing.bill.created",
        "billing.billconfig.created",
    }
    for each in found:
        promised = (await send(api, "GET", f"events/fields?eventName={each['eventName']}"))["events"][each["eventName"]]
        for name, value in each["m3terEvent"]["eventData"]["newDto"].items():
            assert promised[f"new.{name}"] == kinds[type(value)], name


async def test_old_events_are_forgotten_by_when_they_came_in(api: httpx.AsyncClient, db: Database) -> None:
    await send(api, "POST", "events", an_event("old", eventTime="2020-01-01T00:00:00Z"))
    await send(api, "POST", "events", an_event("new", eventTime="2020-01-01T00:00:00Z"))
    now = clock.now()
    for id, age in (("old", timedelta(days=28, seconds=1)), ("new", timedelta(days=27, hours=23))):
        await db.pool.execute("UPDATE events SET received_at = $1 WHERE id = $2", now - age, id)
    await work.trim(db, now, timedelta(days=90), timedelta(days=28))
    assert await ids(api) == ["new"]


async def test_scheduled_events_are_configured_and_named_among_the_types(api: httpx.AsyncClient) -> None:
    body = {"name": "scheduled.bill.overdue", "entity": "Bill", "field": "dueDate", "offset": 7}
    made = await send(api, "POST", "scheduledevents/configurations", body)
    assert {name: made[name] for name in body} == body
    assert (await send(api, "GET", "events/types"))["events"][-1] == body["name"]
    assert body["name"] in (await send(api, "GET", "events/fields"))["events"]
    for wrong, field in (
        ({"name": "scheduled.account.x"}, "name"),
        ({"field": "total"}, "field"),
        ({"offset": 3651}, "offset"),
    ):
        status, refusal = await refused(api, "POST", "scheduledevents/configurations", body | wrong)
        assert (status, refusal["field"]) == (400, field)
    assert (await refused(api, "POST", "scheduledevents/configurations", body))[0] == 409
    submitted = {"id": "s", "eventName": body["name"], "new": {"id": "b"}}
    assert (await send(api, "POST", "events", submitted))["eventType"] == "ScheduledEvent"
    changed = {**body, "offset": -7, "version": 1}
    assert (await send(api, "PUT", f"scheduledevents/configurations/{made['id']}", changed))["offset"] == -7
    assert (await refused(api, "PUT", f"scheduledevents/configurations/{made['id']}", changed))[0] == 409
    await send(api, "DELETE", f"scheduledevents/configurations/{made['id']}")
    assert (await refused(api, "POST", "events", {**submitted, "id": "t"}))[1]["code"] == "event.type"
    # What was told stays.
    assert await ids(api, eventName=body["name"]) == ["s"]
