from __future__ import annotations

import httpx

from tests.api.conftest import basic
from tollbridge.services.organizations import NewOrganization


async def test_a_service_user_is_created_read_changed_listed_and_deleted(
    api: httpx.AsyncClient, organization: NewOrganization
) -> None:
    made = (await api.post("serviceusers", json={"name": "CI", "role": "viewer", "version": 0, "id": "mine"})).json()
    assert made["name"] == "CI"
    assert made["version"] == 1
    assert made["id"] != "mine"
    assert made["createdBy"] == f"SERVICE_USER_{organization.service_user_id}"
    assert made["dtCreated"].endswith("Z")
    assert (await api.get(f"serviceusers/{made['id']}")).json() == made
    changed = (await api.put(f"serviceusers/{made['id']}", json={**made, "name": "Build"})).json()
    assert (changed["name"], changed["version"]) == ("Build", 2)
    stale = await api.put(f"serviceusers/{made['id']}", json=made)
    assert stale.status_code == 409
    assert stale.headers["x-should-retry"] == "false"
    assert stale.json()["code"] == "version.stale"
    deleted = await api.delete(f"serviceusers/{made['id']}")
    assert (deleted.status_code, deleted.json()) == (200, changed)
    missing = await api.get(f"serviceusers/{made['id']}")
    assert missing.status_code == 404
    assert made["id"] in missing.json()["message"]


async def test_a_list_comes_newest_first_and_page_by_page(api: httpx.AsyncClient) -> None:
    for name in "ABC":
        await api.post("serviceusers", json={"name": name, "role": "viewer"})
    first = (await api.get("serviceusers", params={"pageSize": 3})).json()
    assert [entry["name"] for entry in first["data"]] == ["C", "B", "A"]
    second = (await api.get("serviceusers", params={"pageSize": 3, "nextToken": first["nextToken"]})).json()
    assert [entry["name"] for entry in second["data"]] == ["Administrator"]
    assert "nextToken" not in second


async def test_the_secret_of_a_key_is_shown_once_and_the_key_can_be_switched(api: httpx.AsyncClient) -> None:
    user = (await api.post("serviceusers", json={"name": "CI", "role": "source"})).json()
    keys = f"serviceusers/{user['id']}/accesskeys"
    made = (await api.post(keys)).json()
    headers = {"Authorization": basic(made["apiKey"], made.pop("apiSecret"))}
    assert (await api.get(keys)).json() == {"data": [made]}

    async def token() -> int:
        grant = {"grant_type": "client_credentials"}
        return (await api.post("http://api/oauth/token", json=grant, headers=headers)).status_code

    assert await token() == 200
    assert (await api.post(f"{keys}/{made['id']}/deactivate")).json()["active"] is False
    assert await token() == 401
    assert (await api.post(f"{keys}/{made['id']}/activate")).json()["active"] is True
    assert (await api.delete(f"{keys}/{made['id']}")).status_code == 200
    assert await token() == 401


async def test_nobody_deletes_its_own_service_user(api: httpx.AsyncClient, organization: NewOrganization) -> None:
    answer = await api.delete(f"serviceusers/{organization.service_user_id}")
    assert answer.status_code == 409


async def test_nobody_changes_its_own_role(api: httpx.AsyncClient, organization: NewOrganization) -> None:
    own = f"serviceusers/{organization.service_user_id}"
    assert (await api.put(own, json={"name": "Me", "role": "viewer"})).status_code == 409
    assert (await api.put(own, json={"name": "Me"})).json()["role"] == "administrator"
