"""Notification rules over the API: their fields, their calculations, trying one, and what they fire on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.api.entities import ACCOUNT, a_bill, refused, send
from tollbridge.domain.calculation import LONGEST

RULES = "notifications/configurations"
RULE = {
    "code": "big",
    "name": "Big bills",
    "description": "Bills that somebody should look at",
    "eventName": "billing.bill.created",
    "calculation": "new.billTotal > 1000",
}
# The wire's own example, with its line ends.
SPENT = """(new.amountSpent >= ((new.amount*90)/100))
AND ((old.amountSpent <= ((old.amount*90)/100)) OR (old.amountSpent == null))"""


async def tried(api: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await send(api, "POST", "notifications/evaluate", body)
    return answer


# Fields


async def test_a_rule_is_kept_as_it_was_sent_active_and_at_version_1(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", RULES, RULE | {"version": 0, "createdBy": "x"})
    assert {name: made[name] for name in RULE} == RULE
    assert (made["active"], made["alwaysFireEvent"], made["version"]) == (True, False, 1)
    assert await send(api, "GET", f"{RULES}/{made['id']}") == made
    assert await send(api, "DELETE", f"{RULES}/{made['id']}") == made
    assert (await refused(api, "GET", f"{RULES}/{made['id']}"))[0] == 404


async def test_the_whole_answer_can_be_put_back_with_a_change(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", RULES, RULE)
    changed = await send(api, "PUT", f"{RULES}/{made['id']}", {**made, "active": False, "calculation": "true"})
    assert (changed["active"], changed["calculation"], changed["version"]) == (False, "true", 2)
    status, told = await refused(api, "PUT", f"{RULES}/{made['id']}", made)
    assert (status, told["code"]) == (409, "version.stale")


async def test_a_code_is_taken_once(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", RULES, RULE)
    status, told = await refused(api, "POST", RULES, RULE | {"name": "Other"})
    assert (status, told["field"]) == (409, "code")
    assert made["id"] in told["message"]
    other = await send(api, "POST", RULES, RULE | {"code": "other"})
    assert (await refused(api, "PUT", f"{RULES}/{other['id']}", RULE))[0] == 409


async def test_rules_are_listed_newest_first_by_ids_by_event_and_by_whether_they_are_active(
    api: httpx.AsyncClient,
) -> None:
    one = await send(api, "POST", RULES, RULE | {"code": "1"})
    two = await send(api, "POST", RULES, RULE | {"code": "2", "active": False})
    three = await send(api, "POST", RULES, RULE | {"code": "3", "eventName": "billing.bill.updated"})

    async def listed(query: str = "") -> list[str]:
        return [each["id"] for each in (await send(api, "GET", f"{RULES}{query}"))["data"]]

    assert await listed() == [three["id"], two["id"], one["id"]]
    assert await listed("?active=true") == [three["id"], one["id"]]
    assert await listed("?active=false") == [two["id"]]
    assert await listed("?eventName=billing.bill.created&active=true") == [one["id"]]
    assert await listed(f"?ids={one['id']},{three['id']},nobody") == [three["id"], one["id"]]
    first = await send(api, "GET", f"{RULES}?pageSize=2")
    rest = await send(api, "GET", f"{RULES}?pageSize=2&nextToken={first['nextToken']}")
    assert [each["id"] for each in rest["data"]] == [one["id"]]
    assert (await refused(api, "GET", f"{RULES}?pageSize=101"))[0] == 400
    assert (await refused(api, "GET", f"{RULES}?eventName=billing.bill.creatd"))[1]["hint"].endswith("created?")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"code": None}, "code", "missing"),
        ({"code": ""}, "code", "1 to 80"),
        ({"code": "x" * 81}, "code", "1 to 80"),
        ({"name": "x" * 201}, "name", "1 to 200"),
        ({"description": ""}, "description", "1 to 2000"),
        ({"eventName": "billing.bill.creatd"}, "eventName", "Did you mean billing.bill.created?"),
        ({"eventName": "scheduled.bill.unheard"}, "eventName", "no such scheduled event"),
        ({"active": "yes"}, "active", "true or false"),
        ({"calculation": None}, "calculation", "alwaysFireEvent"),
        ({"calculation": " \n"}, "calculation", "alwaysFireEvent"),
        ({"calculation": "new.billTotl > 5"}, "calculation", "Did you mean new.billTotal?"),
        ({"calculation": "old.billTotal > 5"}, "calculation", "there is no field old.billTotal"),
        ({"calculation": "new.billTotal >"}, "calculation", "line 1, column 16"),
        ({"calculation": "true" + " " * LONGEST}, "calculation", str(LONGEST)),
    ],
)
async def test_a_bad_rule_is_refused_by_field(
    api: httpx.AsyncClient, change: dict[str, Any], field: str, words: str
) -> None:
    body = {name: value for name, value in (RULE | change).items() if value is not None}
    status, told = await refused(api, "POST", RULES, body)
    assert (status, told["field"]) == (400, field)
    assert words in f"{told['message']} {told.get('hint')}"
    assert await send(api, "GET", RULES) == {"data": []}


async def test_the_longest_calculation_is_taken(api: httpx.AsyncClient) -> None:
    await send(api, "POST", RULES, RULE | {"calculation": "true" + " " * (LONGEST - 4)})


async def test_a_calculation_counts_only_where_the_rule_does_not_always_fire(api: httpx.AsyncClient) -> None:
    body = RULE | {"alwaysFireEvent": True, "calculation": "of no interest"}
    made = await send(api, "POST", RULES, body)
    assert made["calculation"] == "of no interest"
    await send(api, "POST", RULES, {name: body[name] for name in body if name != "calculation"} | {"code": "b"})
    _, told = await refused(api, "PUT", f"{RULES}/{made['id']}", body | {"alwaysFireEvent": False})
    assert told["field"] == "calculation"


async def test_a_rule_may_be_on_a_scheduled_event_that_is_configured(api: httpx.AsyncClient) -> None:
    scheduled = {"name": "scheduled.bill.due", "entity": "Bill", "field": "dueDate", "offset": 1}
    await send(api, "POST", "scheduledevents/configurations", scheduled)
    await send(api, "POST", RULES, RULE | {"eventName": "scheduled.bill.due"})


async def test_a_rule_that_leads_to_a_webhook_is_not_deleted(api: httpx.AsyncClient) -> None:
    rule = await send(api, "POST", RULES, RULE)
    signed = {"type": "M3TER_SIGNED_REQUEST", "apiKey": "key", "secret": "secret"}
    hook = {"name": "Hook", "description": "d", "url": "http://127.0.0.1:4011/in", "credentials": signed}
    hook = await send(api, "POST", "integrationdestinations/webhooks", hook)
    link = {"entityType": "Notification", "entityId": rule["id"], "destination": "Webhook", "name": "Big to hook"}
    made = await send(api, "POST", "integrationconfigs", link | {"destinationId": hook["id"]})
    status, told = await refused(api, "DELETE", f"{RULES}/{rule['id']}")
    assert (status, told["code"]) == (409, "notification_rule.linked")
    assert "Big to hook" in told["message"]
    await send(api, "DELETE", f"integrationconfigs/{made['id']}")
    await send(api, "DELETE", f"{RULES}/{rule['id']}")


# Firing


async def test_a_rule_fires_on_what_its_calculation_is_true_of_and_no_longer_when_it_is_changed(
    api: httpx.AsyncClient,
) -> None:
    rule = await send(api, "POST", RULES, RULE | {"calculation": "new.billTotal > 12"})
    await send(api, "POST", RULES, RULE | {"code": "off", "alwaysFireEvent": True, "active": False})
    await send(api, "POST", "accounts", ACCOUNT)

    async def fired(bill: str) -> list[str]:
        await send(api, "PUT", f"bills/{bill}", a_bill())
        event = (await send(api, "GET", f"events?eventName=billing.bill.created&resourceId={bill}"))["data"][0]
        return list(event.get("notificationIds", []))

    assert await fired("one") == [rule["id"]]
    await send(api, "PUT", f"{RULES}/{rule['id']}", rule | {"calculation": "new.billTotal > 13"})
    assert await fired("two") == []


# Trying


async def test_a_calculation_is_tried_on_a_type_of_events(api: httpx.AsyncClient) -> None:
    commitment = "configuration.commitment.updated"
    assert await tried(api, eventName=commitment, calculation=SPENT) == {"success": True}
    wrong = await tried(api, eventName=commitment, calculation="new.amountSpent >= ) AND true")
    assert wrong["success"] is False
    assert "line 1, column 20" in wrong["errorMessage"]
    assert wrong["errorMessage"].splitlines()[3] == " " * 19 + "^"
    unknown = await tried(api, eventName=commitment, calculation="new.amountSpnt > 1")
    assert "Did you mean new.amountSpent?" in unknown["errorMessage"]
    assert (await tried(api, eventName=commitment))["success"] is False
    long = await tried(api, eventName=commitment, calculation="true" + " " * LONGEST)
    assert f"at most {LONGEST}" in long["errorMessage"]


@pytest.mark.parametrize(
    ("calculation", "expected"),
    [
        ("new.amount > 10", {"success": True, "fires": True}),
        ("new.amount == 10.1 AND new.customFields.tier == 'gold'", {"success": True, "fires": True}),
        ("new.amount > 11", {"success": True, "fires": False}),
        ("new.amountSpent > 1", {"success": True, "fires": False}),
    ],
)
async def test_a_calculation_is_tried_on_an_event(
    api: httpx.AsyncClient, calculation: str, expected: dict[str, bool]
) -> None:
    new = {"id": "c", "amount": Decimal("10.10"), "customFields": {"tier": "gold"}}
    event = {"id": "e", "eventName": "configuration.commitment.created", "new": new}
    await send(api, "POST", "events", event)
    assert await tried(api, eventId="e", calculation=calculation) == expected


async def test_a_calculation_that_comes_to_nothing_on_an_event_says_where(api: httpx.AsyncClient) -> None:
    event = {"id": "e", "eventName": "configuration.commitment.created", "new": {"amount": 0}}
    await send(api, "POST", "events", event)
    for calculation, words in (("1 / new.amount > 1", "division by zero"), ("new.amount + 1", "a condition is needed")):
        found = await tried(api, eventId="e", calculation=calculation)
        assert found["success"] is False
        assert words in found["errorMessage"]
        assert "line 1, column" in found["errorMessage"]


async def test_where_both_are_named_the_type_of_events_wins(api: httpx.AsyncClient) -> None:
    assert await tried(api, eventName="billing.bill.created", eventId="nothing", calculation="true") == {
        "success": True
    }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"calculation": "true"}, 400),
        ({"calculation": "true", "eventName": "billing.bill.creatd"}, 400),
        ({"calculation": "true", "eventId": "nothing"}, 404),
        ({"calculation": 5, "eventName": "billing.bill.created"}, 400),
    ],
)
async def test_a_trial_on_nothing_is_refused(api: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    assert (await refused(api, "POST", "notifications/evaluate", body))[0] == status


async def test_a_trial_leaves_nothing_behind(api: httpx.AsyncClient) -> None:
    await tried(api, eventName="billing.bill.created", calculation="true")
    for noun in (RULES, "events?includeActioned=true", "integrationruns"):
        assert await send(api, "GET", noun) == {"data": []}
