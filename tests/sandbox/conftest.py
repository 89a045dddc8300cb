"""A running stand-in for Stripe per test, and a client that speaks to it as any program would."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tollbridge.sandbox import stripe
from tollbridge.sandbox.server import Running

CONTRACTS = Path(os.environ.get("TOLLBRIDGE_CONTRACTS", Path(__file__).parents[3] / "shared" / "contracts"))


@dataclass(frozen=True)
class Got:
    """A reply as the client saw it."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.body["error"]
        return error


@dataclass
class Client:
    """Speaks form encoding with the stand-in, and JSON with its administration."""

    running: Running
    session: aiohttp.ClientSession
    key: str

    async def call(self, method: str, path: str, form: Any = None, *, idempotency: str = "", key: str = "") -> Got:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        if idempotency:
            headers["Idempotency-Key"] = idempotency
        sent = {"params": form} if method == "GET" else {"data": form}
        async with self.session.request(method, self.running.url + path, headers=headers, **sent) as reply:
            return Got(reply.status, await reply.json(), dict(reply.headers))

    async def get(self, path: str, form: Any = None, **more: str) -> Got:
        return await self.call("GET", path, form, **more)

    async def post(self, path: str, form: Any = None, **more: str) -> Got:
        return await self.call("POST", path, form, **more)

    async def delete(self, path: str) -> Got:
        return await self.call("DELETE", path)

    async def admin(self, method: str, path: str, given: Any = None) -> Any:
        async with self.session.request(method, f"{self.running.url}/_admin/{path}", json=given) as reply:
            return await reply.json()

    async def fault(self, kind: str, **more: Any) -> None:
        answer = await self.admin("POST", "faults", {"kind": kind, **more})
        assert "faults" in answer, answer

    async def forward(self, seconds: float) -> None:
        await self.admin("POST", "clock", {"forward_seconds": seconds})

    async def books(self) -> Any:
        return await self.admin("GET", "books")

    async def customer(self, **form: str) -> str:
        return (await self.post("/v1/customers", {"name": "Ada", "email": "ada@example.com", **form})).id

    async def draft(self, customer: str = "", **form: str) -> Got:
        given = {"customer": customer or await self.customer(), "currency": "eur", **form}
        return await self.post("/v1/invoices", given)

    async def with_lines(self, *amounts: int, customer: str = "", **form: str) -> Got:
        invoice = await self.draft(customer, **form)
        lines = {f"lines[{at}][amount]": str(amount) for at, amount in enumerate(amounts)}
        return await self.post(f"/v1/invoices/{invoice.id}/add_lines", lines)

    async def finalised(self, *amounts: int, customer: str = "", **form: str) -> Got:
        invoice = await self.with_lines(*amounts, customer=customer, **form)
        return await self.post(f"/v1/invoices/{invoice.id}/finalize")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """The stand-in without a rate limit, its search three seconds late."""
    running = await stripe.start(requests_per_second=0)
    async with aiohttp.ClientSession() as session:
        yield Client(running, session, running.key)
    await running.stop()


def contract(name: str) -> Path:
    """A vendor's contract; skips the test where there is none."""
    path = CONTRACTS / name
    if not path.exists():
        pytest.skip(f"no {name} in {CONTRACTS}; set TOLLBRIDGE_CONTRACTS")
    return path
