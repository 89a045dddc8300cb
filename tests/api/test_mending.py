"""Mending a group of error events over the API."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest

from tests.api.conftest import basic
from tests.api.entities import send
from tests.console.trouble import fail as failed
from tests.console.trouble import unmapped
from tests.services.conftest import world as world
from tests.services.world import CALLER, World
from tollbridge.services import service_users


@pytest.fixture
async def api(visitor: httpx.AsyncClient, world: World) -> httpx.AsyncClient:
    """A client at home in the organization whose runs fail."""
    user = await service_users.create(world.db, CALLER, {"name": "Operator", "role": "operator"})
    _, key = await service_users.create_key(world.db, CALLER, user.id)
    answer = await visitor.post(
        "/oauth/token",
        json={"grant_type": "client_credentials"},
        headers={"Authorization": basic(key.id, key.secret)},
    )
    visitor.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    visitor.base_url = httpx.URL("http://api/organizations/org/")
    return visitor


async def test_a_group_is_looked_at_mended_and_stopped(api: httpx.AsyncClient, world: World) -> None:
    await failed(world, "b1", "a", unmapped("a"))
    (group,) = (await send(api, "GET", "events/groups"))["data"]
    figures = {"failedRuns": 1, "heldRuns": 0, "totals": {"USD": Decimal("10.00")}}
    assert {name: group[name] for name in figures} == figures
    path = f"events/{group['latestEventId']}/group"
    looked = await send(api, "GET", path)
    assert looked["unmapped"] == [{"m3terEntity": "Account", "m3terId": "a"}]
    assert looked["enabled"]
    begun = await send(api, "POST", f"{path}/mend", {"mappings": [{"m3terId": "a", "externalId": "cus_1"}]})
    assert (begun["state"], begun["total"], begun["left"]) == ("sending", 1, 1)
    again = await api.post(f"{path}/mend")
    assert (again.status_code, again.json()["code"]) == (409, "mending.under_way")
    assert (await send(api, "GET", path))["mendingId"] == begun["id"]
    assert (await send(api, "GET", f"events/mendings/{begun['id']}"))["state"] == "sending"
    assert (await send(api, "POST", f"events/mendings/{begun['id']}/stop"))["state"] == "stopped"
    too_many = [{"m3terId": "a", "externalId": "x"}] * 5001
    assert (await api.post(f"{path}/mend", json={"mappings": too_many})).status_code == 400
