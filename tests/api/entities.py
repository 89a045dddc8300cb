"""What tests of the API send, and how they read exact answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import insert

from tollbridge.domain import json_text
from tollbridge.services import clock
from tollbridge.store.db import Database
from tollbridge.store.schema import credentials

ACCOUNT = {"id": "acme", "code": "ACME", "name": "Acme Ltd", "emailAddress": "ap@acme.example"}


def a_line(**changes: Any) -> dict[str, Any]:
    return {"lineItemType": "USAGE", "description": "Calls", "subtotal": Decimal("12.5"), **changes}


def a_bill(*lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "accountId": "acme",
        "billDate": "2026-10-31",
        "currency": "EUR",
        "billTotal": Decimal("12.50"),
        "lineItems": list(lines) or [a_line()],
        **changes,
    }


def ndjson(*values: Any) -> bytes:
    return b"".join(json_text.dump(value).encode() + b"\n" for value in values)


async def send(api: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    """The exact body of an answer that must be a 200."""
    content = None if body is None else json_text.dump(body)
    answer = await api.request(method, path, content=content)
    assert answer.status_code == 200, answer.text
    return json_text.parse(answer.content)


async def refused(api: httpx.AsyncClient, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """Status and body of an answer that must be a refusal."""
    content = None if body is None else json_text.dump(body)
    answer = await api.request(method, path, content=content)
    assert answer.status_code >= 400, answer.text
    return answer.status_code, answer.json()


async def add_credential(db: Database, id: str = "c1", system: str = "STRIPE", status: str = "VALID") -> None:
    """A credential as it stands after its check."""
    row = {
        "org_id": "org 1",
        "id": id,
        "version": 1,
        "created_at": clock.now(),
        "created_by": "SYSTEM",
        "updated_at": clock.now(),
        "updated_by": "SYSTEM",
        "body": {"name": id},
        "name": id,
        "type": "STATIC_API_KEY",
        "system": system,
        "status": status,
        "secrets": b"sealed",
        "tenant": f"{system}:acct_1",
        "tenant_name": "Acme Ltd",
    }
    async with db.transaction() as tx:
        await tx.execute(insert(credentials).values(row))
