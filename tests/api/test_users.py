"""People at the API: invited, listed, changed, signed out, chosen to be told."""

from __future__ import annotations

import httpx
import pytest

from tests.api.entities import refused, send
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts

JANE = {"email": "Jane@Acme.example", "firstName": "Jane", "lastName": "Roe"}
GOOD = "correct horse battery"


async def test_a_person_is_invited_and_signs_in_by_the_link(api: httpx.AsyncClient, parts: Parts) -> None:
    made = await send(api, "POST", "invitations", JANE | {"role": "finance"})
    token = made.pop("link").rpartition("/")[2]
    assert (made["accepted"], made["permissionPolicyIds"], made["email"]) == (False, ["finance"], "jane@acme.example")
    assert await send(api, "GET", f"invitations/{made['id']}") == made
    await parts.sessions.use_link(token, "192.0.2.1", password=GOOD)
    assert (await send(api, "GET", "invitations"))["data"][0]["accepted"] is True
    assert (await send(api, "GET", f"users/{made['id']}"))["accepted"] is True
    (session,) = (await send(api, "GET", f"users/{made['id']}/sessions"))["data"]
    assert session["way"] == "link"
    assert await send(api, "DELETE", f"users/{made['id']}/sessions/{session['id']}") == {"ended": 1}
    assert await send(api, "DELETE", f"users/{made['id']}/sessions") == {"ended": 0}


async def test_a_user_is_made_changed_listed_and_deleted(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", "users", JANE | {"permissionPolicyIds": ["operator"]})
    assert (made["role"], made["accepted"], made["organizations"]) == ("operator", False, ["org 1"])
    other = await send(api, "POST", "users", JANE | {"email": "b@acme.example"})
    assert other["role"] == "viewer"
    assert [each["id"] for each in (await send(api, "GET", "users"))["data"]] == [other["id"], made["id"]]
    assert [each["id"] for each in (await send(api, "GET", f"users?ids={made['id']}"))["data"]] == [made["id"]]
    changed = await send(api, "PUT", f"users/{made['id']}", {"dtEndAccess": "2030-01-01", "version": 1})
    assert (changed["dtEndAccess"], changed["role"]) == ("2030-01-01T00:00:00.000Z", "operator")
    assert (await refused(api, "PUT", f"users/{made['id']}", {"role": "viewer", "version": 1}))[0] == 409
    lifted = await send(api, "PUT", f"users/{made['id']}", {"dtEndAccess": None})
    assert "dtEndAccess" not in lifted
    await send(api, "DELETE", f"users/{made['id']}")
    assert (await refused(api, "GET", f"users/{made['id']}"))[0] == 404
    assert (await refused(api, "GET", f"invitations/{other['id']}"))[0] == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"firstName": ""}, "firstName"),
        ({"lastName": "x" * 101}, "lastName"),
        ({"role": "source"}, "role"),
        ({"role": "boss"}, "role"),
        ({"permissionPolicyIds": ["viewer", "operator"]}, "permissionPolicyIds"),
        ({"dtEndAccess": "soon"}, "dtEndAccess"),
        ({"dtExpiry": "2020-01-01"}, "dtExpiry"),
        ({"dtExpiry": "2999-01-01"}, "dtExpiry"),
    ],
)
async def test_an_invitation_that_is_not_right_is_refused_with_the_field(
    api: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    status, told = await refused(api, "POST", "invitations", JANE | body)
    assert (status, told["field"]) == (400, field)


async def test_what_a_user_may_do_follows_from_the_role_alone(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", "users", JANE)
    policy = {"permissionPolicy": [{"action": ["ALL"], "effect": "ALLOW", "resource": ["*"]}]}
    status, told = await refused(api, "PUT", f"users/{made['id']}", policy)
    assert (status, told["code"]) == (400, "user.permissions")
    policy = await send(api, "GET", f"users/{made['id']}/permissions")
    assert (policy["name"], policy["managedPolicy"]) == ("viewer", True)


async def test_me_is_whoever_asks(api: httpx.AsyncClient, organization: NewOrganization) -> None:
    me = await send(api, "GET", "users/me")
    assert me["organization"]["organizationName"] == "Acme"
    assert me["serviceUser"]["id"] == organization.service_user_id
    assert "user" not in me


async def test_a_link_to_set_a_password_is_shown_once(api: httpx.AsyncClient, parts: Parts) -> None:
    made = await send(api, "POST", "users", JANE)
    link = (await send(api, "PUT", f"users/{made['id']}/password/resend"))["link"]
    await parts.sessions.use_link(link.rpartition("/")[2], "192.0.2.1", password=GOOD)
    assert (await send(api, "GET", f"users/{made['id']}"))["accepted"] is True


async def test_users_are_chosen_to_be_told_of_a_disabled_integration(api: httpx.AsyncClient) -> None:
    made = await send(api, "POST", "users", JANE)
    config = {"destination": "Stripe", "entityType": "Bill"}
    kept = await send(api, "POST", "integrationconfigs", config | {"configData": {"notifyUsers": [made["id"]]}})
    assert kept["configData"]["notifyUsers"] == [made["id"]]
    unknown = config | {"configData": {"notifyUsers": [made["id"], "nobody"]}}
    for method, path in (("POST", "integrationconfigs"), ("PUT", f"integrationconfigs/{kept['id']}")):
        status, told = await refused(api, method, path, unknown)
        assert (status, told["field"]) == (400, "configData.notifyUsers[1]")
