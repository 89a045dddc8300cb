"""Sending once more over the API: each verb at an address of its own, answered, refused and told in the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from tests.api.entities import refused, send
from tests.api.test_audit_log import log
from tests.api.test_webhooks import HOOK, HOOKS, add_rule, link_of
from tollbridge.services import bringing_back, clock
from tollbridge.services.parts import Parts
from tollbridge.services.wire_form import timestamp
from tollbridge.store.schema import runs


@pytest.fixture
async def hook(api: httpx.AsyncClient, parts: Parts) -> dict[str, Any]:
    """A webhook to which a rule is linked that fires always on bills that are created."""
    made: dict[str, Any] = await send(api, "POST", HOOKS, HOOK)
    await add_rule(parts.db)
    rule = await send(api, "GET", "notifications/configurations/rule-1")
    await send(api, "PUT", "notifications/configurations/rule-1", rule | {"alwaysFireEvent": True})
    return made


async def link(api: httpx.AsyncClient, hook: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = await send(api, "POST", "integrationconfigs", link_of(hook))
    return made


async def happen(api: httpx.AsyncClient, id: str) -> dict[str, Any]:
    """An event on which the rule fires; the run that follows, or nothing."""
    await send(api, "POST", "events", {"id": id, "eventName": "billing.bill.created", "new": {"id": "b"}})
    made = (await send(api, "GET", f"integrationruns?eventId={id}"))["data"]
    return made[0] if made else {}


async def end_all(parts: Parts, state: str = "failed") -> None:
    """What is under way comes to that end, as it does by a worker."""
    async with parts.db.transaction() as tx:
        await tx.execute(
            update(runs)
            .where(runs.c.state == "queued")
            .values(state=state, completed_at=clock.now(), fault_code="webhook.http_503", error="It answered 503.")
        )


async def states(parts: Parts) -> list[str]:
    async with parts.db.transaction() as tx:
        return sorted((await tx.execute(select(runs.c.state))).scalars())


def since(hours: float = 1) -> dict[str, Any]:
    return {"since": timestamp(clock.now() - timedelta(hours=hours))}


async def test_a_test_makes_a_run_for_the_webhook_itself(api: httpx.AsyncClient, hook: dict[str, Any]) -> None:
    run = await send(api, "POST", f"{HOOKS}/{hook['id']}/test")
    assert (run["entityType"], run["entityId"], run["status"]) == ("Webhook", hook["id"], "WAITING")
    assert run["messageId"] == f"msg_{run['id']}"
    [line] = await log(api, "&action=SEND_TEST")
    assert (line["entity"], line["entityId"], line["after"]) == ("Webhook", hook["id"], {"runId": run["id"]})
    assert (await refused(api, "POST", f"{HOOKS}/nobody/test"))[0] == 404


async def test_a_notification_is_resent_under_its_message_id_once_it_has_ended(
    api: httpx.AsyncClient, parts: Parts, hook: dict[str, Any]
) -> None:
    await link(api, hook)
    run = await happen(api, "e1")
    path = f"integrationruns/{run['id']}"
    status, told = await refused(api, "POST", f"{path}/resend")
    assert (status, told["code"]) == (409, "run.under_way")
    await end_all(parts)
    again = await send(api, "POST", f"{path}/resend")
    assert (again["replayOf"], again["messageId"]) == (run["id"], run["messageId"])
    [line] = await log(api, "&action=RESEND")
    assert (line["entity"], line["entityId"], line["after"]) == ("Run", run["id"], {"runId": again["id"]})
    status, told = await refused(api, "POST", f"{path}/replay")
    assert (status, told["code"], "resend" in told["hint"]) == (409, "run.notification", True)
    assert (await refused(api, "POST", "integrationruns/nothing/resend"))[0] == 404


async def test_what_was_sent_to_a_webhook_that_is_deleted_is_not_sent_again(
    api: httpx.AsyncClient, parts: Parts, hook: dict[str, Any]
) -> None:
    run = await send(api, "POST", f"{HOOKS}/{hook['id']}/test")
    await end_all(parts)
    await send(api, "DELETE", f"{HOOKS}/{hook['id']}")
    assert (await refused(api, "POST", f"integrationruns/{run['id']}/resend"))[0] == 404
    assert await states(parts) == ["failed"]


async def test_all_that_failed_since_a_moment_is_recovered_once(
    api: httpx.AsyncClient, parts: Parts, hook: dict[str, Any]
) -> None:
    await link(api, hook)
    for id in ("e1", "e2"):
        await happen(api, id)
    await end_all(parts)
    path = f"{HOOKS}/{hook['id']}/recover"
    assert await send(api, "POST", path, {"since": timestamp(clock.now())}) == {"runs": 0}
    assert await send(api, "POST", path, since()) == {"runs": 2}
    assert await send(api, "POST", path, since()) == {"runs": 0}
    [line] = await log(api, "&action=RECOVER")
    assert (line["entityId"], line["after"]["runs"]) == (hook["id"], 2)


async def test_what_never_was_sent_is_sent_once_the_rule_is_linked(
    api: httpx.AsyncClient, parts: Parts, hook: dict[str, Any]
) -> None:
    assert await happen(api, "e1") == {}
    await link(api, hook)
    path = f"{HOOKS}/{hook['id']}/replaymissing"
    assert await send(api, "POST", path, since()) == {"runs": 1}
    assert await send(api, "POST", path, since()) == {"runs": 0}
    assert await states(parts) == ["queued"]
    [line] = await log(api, "&action=REPLAY_MISSING")
    assert (line["entityId"], line["after"]["runs"]) == (hook["id"], 1)


@pytest.mark.parametrize("verb", ["recover", "replaymissing"])
async def test_a_moment_is_asked_for_and_must_be_over(api: httpx.AsyncClient, hook: dict[str, Any], verb: str) -> None:
    path = f"{HOOKS}/{hook['id']}/{verb}"
    for body in ({}, {"since": "yesterday"}, {"since": "2026-11-01T12:00:00"}, since(-1)):
        status, told = await refused(api, "POST", path, body)
        assert (status, told["field"]) == (400, "since"), body
    assert (await refused(api, "POST", f"{HOOKS}/nobody/{verb}", since()))[0] == 404


async def test_a_webhook_is_brought_back_step_by_step_and_every_change_is_told(
    api: httpx.AsyncClient, parts: Parts, hook: dict[str, Any]
) -> None:
    made = await link(api, hook)
    path = f"{HOOKS}/{hook['id']}/bringback"
    assert (await refused(api, "GET", path))[0] == 404
    assert (await refused(api, "POST", f"{path}/stop"))[0] == 409
    await send(api, "POST", f"integrationconfigs/{made['id']}/disable", {"reason": "Down"})
    await send(api, "PUT", f"{HOOKS}/{hook['id']}/active?active=false")
    await happen(api, "e1")
    begun = await send(api, "POST", path)
    assert (begun["state"], begun["total"], begun["left"]) == ("testing", 0, 0)
    assert (await refused(api, "POST", path))[1]["code"] == "webhook.coming_back"
    await end_all(parts, "delivered")
    for state in ("gathering", "gathering", "delivering"):
        await bringing_back.step(parts.db, clock.now())
        assert (await send(api, "GET", path))["state"] == state
    assert (await send(api, "GET", path))["left"] == 1
    assert (await send(api, "GET", f"{HOOKS}/{hook['id']}"))["active"] is True
    assert (await send(api, "GET", f"integrationconfigs/{made['id']}"))["connectionStatus"] == "CONNECTED"
    principal = begun["startedBy"]
    [enabled] = await log(api, f"&entity=Integration&entityId={made['id']}&action=ENABLE")
    assert (enabled["principal"], enabled["after"]["enabled"]) == (principal, True)
    *_, activated = await log(api, f"&entity=Webhook&entityId={hook['id']}&action=UPDATE")
    assert (activated["principal"], activated["after"]) == (principal, {"active": True})
    assert not (await send(api, "GET", "alerts?state=NEW"))["data"]
    stopped = await send(api, "POST", f"{path}/stop")
    assert (stopped["state"], stopped["left"], stopped["note"]) == ("stopped", 1, f"Stopped by {principal}.")
    assert [line["action"] for line in await log(api) if line["action"] in ("BRING_BACK", "STOP")] == [
        "BRING_BACK",
        "STOP",
    ]
