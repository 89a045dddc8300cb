"""What holds for every address: who may come in, how bodies are read, how errors are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI, Response
from structlog.testing import capture_logs

from tests.api.conftest import basic
from tollbridge.domain.access import Permission
from tollbridge.services import organizations, service_users
from tollbridge.services.access import RECHECK, Gate
from tollbridge.services.caller import Caller
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts
from tollbridge.store.db import Database, connect, create_engine

GRANT = {"grant_type": "client_credentials"}
LONG = 10 * 1024 * 1024 + 1


@pytest.mark.parametrize("encoding", ["json", "data"])
async def test_a_key_pair_is_exchanged_for_a_token_by_json_and_by_form(
    visitor: httpx.AsyncClient, organization: NewOrganization, encoding: str
) -> None:
    headers = {"Authorization": basic(organization.key_id, organization.secret)}
    grant = GRANT | {"scope": "a b"}
    sent = {"json": grant} if encoding == "json" else {"data": grant}
    answer = await visitor.post("/oauth/token", headers=headers, **sent)  # type: ignore[arg-type]
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("access_token")
    assert body == {"token_type": "Bearer", "expires_in": 18000, "scope": "a b"}


@pytest.mark.parametrize("header", ["", "Bearer x", "Basic ???", basic("nobody", "nothing"), basic("a\x00", "b")])
async def test_a_wrong_key_pair_is_an_invalid_client(visitor: httpx.AsyncClient, header: str) -> None:
    answer = await visitor.post("/oauth/token", json=GRANT, headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert answer.json()["message"]


async def test_another_grant_is_refused_by_name(visitor: httpx.AsyncClient, organization: NewOrganization) -> None:
    headers = {"Authorization": basic(organization.key_id, organization.secret)}
    answer = await visitor.post("/oauth/token", json={"grant_type": "password"}, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"] == "unsupported_grant_type"


async def test_calls_without_a_good_token_are_forbidden(
    api: httpx.AsyncClient, parts: Parts, organization: NewOrganization
) -> None:
    other = await organizations.create(parts.db, "Other", "other")
    stale = Gate(parts.db, parts.vault.derive("access tokens"), timedelta(seconds=-1))
    forged = Gate(parts.db, b"x" * 32, timedelta(hours=1))
    tokens = [
        None,
        "",
        "Bearer rubbish",
        f"Bearer {(await stale.issue(organization.key_id, organization.secret)).text}",
        f"Bearer {(await forged.issue(organization.key_id, organization.secret)).text}",
        f"Bearer {(await parts.gate.issue(other.key_id, other.secret)).text}",
        basic(organization.key_id, organization.secret),
    ]
    for token in tokens:
        if token is None:
            del api.headers["Authorization"]
        else:
            api.headers["Authorization"] = token
        answer = await api.get("serviceusers")
        assert answer.status_code == 403, token
        assert answer.json()["message"]


async def test_a_token_stops_working_soon_after_its_key_is_made_inactive(
    parts: Parts, organization: NewOrganization
) -> None:
    moment = 0.0
    gate = Gate(parts.db, b"k" * 32, timedelta(hours=1), lambda: moment)
    token = (await gate.issue(organization.key_id, organization.secret)).text
    caller = await gate.admit(token, "org 1", Permission.READ)
    assert caller == Caller("org 1", f"SERVICE_USER_{organization.service_user_id}")
    await service_users.set_key_active(parts.db, caller, organization.service_user_id, organization.key_id, False)
    moment += RECHECK
    with pytest.raises(Exception, match="inactive"):
        await gate.admit(token, "org 1", Permission.READ)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"name": "a', "line 1 column 10"),
        (b'{"name": NaN}', "NaN"),
        (b'{"name": "\xff"}', "position 10"),
        (b'{"name": "a", "name": "b"}', "'name' stands twice"),
        (b"[" * 100_000, "nested deeper than 40 levels"),
        (b'{"name": ' + b"[" * 50 + b"]" * 50 + b"}", "nested deeper than 40 levels"),
        (b'{"name": ' + b"9" * 5000 + b"}", "digits"),
        (b"[]", "must be an object"),
        (b'{"name": "a\\u0000b"}', "U+0000"),
        (b'{"name": "\\ud800"}', "U+D800"),
    ],
)
async def test_a_body_that_is_no_good_json_is_refused_with_the_place(
    api: httpx.AsyncClient, body: bytes, words: str
) -> None:
    answer = await api.post("serviceusers", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


async def test_a_body_over_the_limit_is_refused_with_the_limit(api: httpx.AsyncClient) -> None:
    answer = await api.post("serviceusers", content=b" " * LONG)
    assert answer.status_code == 413
    assert str(LONG - 1) in answer.json()["message"]


async def test_an_unknown_address_and_method_are_told_as_json(api: httpx.AsyncClient) -> None:
    assert (await api.get("nothing")).json()["message"] == "There is nothing at /organizations/org 1/nothing."
    answer = await api.patch("serviceusers")
    assert answer.status_code == 405
    assert "PATCH" in answer.json()["message"]


@pytest.mark.parametrize("address", ["serviceusers/%00", "serviceusers?nextToken=%00", "serviceusers/a%0Ab"])
async def test_an_address_with_control_characters_is_refused(api: httpx.AsyncClient, address: str) -> None:
    answer = await api.get(address)
    assert answer.status_code == 400
    assert "control character" in answer.json()["message"]


@pytest.mark.parametrize("query", ["pageSize=0", "pageSize=201", "pageSize=x", "nextToken=%21", "nextToken=YWJj"])
async def test_bad_paging_is_refused_by_name(api: httpx.AsyncClient, query: str) -> None:
    answer = await api.get(f"serviceusers?{query}")
    assert answer.status_code == 400
    assert answer.json()["field"] == query.split("=")[0]


async def test_a_bug_is_answered_with_an_incident_and_logged(app: FastAPI, visitor: httpx.AsyncClient) -> None:
    @app.get("/broken")
    async def broken() -> Response:
        raise ZeroDivisionError("oops")

    with capture_logs() as logs:
        answer = await visitor.get("/broken")
    assert answer.status_code == 500
    assert "oops" not in answer.text
    incident = answer.json()["message"].split()[-1].rstrip(".")
    assert [(line["incident"], line["path"]) for line in logs] == [(incident, "/broken")]


@pytest.mark.parametrize(
    ("state", "code"),
    [("53100", "database.disk_full"), ("53300", "database.unavailable"), ("57P01", "database.unavailable")],
)
async def test_a_database_that_does_not_work_now_is_no_bug(
    app: FastAPI, visitor: httpx.AsyncClient, db: Database, state: str, code: str
) -> None:
    @app.get("/{way}/refused")
    async def refused(way: str) -> None:
        what = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"
        if way == "hot":
            async with db.hot() as connection:
                await connection.execute(what)
        async with db.transaction() as tx:
            await tx.exec_driver_sql(what)

    for way in ("hot", "ordinary"):
        answer = await visitor.get(f"/{way}/refused")
        assert (answer.status_code, answer.json()["code"]) == (503, code)
        assert answer.json()["hint"]


async def test_extensions_are_marked_in_our_openapi_document(visitor: httpx.AsyncClient) -> None:
    document = (await visitor.get("/openapi.json")).json()
    operation = document["paths"]["/organizations/{orgId}/serviceusers"]["post"]
    assert operation["x-extension"] is True
    assert operation["requestBody"]["content"]["application/json"]["schema"]["required"] == ["name", "role"]
    assert "422" not in operation["responses"]
    assert "x-extension" not in document["paths"]["/oauth/token"]["post"]


async def test_health_is_told_without_a_token(visitor: httpx.AsyncClient, parts: Parts, app: FastAPI) -> None:
    assert (await visitor.get("/healthz")).status_code == 200
    assert (await visitor.get("/readyz")).json() == {"status": "ready"}
    app.state.parts = replace(parts, db=replace(parts.db, dsn="postgresql://127.0.0.1:1/none"))
    answer = await visitor.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["code"] == "database.unreachable"


async def test_without_a_database_calls_are_unavailable_and_say_so(
    api: httpx.AsyncClient, app: FastAPI, parts: Parts
) -> None:
    away = replace(parts.db, engine=create_engine(lambda: connect("postgresql://127.0.0.1:1/none")))
    app.state.parts = replace(parts, db=away)
    answer = await api.get("serviceusers")
    assert answer.status_code == 503
    assert "cannot be reached" in answer.json()["message"]
