"""Alerts at the API: what people read, take, close and write down."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.entities import refused, send


async def an_alert(api: httpx.AsyncClient, reason: str = "Month end.") -> dict[str, Any]:
    made = await send(
        api, "POST", "integrationconfigs", {"destination": "Stripe", "entityType": "Bill", "name": "Bills"}
    )
    await send(api, "POST", f"integrationconfigs/{made['id']}/disable", {"reason": reason})
    found = await send(api, "GET", f"alerts?integrationConfigId={made['id']}")
    alert: dict[str, Any] = found["data"][0]
    return alert


async def test_an_alert_says_what_is_wrong_and_what_to_do(api: httpx.AsyncClient) -> None:
    alert = await an_alert(api)
    assert (alert["type"], alert["severity"], alert["state"]) == ("INTEGRATION_DISABLED", "WARN", "NEW")
    assert alert["description"] == "Bills is disabled: Month end."
    assert alert["remedy"]
    assert (alert["count"], alert["version"]) == (1, 1)
    assert await send(api, "GET", f"alerts/{alert['id']}") == {**alert, "notes": [], "told": []}


async def test_an_alert_is_taken_noted_and_closed(api: httpx.AsyncClient) -> None:
    path = f"alerts/{(await an_alert(api))['id']}"
    taken = await send(api, "PUT", path, {"state": "IN_PROGRESS", "version": 1})
    assert taken["assignee"].startswith("SERVICE_USER_")
    assigned = await send(api, "PUT", path, {"assignee": "Kim", "note": "Asked the customer."})
    assert (assigned["state"], assigned["assignee"]) == ("IN_PROGRESS", "Kim")
    closed = await send(api, "PUT", path, {"state": "CLOSED"})
    assert closed["dtClosed"]
    texts = [note["text"] for note in closed["notes"]]
    assert texts[-3:] == ["Assigned to Kim.", "Asked the customer.", "IN_PROGRESS → CLOSED"]
    assert all(note["createdBy"] for note in closed["notes"])


async def test_alerts_are_filtered_and_paged(api: httpx.AsyncClient) -> None:
    made = [await an_alert(api) for _ in range(3)]
    await send(api, "PUT", f"alerts/{made[0]['id']}", {"state": "CLOSED"})
    first = await send(api, "GET", "alerts?pageSize=2")
    rest = await send(api, "GET", f"alerts?pageSize=2&nextToken={first['nextToken']}")
    assert [each["id"] for each in first["data"] + rest["data"]] == [each["id"] for each in reversed(made)]
    assert "nextToken" not in rest
    assert [each["id"] for each in (await send(api, "GET", "alerts?state=CLOSED"))["data"]] == [made[0]["id"]]
    assert (await send(api, "GET", "alerts?severity=ERROR"))["data"] == []
    assert len((await send(api, "GET", "alerts?type=INTEGRATION_DISABLED"))["data"]) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"state": "DONE"}, "state"),
        ({"assignee": "x" * 201}, "assignee"),
        ({"note": "x" * 2001}, "note"),
        ({"note": ""}, "note"),
        ({"note": 1}, "note"),
        ({"version": "one"}, "version"),
    ],
)
async def test_a_change_that_is_not_right_names_its_field(
    api: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    alert = await an_alert(api)
    status, told = await refused(api, "PUT", f"alerts/{alert['id']}", body)
    assert (status, told["field"]) == (400, field)
    assert (await send(api, "GET", f"alerts/{alert['id']}"))["version"] == 1


async def test_an_old_version_is_refused_and_an_unknown_alert_is_not_there(api: httpx.AsyncClient) -> None:
    alert = await an_alert(api)
    assert (await refused(api, "PUT", f"alerts/{alert['id']}", {"version": 7}))[0] == 409
    assert (await refused(api, "GET", "alerts/none"))[0] == 404
    assert (await refused(api, "PUT", "alerts/none", {}))[0] == 404
    assert (await refused(api, "GET", "alerts?nextToken=none"))[0] == 400
