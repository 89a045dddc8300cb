"""What each role may do, asked of every route; and an organization's things are out of reach for another's keys."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from tests.api.entities import ACCOUNT, a_bill, send
from tollbridge.api.app import ROUTERS
from tollbridge.api.permissions import declare, permission_of, routes_of
from tollbridge.api.wire import ORG
from tollbridge.domain.access import GRANTS, Permission, Role
from tollbridge.services import organizations, service_users
from tollbridge.services.caller import Caller
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts

ROUTES = sorted(
    (method, route.path, permission)
    for route in routes_of(ROUTERS)
    for method in route.methods or ()
    if (permission := permission_of(route)) is not None
)
SECRET = "kept-to-themselves"

Tokens = Callable[[str, Role], Awaitable[dict[str, str]]]


@pytest.fixture
async def tokens(parts: Parts) -> Tokens:
    """Headers for a new key of that role in that organization."""

    async def make(org_id: str, role: Role) -> dict[str, str]:
        caller = Caller(org_id, "SYSTEM")
        user = await service_users.create(parts.db, caller, {"name": role.value, "role": role.value})
        _, key = await service_users.create_key(parts.db, caller, user.id)
        return {"Authorization": f"Bearer {(await parts.gate.issue(key.id, key.secret)).text}"}

    return make


def test_every_route_of_an_organization_declares_a_permission() -> None:
    assert {path for _, path, _ in ROUTES} == {route.path for route in routes_of(ROUTERS) if route.path.startswith(ORG)}
    assert {permission for _, _, permission in ROUTES} == set(Permission)
    router = APIRouter()

    @router.get(f"{ORG}/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(LookupError, match="forgotten"):
        declare([router])


def test_roles_grow_as_they_are_described() -> None:
    assert GRANTS[Role.ADMINISTRATOR] == set(Permission)
    assert GRANTS[Role.VIEWER] < GRANTS[Role.FINANCE] < GRANTS[Role.OPERATOR] < GRANTS[Role.ADMINISTRATOR]
    assert not {Permission.CREDENTIALS, Permission.CONFIGURE, Permission.ADMINISTER} & GRANTS[Role.FINANCE]
    assert GRANTS[Role.SOURCE] == {Permission.READ_BILLING, Permission.WRITE_BILLING}


def the(path: str, org_id: str, id: str = "nothing") -> str:
    noun = path.replace("{noun}", "accounts").replace("{orgId}", org_id)
    return re.sub(r"{[^}]+}", id, noun)


@pytest.mark.parametrize("role", Role)
async def test_a_role_reaches_the_routes_it_may_and_no_other(
    visitor: httpx.AsyncClient, organization: NewOrganization, tokens: Tokens, role: Role
) -> None:
    headers = await tokens("org 1", role)
    for method, path, permission in ROUTES:
        answer = await visitor.request(method, the(path, "org%201"), headers=headers)
        refused = answer.status_code == 403 and answer.json()["code"] == "access.role"
        assert refused == (permission not in GRANTS[role]), (method, path, answer.text)
        assert answer.status_code < 500, (method, path, answer.text)


async def test_no_route_gives_away_what_another_organization_has(
    api: httpx.AsyncClient, app: FastAPI, parts: Parts, tokens: Tokens
) -> None:
    account = await send(api, "POST", "accounts", ACCOUNT | {"id": "x", "name": SECRET})
    await send(api, "POST", "products", {"id": "x", "code": "x", "name": SECRET})
    await send(api, "PUT", "bills/x", a_bill(accountId=account["id"], purchaseOrderNumber=SECRET))
    mapping = {"m3terEntity": "Account", "m3terId": "x", "externalSystem": "Stripe", "externalTable": "Customer"}
    mapping = await send(api, "POST", "externalmappings", mapping | {"externalId": SECRET})
    integration = await send(
        api, "POST", "integrationconfigs", {"destination": "Stripe", "entityType": "Bill", "name": SECRET}
    )
    user = await send(api, "POST", "serviceusers", {"name": SECRET, "role": "viewer"})
    key = await send(api, "POST", f"serviceusers/{user['id']}/accesskeys")
    await send(api, "POST", f"integrationconfigs/{integration['id']}/send")
    await send(api, "POST", "events", {"id": "x", "eventName": "ingest.validation.failure", "new": {"m": SECRET}})
    scheduled = {"id": "x", "name": f"scheduled.bill.{SECRET}", "entity": "Bill", "field": "endDate", "offset": 0}
    await send(api, "POST", "scheduledevents/configurations", scheduled)
    signed = {"type": "M3TER_SIGNED_REQUEST", "apiKey": SECRET, "secret": SECRET}
    hook = {"name": SECRET, "description": SECRET, "url": "http://127.0.0.1:4011/in", "credentials": signed}
    hook = await send(api, "POST", "integrationdestinations/webhooks", hook)
    rule = {"id": "x", "code": SECRET, "name": SECRET, "description": SECRET, "eventName": "billing.bill.created"}
    await send(api, "POST", "notifications/configurations", rule | {"calculation": f"new.id == '{SECRET}'"})
    run = (await send(api, "GET", "integrationruns"))["data"][0]
    await send(api, "POST", f"integrationconfigs/{integration['id']}/disable", {"reason": SECRET})
    alert = (await send(api, "GET", "alerts"))["data"][0]
    assert SECRET in alert["description"]
    person = await send(
        api, "POST", "invitations", {"email": "p@acme.example", "firstName": SECRET, "lastName": SECRET}
    )
    run = (await send(api, "GET", "integrationruns"))["data"][0]
    ids = [
        "x",
        mapping["id"],
        integration["id"],
        user["id"],
        key["id"],
        run["id"],
        person["id"],
        alert["id"],
        hook["id"],
    ]
    before = await everything(api)
    other = await organizations.create(parts.db, "Other", "other")
    headers = await tokens(other.org_id, Role.ADMINISTRATOR)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api", headers=headers) as theirs:
        for method, path, _ in ROUTES:
            for id in ids:
                foreign = await theirs.request(method, the(path, "org%201", id))
                assert foreign.status_code == 403, (method, path, foreign.text)
                own = await theirs.request(method, the(path, "other", id))
                assert SECRET not in own.text, (method, path, own.text)
                assert own.status_code < 500, (method, path, own.text)
    assert await everything(api) == before


async def everything(api: httpx.AsyncClient) -> list[bytes]:
    nouns = "accounts products bills externalmappings integrationconfigs integrationruns serviceusers alerts".split()
    nouns += ["events", "scheduledevents/configurations", "integrationdestinations/webhooks"]
    nouns += ["users", "auditlog", "notifications/configurations"]
    return [(await api.get(noun)).content for noun in nouns]


async def test_a_changed_role_counts_for_tokens_issued_before(
    api: httpx.AsyncClient, app: FastAPI, parts: Parts
) -> None:
    user = await send(api, "POST", "serviceusers", {"name": "CI", "role": "operator"})
    key = await send(api, "POST", f"serviceusers/{user['id']}/accesskeys")
    issued = await parts.gate.issue(key["apiKey"], key["apiSecret"])
    assert (await parts.gate.admit(issued.text, "org 1", Permission.CONFIGURE)).role is Role.OPERATOR
    await send(api, "PUT", f"serviceusers/{user['id']}", {"name": "CI", "role": "viewer"})
    later = type(parts.gate)(parts.db, parts.vault.derive("access tokens"), parts.settings.token_lifetime)
    with pytest.raises(Exception, match="role viewer"):
        await later.admit(issued.text, "org 1", Permission.CONFIGURE)


def test_the_documented_table_is_the_one_that_decides() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/api.md").read_text()
    rows = [
        line.strip("| ").split(" | ")
        for line in page.partition("## Roles")[2].partition("## Search")[0].splitlines()
        if line[:2] == "| "
    ]
    roles = rows[0][1:]
    assert roles == [role.value for role in Role]
    for told, *marks in rows[1:]:
        permission = Permission(told.split("`")[1])
        assert marks == ["yes" if permission in GRANTS[Role(role)] else "no" for role in roles], permission
    assert len(rows) == 1 + len(Permission)
