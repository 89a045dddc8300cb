from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from tests.api.entities import ACCOUNT, a_bill, add_credential, send
from tollbridge.store.db import Database
from tollbridge.store.schema import integrations

STRIPE = {"destination": "Stripe", "entityType": "Bill", "name": "Invoices", "configData": {"finish": "finalise"}}


async def test_every_field_of_the_wire_is_kept_and_returned(api: httpx.AsyncClient, db: Database) -> None:
    await add_credential(db)
    sent = {
        **STRIPE,
        "destinationId": "d1",
        "entityId": "e1",
        "integrationCredentialsId": "c1",
        "configData": {"memo": "Période {periodStart}", "accountIds": ["a", "b"], "sendFrom": "2026-01-01"},
    }
    made = (await api.post("integrationconfigs", json=sent | {"version": 0, "id": "x", "triggerType": "EVENT"})).json()
    assert {name: made[name] for name in sent} == sent
    assert made["version"] == 1
    assert (made["authorized"], made["enabled"], made["connectionStatus"]) == (True, True, "CONNECTED")
    assert made["billsInScope"] == {"count": 0, "totals": {}, "undecidedAccounts": 0}
    read = (await api.get(f"integrationconfigs/{made['id']}")).json()
    assert read["status"] == "WAITING"
    assert {name: read[name] for name in sent} == sent


async def test_the_whole_answer_can_be_put_back_with_a_change(api: httpx.AsyncClient) -> None:
    made = (await api.post("integrationconfigs", json=STRIPE)).json()
    read = (await api.get(f"integrationconfigs/{made['id']}")).json()
    changed = (await api.put(f"integrationconfigs/{made['id']}", json={**read, "name": "Other"})).json()
    assert (changed["name"], changed["version"], changed["configData"]) == ("Other", 2, {"finish": "finalise"})
    stale = await api.put(f"integrationconfigs/{made['id']}", json=read)
    assert (stale.status_code, stale.json()["code"]) == (409, "version.stale")


async def test_what_is_not_set_is_left_out_and_a_name_is_given(api: httpx.AsyncClient) -> None:
    made = (await api.post("integrationconfigs", json={"destination": "stripe-test", "entityType": "bill"})).json()
    assert made["name"] == "Stripe (Test mode) Bill"
    assert (made["destination"], made["entityType"], made["configData"]) == ("stripe-test", "bill", {})
    assert not {"entityId", "destinationId", "integrationCredentialsId", "disabledReason"} & made.keys()
    assert made["connectionStatus"] == "DISCONNECTED"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"destination": None}, "destination"),
        ({"destination": "Webhook"}, "entityType"),
        ({"destination": "Fax"}, "destination"),
        ({"entityType": "Notification"}, "entityType"),
        ({"configData": {"accountFilter": "x"}}, "configData.accountFilter"),
        ({"configData": {"memo": "a\x00"}}, "configData.memo"),
        ({"configData": []}, "configData"),
        ({"integrationCredentialsId": "none"}, "integrationCredentialsId"),
        ({"integrationCredentialsId": "test"}, "integrationCredentialsId"),
    ],
)
async def test_a_bad_configuration_is_refused_by_field(
    api: httpx.AsyncClient, db: Database, change: dict[str, Any], field: str
) -> None:
    await add_credential(db, "test", "STRIPE_TEST")
    answer = await api.post("integrationconfigs", json=STRIPE | change)
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert (await api.get("integrationconfigs")).json() == {"data": []}


async def test_disabling_says_why_and_enabling_clears_it(api: httpx.AsyncClient, db: Database) -> None:
    await add_credential(db)
    id = (await api.post("integrationconfigs", json=STRIPE | {"integrationCredentialsId": "c1"})).json()["id"]
    disabled = (await api.post(f"integrationconfigs/{id}/disable", json={"reason": "Closing the books"})).json()
    assert disabled["enabled"] is False
    assert disabled["disabledReason"] == "Closing the books"
    assert (disabled["status"], disabled["connectionStatus"], disabled["version"]) == ("DISABLED", "DISABLED", 2)
    headers = {"Content-Type": "application/json"}
    enabled = (await api.post(f"integrationconfigs/{id}/enable", headers=headers)).json()
    assert (enabled["enabled"], enabled["connectionStatus"], enabled["version"]) == (True, "CONNECTED", 3)
    assert "disabledReason" not in enabled


async def test_errors_in_a_row_and_the_rule_are_shown(api: httpx.AsyncClient, db: Database) -> None:
    made = await send(api, "POST", "integrationconfigs", STRIPE)
    assert (made["errorsInARow"], made["disableAfter"]) == (0, 10)
    async with db.transaction() as tx:
        await tx.execute(update(integrations).values(errors_in_row={"stripe.bad": 4, "http.503": 3}))
    changed = STRIPE | {"configData": {"disableAfter": 3}}
    shown = await send(api, "PUT", f"integrationconfigs/{made['id']}", changed)
    assert (shown["errorsInARow"], shown["disableAfter"]) == (7, 3)
    enabled = await send(api, "POST", f"integrationconfigs/{made['id']}/enable")
    assert enabled["errorsInARow"] == 0


async def test_what_is_held_is_shown_and_dropped_where_that_is_chosen(api: httpx.AsyncClient, db: Database) -> None:
    await add_credential(db)
    made = await send(api, "POST", "integrationconfigs", STRIPE | {"integrationCredentialsId": "c1"})
    await send(api, "POST", f"integrationconfigs/{made['id']}/disable", {"reason": "Closing the books"})
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "PUT", "bills/b1", a_bill())
    shown = await send(api, "GET", f"integrationconfigs/{made['id']}")
    assert shown["heldRuns"] == {"count": 1, "totals": {"EUR": Decimal("12.50")}}
    assert shown["errorEvents"] == {"count": 0, "latest": []}
    (run,) = (await send(api, "GET", "integrationruns/Bill/b1"))["data"]
    assert run["note"] == "The integration is disabled: Closing the books. It is sent when that is enabled."
    wrong = await api.post(f"integrationconfigs/{made['id']}/enable", json={"held": "keep"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "held")
    enabled = await send(api, "POST", f"integrationconfigs/{made['id']}/enable", {"held": "drop"})
    assert (enabled["enabled"], enabled["heldRuns"]["count"]) == (True, 0)
    assert (await send(api, "GET", f"integrationruns/{run['id']}"))["state"] == "cancelled"


async def test_sending_what_is_there_answers_how_many_runs_were_made(api: httpx.AsyncClient, db: Database) -> None:
    await add_credential(db)
    id = (await api.post("integrationconfigs", json=STRIPE | {"integrationCredentialsId": "c1"})).json()["id"]
    assert (await api.post(f"integrationconfigs/{id}/send")).json() == {"runs": 0}
    assert (await api.post("integrationconfigs/none/send")).status_code == 404


async def test_a_deleted_configuration_is_answered_once_more_and_then_gone(api: httpx.AsyncClient) -> None:
    id = (await api.post("integrationconfigs", json=STRIPE)).json()["id"]
    assert (await api.delete(f"integrationconfigs/{id}")).json()["id"] == id
    assert (await api.get(f"integrationconfigs/{id}")).status_code == 404


async def test_a_list_can_be_narrowed_to_a_destination_id(api: httpx.AsyncClient) -> None:
    await api.post("integrationconfigs", json=STRIPE)
    made = (await api.post("integrationconfigs", json=STRIPE | {"destinationId": "d1"})).json()
    found = (await api.get("integrationconfigs", params={"destinationId": "d1"})).json()["data"]
    assert [each["id"] for each in found] == [made["id"]]
    assert found[0]["connectionStatus"] == "DISCONNECTED"


async def test_the_newest_enabled_configuration_of_an_entity_type_is_found(api: httpx.AsyncClient) -> None:
    missing = await api.get("integrationconfigs/entity/Bill")
    assert missing.status_code == 404
    first = (await api.post("integrationconfigs", json=STRIPE | {"entityId": "e1"})).json()["id"]
    second = (await api.post("integrationconfigs", json=STRIPE | {"entityId": "e2"})).json()["id"]
    assert (await api.get("integrationconfigs/entity/Bill?destination=STRIPE")).json()["id"] == second
    assert (await api.get("integrationconfigs/entity/Bill?entityId=e1")).json()["id"] == first
    await api.post(f"integrationconfigs/{second}/disable")
    assert (await api.get("integrationconfigs/entity/Bill")).json()["id"] == first


async def test_other_organizations_see_nothing_of_it(api: httpx.AsyncClient, db: Database) -> None:
    id = (await api.post("integrationconfigs", json=STRIPE)).json()["id"]
    async with db.transaction() as tx:
        await tx.execute(update(integrations).values(org_id="other"))
    assert (await api.get(f"integrationconfigs/{id}")).status_code == 404
    assert (await api.delete(f"integrationconfigs/{id}")).status_code == 404


async def test_the_catalogue_of_systems_is_served_before_ids(api: httpx.AsyncClient) -> None:
    listed = (await api.get("integrationconfigs/available/systems?entityType=Bill")).json()
    assert {"identifier": "STRIPE", "displayName": "Stripe"}.items() <= listed[0].items()
    layers = (await api.get("integrationconfigs/available?systemName=stripe")).json()
    assert layers["supportedEntities"]["Bill"]["destinations"][0]["displayName"] == "Stripe"
    entities = (await api.get("integrationconfigs/available/Stripe/entities")).json()
    assert entities[0]["entityType"] == "Bill"
    auth = (await api.get("integrationconfigs/available/stripe_test/auth/Bill")).json()
    assert [option["name"] for option in auth] == ["apiKey", "stripeAccount"]
    assert (await api.get("integrationconfigs/available/nope/entities")).status_code == 400


async def test_the_names_that_an_option_can_be_set_to_are_told(api: httpx.AsyncClient) -> None:
    values = "integrationconfigs/values/stripe"
    named = await send(api, "GET", f"{values}/splitUsageLines")
    assert {"id": "PRODUCT", "label": "PRODUCT"} in named
    assert await send(api, "GET", f"{values}/sendFrom") == []
    answer = await api.get(f"{values}/splitUsageLine")
    assert (answer.status_code, answer.json()["hint"]) == (400, "Did you mean splitUsageLines?")


async def test_an_integration_is_continued_after_a_look_at_what_was_sent(api: httpx.AsyncClient) -> None:
    options = {"firstSends": 3, "volumeGuard": True}
    made = (await api.post("integrationconfigs", json=STRIPE | {"configData": options})).json()
    path = f"integrationconfigs/{made['id']}/continue"
    nothing = {"count": 0, "totals": {}}
    told = {
        "waiting": True,
        "firstSends": 3,
        "months": [],
        "sent": {**nothing, "delivered": 0, "latest": []},
        "heldRuns": nothing,
    }
    assert (await api.get(path)).json() == told
    assert (await api.post(path)).json() == told | {"released": 0}
    again = await api.post(path)
    assert (again.status_code, again.json()["code"]) == (409, "integration.not_waiting")
    assert not (await api.get(path)).json()["waiting"]
    assert (await api.get("integrationconfigs/none/continue")).status_code == 404


async def test_nothing_waits_by_itself_where_nothing_is_said(api: httpx.AsyncClient) -> None:
    made = (await api.post("integrationconfigs", json=STRIPE)).json()
    assert not (await api.get(f"integrationconfigs/{made['id']}/continue")).json()["waiting"]
