"""The OpenAPI document: kept in the repository, and true of real answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema_rs
import pytest
from fastapi import FastAPI

from tests.api.entities import ACCOUNT, a_bill, send
from tests.api.openapi_file import FILE, text_of
from tests.api.test_error_events import fail
from tests.console.trouble import REJECTED
from tollbridge.store.db import Database

HERE = "/organizations/{orgId}/"


def test_the_document_in_the_repository_is_current(app: FastAPI) -> None:
    assert FILE.read_text() == text_of(app), "Run: make openapi"


async def test_answers_are_as_described(api: httpx.AsyncClient, app: FastAPI, db: Database) -> None:
    await fail(db, "error", REJECTED)
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "POST", "products", {"code": "C", "name": "Calls"})
    mapping = {"m3terEntity": "Account", "m3terId": "acme", "externalSystem": "Stripe", "externalTable": "Customer"}
    await send(api, "POST", "externalmappings", mapping | {"externalId": "cus_1"})
    made = await send(api, "POST", "integrationconfigs", {"destination": "Stripe", "entityType": "Bill"})
    await send(api, "POST", f"integrationconfigs/{made['id']}/disable")
    await send(api, "PUT", "bills/b", a_bill())
    scheduled = {"name": "scheduled.bill.ends", "entity": "Bill", "field": "endDate", "offset": 0}
    await send(api, "POST", "scheduledevents/configurations", scheduled)
    signed = {"type": "M3TER_SIGNED_REQUEST", "apiKey": "key", "secret": "secret"}
    hook = {"name": "Hook", "description": "To the ERP", "url": "http://127.0.0.1:4011/in", "credentials": signed}
    await send(api, "POST", "integrationdestinations/webhooks", hook)
    await send(api, "POST", "invitations", {"email": "a@b.example", "firstName": "A", "lastName": "B"})
    rule = {"code": "r", "name": "R", "description": "d", "eventName": "billing.bill.created", "calculation": "true"}
    await send(api, "POST", "notifications/configurations", rule)
    described = 0
    for path, item in app.openapi()["paths"].items():
        plain = path.startswith(HERE) and "{" not in path.removeprefix(HERE)
        schema = answer_of(item["get"]) if plain and "get" in item else None
        if schema:
            answer = (await api.get(path.removeprefix(HERE))).json()
            validator(app, schema).validate(answer)
            assert "credentials" in path or answer.get("data") != [], path
            described += 1
    assert described >= 10
    refusal = (await api.get("accounts/nobody")).json()
    validator(app, {"$ref": "#/components/schemas/Error"}).validate(refusal)


@pytest.mark.parametrize("name", ["Account", "Bill", "Run", "Integration", "Event", "Webhook"])
def test_what_is_described_is_used(app: FastAPI, name: str) -> None:
    assert f"#/components/schemas/{name}" in json.dumps(app.openapi()["paths"], default=float)


def answer_of(operation: Any) -> Any:
    return operation["responses"]["200"]["content"]["application/json"]["schema"]


def validator(app: FastAPI, schema: Any) -> Any:
    whole = json.loads(json.dumps({**schema, "components": app.openapi()["components"]}, default=float))
    return jsonschema_rs.validator_for(whole)
