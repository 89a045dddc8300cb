"""Outgoing webhooks over the API: their fields, their secrets, and the rules that are linked to them."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select, update

from tests.api.entities import refused, send
from tollbridge.services import clock, rotation
from tollbridge.services.parts import Parts
from tollbridge.services.sealing import open_fields
from tollbridge.store.db import Database
from tollbridge.store.schema import credentials, integrations, rules, runs, webhooks
from tollbridge.vault import Vault

HOOKS = "integrationdestinations/webhooks"
SECRET, NEWER = "whsec_c2VjcmV0IG9uZQ==", "whsec_c2VjcmV0IHR3bw=="
SIGNED = {"type": "M3TER_SIGNED_REQUEST", "apiKey": "key-of-ours", "secret": SECRET}
HOOK = {"name": "ERP hook", "description": "To the ERP", "url": "http://127.0.0.1:4011/in", "credentials": SIGNED}


async def fields_of(parts: Parts, hook: dict[str, Any]) -> dict[str, Any]:
    """What is sealed for the webhook."""
    id = hook["credentials"]["id"]
    async with parts.db.transaction() as tx:
        sealed = (await tx.execute(select(credentials.c.secrets).where(credentials.c.id == id))).scalar_one()
    return open_fields(parts.vault, id, sealed)


async def add_rule(db: Database, id: str = "rule-1") -> None:
    row = {
        "org_id": "org 1",
        "id": id,
        "version": 1,
        "created_at": clock.now(),
        "created_by": "SYSTEM",
        "updated_at": clock.now(),
        "updated_by": "SYSTEM",
        "body": {"name": f"Rule {id}", "code": id, "description": "d", "eventName": "billing.bill.created"},
        "name": f"Rule {id}",
        "code": id,
        "event_name": "billing.bill.created",
        "active": True,
    }
    async with db.transaction() as tx:
        await tx.execute(insert(rules).values(row))


def link_of(hook: dict[str, Any], rule: str = "rule-1") -> dict[str, Any]:
    return {"entityType": "Notification", "entityId": rule, "destination": "Webhook", "destinationId": hook["id"]}


# Fields


async def test_a_webhook_is_kept_as_it_was_sent_with_a_credential_of_its_own(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", HOOKS, HOOK | {"version": 0, "id": "x"})
    assert {name: made[name] for name in ("name", "description", "url")} == {
        name: HOOK[name] for name in ("name", "description", "url")
    }
    assert (made["code"], made["active"], made["version"]) == ("erp_hook", True, 1)
    assert (made["schedule"], made["ordered"], made["concurrency"]) == ("standard", False, 64)
    assert "perSecond" not in made
    credential = made["credentials"]
    assert (credential["type"], credential["destination"]) == ("M3TER_SIGNED_REQUEST", "WEBHOOK")
    assert (credential["destinationId"], credential["name"], credential["version"]) == (made["id"], "ERP hook", 1)
    assert await send(api, "GET", f"{HOOKS}/{made['id']}") == made
    assert await send(api, "GET", HOOKS) == {"data": [made]}


async def test_webhooks_are_listed_newest_first_in_pages_and_by_ids(api: httpx.AsyncClient) -> None:
    one, two, three = [(await send(api, "POST", HOOKS, HOOK | {"name": f"Hook {n}"}))["id"] for n in "123"]
    first = await send(api, "GET", f"{HOOKS}?pageSize=2")
    assert [each["id"] for each in first["data"]] == [three, two]
    rest = await send(api, "GET", f"{HOOKS}?pageSize=2&nextToken={first['nextToken']}")
    assert [each["id"] for each in rest["data"]] == [one]
    named = await send(api, "GET", f"{HOOKS}?ids={one},{three},nobody")
    assert [each["id"] for each in named["data"]] == [three, one]
    assert await refused(api, "GET", f"{HOOKS}?pageSize=201")


@pytest.mark.parametrize(
    ("name", "code"), [("ERP hook", "erp_hook"), ("Größe / 2", "größe_2"), ("!!!", "webhook"), ("x" * 200, "x" * 75)]
)
async def test_a_code_is_made_from_the_name_and_told_apart_by_a_number(
    api: httpx.AsyncClient, name: str, code: str
) -> None:
    made = [await send(api, "POST", HOOKS, HOOK | {"name": name}) for _ in range(3)]
    assert [each["code"] for each in made] == [code, f"{code}_2", f"{code}_3"]


async def test_a_code_that_was_chosen_is_taken_once(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", HOOKS, HOOK | {"code": "ERP"})
    status, told = await refused(api, "POST", HOOKS, HOOK | {"code": "ERP"})
    assert (status, told["field"]) == (409, "code")
    assert made["id"] in told["message"]
    other = await send(api, "POST", HOOKS, HOOK | {"code": "CRM"})
    assert (await refused(api, "PUT", f"{HOOKS}/{other['id']}", HOOK | {"code": "ERP"}))[0] == 409
    assert (await send(api, "PUT", f"{HOOKS}/{other['id']}", HOOK | {"code": "CRM"}))["code"] == "CRM"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"description": ""}, "description"),
        ({"url": None}, "url"),
        ({"url": "http://127.0.0.1/" + "x" * 2048}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "http://10.0.0.1/in"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "http://user:pass@127.0.0.1/in"}, "url"),
        ({"url": "https://nothing-here.invalid/in"}, "url"),
        ({"code": "x" * 81}, "code"),
        ({"active": "yes"}, "active"),
        ({"credentials": None}, "credentials"),
        ({"credentials": {**SIGNED, "type": "HTTP_BASIC"}}, "credentials.type"),
        ({"credentials": {"type": "M3TER_SIGNED_REQUEST", "apiKey": "k"}}, "credentials.secret"),
        ({"credentials": {"type": "M3TER_SIGNED_REQUEST", "secret": "s"}}, "credentials.apiKey"),
        ({"credentials": {**SIGNED, "secret": ""}}, "credentials.secret"),
        ({"credentials": {**SIGNED, "secret": "hush-hush" * 112}}, "credentials.secret"),
        ({"credentials": {**SIGNED, "secret": ["hush-hush"]}}, "credentials.secret"),
        ({"credentials": {**SIGNED, "apiKey": "hush-hush\r\nx: y"}}, "credentials.apiKey"),
        ({"credentials": {**SIGNED, "apiKey": "hush-hush" * 112}}, "credentials.apiKey"),
        ({"schedule": "impatient"}, "schedule"),
        ({"ordered": 1}, "ordered"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 257}, "concurrency"),
        ({"perSecond": 0}, "perSecond"),
        ({"goneDeactivates": "no"}, "goneDeactivates"),
    ],
)
async def test_a_bad_webhook_is_refused_by_field_and_no_secret_repeated(
    api: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    status, told = await refused(api, "POST", HOOKS, HOOK | change)
    assert (status, told["field"]) == (400, field)
    assert "hush" not in str(told)
    assert await send(api, "GET", HOOKS) == {"data": []}


@pytest.mark.parametrize("concurrency", [1, 256])
async def test_options_of_ours_say_how_it_is_delivered(api: httpx.AsyncClient, concurrency: int) -> None:
    options = {
        "schedule": "patient",
        "ordered": True,
        "concurrency": concurrency,
        "perSecond": 2,
        "goneDeactivates": True,
    }
    made = await send(api, "POST", HOOKS, HOOK | options)
    assert {name: made[name] for name in options} == options
    path = f"{HOOKS}/{made['id']}"
    known = {"name": "New name", "description": "Other", "url": HOOK["url"], "credentials": SIGNED}
    changed = await send(api, "PUT", path, known)
    assert {name: changed[name] for name in options} == options, "a client that does not know them leaves them"
    back = await send(api, "PUT", path, known | {"schedule": None, "perSecond": None})
    assert (back["schedule"], back["ordered"], back.get("perSecond")) == ("standard", True, None)


async def test_what_was_read_can_be_put_back_and_an_old_version_not(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", HOOKS, HOOK | {"code": "ERP", "active": False})
    path = f"{HOOKS}/{made['id']}"
    changed = await send(api, "PUT", path, made | {"description": "Changed"})
    assert (changed["version"], changed["description"], changed["active"]) == (2, "Changed", False)
    assert changed["credentials"] == made["credentials"]
    status, told = await refused(api, "PUT", path, made)
    assert (status, told["code"]) == (409, "version.stale")


async def test_a_webhook_that_is_not_there_is_not_found(api: httpx.AsyncClient) -> None:
    calls = [("GET", ""), ("PUT", ""), ("DELETE", ""), ("PUT", "/active"), ("GET", "/health")]
    for method, below in calls:
        status, told = await refused(api, method, f"{HOOKS}/nobody{below}", HOOK)
        assert (status, told["code"]) == (404, "webhook.not_found"), (method, below)


async def test_an_address_is_only_asked_about_where_it_is_another_one(api: httpx.AsyncClient, parts: Parts) -> None:
    made = await send(api, "POST", HOOKS, HOOK)
    path = f"{HOOKS}/{made['id']}"
    async with parts.db.transaction() as tx:
        await tx.execute(update(webhooks).values(url="https://nothing-here.invalid/in"))
    assert await send(api, "PUT", path, HOOK | {"url": "https://nothing-here.invalid/in", "name": "Renamed"})
    assert (await refused(api, "PUT", path, HOOK | {"url": "https://nor-here.invalid/in"}))[1]["field"] == "url"


# Secrets


async def test_no_answer_contains_a_secret_and_none_lies_open(api: httpx.AsyncClient, parts: Parts) -> None:
    made = await send(api, "POST", HOOKS, HOOK)
    path = f"{HOOKS}/{made['id']}"
    answers = [made, await send(api, "GET", path), await send(api, "GET", HOOKS), await send(api, "PUT", path, HOOK)]
    answers += [await send(api, "PUT", f"{path}/active?active=false"), await send(api, "DELETE", path)]
    for answer in answers:
        assert SECRET not in str(answer)
        assert "key-of-ours" not in str(answer)
    again = await send(api, "POST", HOOKS, HOOK)
    assert await fields_of(parts, again) == {"apiKey": "key-of-ours", "secret": SECRET}
    async with parts.db.transaction() as tx:
        (row,) = (await tx.execute(select(credentials))).all()
    assert SECRET not in str(row)
    assert row.tenant == f"WEBHOOK:{again['id']}"


async def test_a_new_secret_leaves_the_one_before_signing_for_a_day(api: httpx.AsyncClient, parts: Parts) -> None:
    made = await send(api, "POST", HOOKS, HOOK)
    path = f"{HOOKS}/{made['id']}"
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    changed = await send(api, "PUT", path, HOOK | {"credentials": {**SIGNED, "secret": NEWER}})
    fields = await fields_of(parts, made)
    assert (fields["apiKey"], fields["secret"], fields["previousSecret"]) == ("key-of-ours", NEWER, SECRET)
    day = timedelta(hours=24)
    assert before + day <= datetime.fromisoformat(fields["previousUntil"]) <= datetime.now(UTC) + day
    assert changed["credentials"]["version"] == 2
    assert changed["credentials"]["previousSecretUntil"] == fields["previousUntil"]
    same = await send(api, "PUT", path, HOOK | {"credentials": {**SIGNED, "secret": NEWER}})
    assert same["credentials"] == changed["credentials"]
    assert await fields_of(parts, made) == fields


@pytest.mark.parametrize("given", [{}, {"empty": True}, {"empty": False}])
async def test_without_a_secret_the_present_one_stays(
    api: httpx.AsyncClient, parts: Parts, given: dict[str, Any]
) -> None:
    made = await send(api, "POST", HOOKS, HOOK)
    path = f"{HOOKS}/{made['id']}"
    await send(api, "PUT", path, HOOK | {"credentials": {"type": "M3TER_SIGNED_REQUEST", **given}})
    await send(api, "PUT", path, {name: value for name, value in HOOK.items() if name != "credentials"})
    assert await fields_of(parts, made) == {"apiKey": "key-of-ours", "secret": SECRET}
    await send(api, "PUT", path, HOOK | {"credentials": {"type": "M3TER_SIGNED_REQUEST", "apiKey": "another"}})
    assert await fields_of(parts, made) == {"apiKey": "another", "secret": SECRET}


async def test_where_there_are_no_credentials_messages_are_signed_all_the_same(
    api: httpx.AsyncClient, parts: Parts
) -> None:
    empty = {"type": "M3TER_SIGNED_REQUEST", "empty": True}
    one, two = [await fields_of(parts, await send(api, "POST", HOOKS, HOOK | {"credentials": empty})) for _ in "12"]
    assert one["secret"].startswith("whsec_")
    assert one["secret"] != two["secret"]
    assert one["apiKey"] != two["apiKey"]
    given = await send(api, "POST", HOOKS, HOOK | {"credentials": {**SIGNED, "empty": True}})
    assert (await fields_of(parts, given))["secret"] == SECRET


async def test_secrets_are_told_where_the_setting_says_so(api: httpx.AsyncClient, parts: Parts, app: Any) -> None:
    app.state.parts = replace(parts, settings=replace(parts.settings, echo_webhook_secrets=True))
    made = await send(api, "POST", HOOKS, HOOK)
    for answer in (made, await send(api, "GET", f"{HOOKS}/{made['id']}")):
        assert (answer["credentials"]["apiKey"], answer["credentials"]["secret"]) == ("key-of-ours", SECRET)


async def test_a_change_of_the_key_that_seals_covers_webhooks(api: httpx.AsyncClient, parts: Parts) -> None:
    made = await send(api, "POST", HOOKS, HOOK)
    old = (parts.settings.home / "key").read_text().strip()
    new = b"n" * 32
    await rotation.reseal(parts.db, Vault([new, base64.b64decode(old)]))
    id = made["credentials"]["id"]
    async with parts.db.transaction() as tx:
        sealed = (await tx.execute(select(credentials.c.secrets))).scalar_one()
    assert open_fields(Vault([new]), id, sealed)["secret"] == SECRET


async def test_the_credential_of_a_webhook_is_changed_with_it_alone(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", HOOKS, HOOK)
    for query in ("", "?destination=Webhook"):
        assert await send(api, "GET", f"integrationcredentials{query}") == {"data": []}
    body = {"destination": "Webhook", "name": "Mine", "apiKey": "k", "secret": "s"}
    path = f"integrationcredentials/{made['credentials']['id']}"
    calls = [("POST", "integrationcredentials"), ("PUT", path), ("POST", f"{path}/check"), ("DELETE", path)]
    for method, where in calls:
        status, told = await refused(api, method, where, body)
        assert (status, told["code"]) == (409, "credential.webhook"), (method, told)
        assert "integrationdestinations/webhooks" in told["hint"]
    assert (await send(api, "GET", f"{HOOKS}/{made['id']}"))["credentials"] == made["credentials"]


# Active, deleted


async def test_a_webhook_is_made_inactive_and_active_again(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", HOOKS, HOOK)
    path = f"{HOOKS}/{made['id']}"
    assert not (await send(api, "PUT", f"{path}/active?active=false"))["active"]
    assert not (await send(api, "GET", path))["active"]
    kept = await send(api, "PUT", path, HOOK)
    assert not kept["active"], "a change that does not mention it"
    assert (await send(api, "PUT", f"{path}/active"))["active"]
    assert (await send(api, "GET", path))["version"] == 4


async def test_a_webhook_is_deleted_with_its_credential_once_nothing_leads_to_it(
    api: httpx.AsyncClient, parts: Parts
) -> None:
    made = await send(api, "POST", HOOKS, HOOK)
    await add_rule(parts.db)
    link = await send(api, "POST", "integrationconfigs", link_of(made))
    status, told = await refused(api, "DELETE", f"{HOOKS}/{made['id']}")
    assert (status, told["code"]) == (409, "webhook.linked")
    assert link["name"] in told["message"]
    await send(api, "DELETE", f"integrationconfigs/{link['id']}")
    assert (await send(api, "DELETE", f"{HOOKS}/{made['id']}"))["id"] == made["id"]
    assert (await refused(api, "GET", f"{HOOKS}/{made['id']}"))[0] == 404
    async with parts.db.transaction() as tx:
        assert (await tx.execute(select(credentials.c.id))).all() == []


# Links


async def test_a_link_of_a_rule_to_a_webhook_uses_its_credential(api: httpx.AsyncClient, parts: Parts) -> None:
    hook = await send(api, "POST", HOOKS, HOOK)
    await add_rule(parts.db)
    body = link_of(hook) | {"name": "Large bills", "configData": {}}
    link = await send(api, "POST", "integrationconfigs", body)
    assert {name: link[name] for name in body} == body
    assert (link["authorized"], link["enabled"], link["connectionStatus"]) == (True, True, "CONNECTED")
    assert "integrationCredentialsId" not in link
    assert "billsInScope" not in link
    query = f"destination=Webhook&destinationId={hook['id']}&entityId=rule-1"
    found = await send(api, "GET", f"integrationconfigs/entity/Notification?{query}")
    assert (found["id"], found["status"], found["entityId"]) == (link["id"], "WAITING", "rule-1")
    listed = await send(api, "GET", f"integrationconfigs?destinationId={hook['id']}")
    assert [each["id"] for each in listed["data"]] == [link["id"]]
    again = await send(api, "PUT", f"integrationconfigs/{link['id']}", link | {"configData": {"accountIds": ["a"]}})
    assert (again["version"], again["configData"]) == (2, {"accountIds": ["a"]})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"entityId": None}, "entityId"),
        ({"entityId": "nobody"}, "entityId"),
        ({"destinationId": None}, "destinationId"),
        ({"destinationId": "nobody"}, "destinationId"),
        ({"integrationCredentialsId": "another"}, "integrationCredentialsId"),
        ({"configData": {"onlySendOnApproval": True}}, "configData.onlySendOnApproval"),
        ({"entityType": "Bill"}, "entityType"),
    ],
)
async def test_a_link_that_leads_nowhere_is_refused_by_field(
    api: httpx.AsyncClient, parts: Parts, change: dict[str, Any], field: str
) -> None:
    hook = await send(api, "POST", HOOKS, HOOK)
    await add_rule(parts.db)
    status, told = await refused(api, "POST", "integrationconfigs", link_of(hook) | change)
    assert (status, told["field"]) == (400, field)


async def test_a_rule_is_linked_to_a_webhook_once(api: httpx.AsyncClient, parts: Parts) -> None:
    one, two = [await send(api, "POST", HOOKS, HOOK) for _ in "12"]
    await add_rule(parts.db)
    await add_rule(parts.db, "rule-2")
    first = await send(api, "POST", "integrationconfigs", link_of(one))
    status, told = await refused(api, "POST", "integrationconfigs", link_of(one))
    assert (status, told["code"]) == (409, "integration.linked")
    assert first["id"] in told["message"]
    other = await send(api, "POST", "integrationconfigs", link_of(two))
    await send(api, "POST", "integrationconfigs", link_of(one, "rule-2"))
    assert (await refused(api, "PUT", f"integrationconfigs/{other['id']}", link_of(one)))[0] == 409


async def test_a_link_whose_deliveries_fail_is_failed_until_one_succeeds(api: httpx.AsyncClient, parts: Parts) -> None:
    hook = await send(api, "POST", HOOKS, HOOK)
    await add_rule(parts.db)
    link = await send(api, "POST", "integrationconfigs", link_of(hook))
    for failed_at, status in ((clock.now(), "FAILED"), (None, "CONNECTED")):
        async with parts.db.transaction() as tx:
            await tx.execute(update(integrations).values(failed_at=failed_at))
        assert (await send(api, "GET", f"integrationconfigs/{link['id']}"))["connectionStatus"] == status
        assert (await send(api, "PUT", f"integrationconfigs/{link['id']}", link_of(hook)))["connectionStatus"] == status


# Health


async def add_run(db: Database, id: str, link: dict[str, Any], state: str, completed_at: datetime | None) -> None:
    row = {
        "id": id,
        "org_id": "org 1",
        "version": 1,
        "created_at": clock.now(),
        "created_by": "SYSTEM",
        "updated_at": clock.now(),
        "integration_id": link["id"],
        "system": "WEBHOOK",
        "destination": "Webhook",
        "destination_id": link["destinationId"],
        "entity_type": "Notification",
        "entity_id": link["entityId"],
        "revision": 1,
        "flow": "notify",
        "state": state,
        "hold_reason": "disabled" if state == "held" else None,
        "attempt": 1,
        "due_at": clock.now(),
        "fence": 0,
        "look_first": False,
        "worked_seconds": 0,
        "completed_at": completed_at,
    }
    async with db.transaction() as tx:
        await tx.execute(insert(runs).values(row))


@pytest.fixture
async def linked(api: httpx.AsyncClient, parts: Parts) -> tuple[dict[str, Any], dict[str, Any]]:
    """A webhook, and the link of a rule to it."""
    hook = await send(api, "POST", HOOKS, HOOK)
    await add_rule(parts.db)
    return hook, await send(api, "POST", "integrationconfigs", link_of(hook))


async def test_health_counts_a_day_of_deliveries_and_says_since_when_they_fail(
    api: httpx.AsyncClient, parts: Parts, linked: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    hook, link = linked
    path = f"{HOOKS}/{hook['id']}/health"
    assert await send(api, "GET", path) == {"delivered": 0, "pending": 0, "failed": 0}
    now, earlier = clock.now(), clock.now() - timedelta(hours=25)
    for state in ("queued", "waiting", "running", "held"):
        await add_run(parts.db, state, link, state, None)
    for id, state, at in (("d1", "delivered", now), ("d2", "delivered", now), ("d3", "delivered", earlier)):
        await add_run(parts.db, id, link, state, at)
    for id, at in (("f1", now), ("f2", earlier)):
        await add_run(parts.db, id, link, "failed", at)
    async with parts.db.transaction() as tx:
        await tx.execute(update(webhooks).values(down_since=datetime(2026, 11, 2, tzinfo=UTC)))
    told = {"delivered": 2, "pending": 4, "failed": 1, "downSince": "2026-11-02T00:00:00.000Z"}
    assert await send(api, "GET", path) == told
    assert (await send(api, "GET", f"{HOOKS}/{hook['id']}"))["downSince"] == told["downSince"]


async def test_what_was_held_goes_on_when_the_webhook_is_active_again(
    api: httpx.AsyncClient, parts: Parts, linked: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    hook, link = linked
    await add_run(parts.db, "r1", link, "held", None)
    for active, state in (("false", "held"), ("true", "queued")):
        await send(api, "PUT", f"{HOOKS}/{hook['id']}/active?active={active}")
        async with parts.db.transaction() as tx:
            assert (await tx.execute(select(runs.c.state))).scalar_one() == state


async def test_what_was_not_sent_is_cancelled_with_link_and_webhook(
    api: httpx.AsyncClient, parts: Parts, linked: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    hook, link = linked
    for state in ("queued", "waiting", "held"):
        await add_run(parts.db, state, link, state, None)
    await send(api, "DELETE", f"integrationconfigs/{link['id']}")
    await send(api, "DELETE", f"{HOOKS}/{hook['id']}")
    async with parts.db.transaction() as tx:
        assert set((await tx.execute(select(runs.c.state))).scalars()) == {"cancelled"}
