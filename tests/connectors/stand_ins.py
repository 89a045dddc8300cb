"""A vendor's stand-in that runs, and the way to it: each request is held against the contract before it is sent."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.connectors.contracts import FOLDER, contract_of
from tests.connectors.driver import Driver
from tests.connectors.transcripts import delivery_of, subject_of
from tollbridge.connectors.base import Connector, Sending, read_credential
from tollbridge.domain.flows import Delivered, Reply, Request
from tollbridge.sandbox import SYSTEMS


@dataclass
class World:
    """The stand-in of one connector's vendor, empty at the start."""

    connector: Connector
    url: str
    key: str
    session: aiohttp.ClientSession

    async def perform(self, request: Request, idempotency_key: str | None = None) -> Reply:
        if any(FOLDER.glob(f"{self.connector.key}-*.requests.json")):
            assert contract_of(self.connector.key).complaints(request) == []
        system = next(each for each in self.connector.systems if not each.live)
        credential = read_credential(self.connector, system, {"apiKey": self.key})
        sent = self.connector.authorize(request, credential, Sending(idempotency_key, datetime.now(UTC)))
        async with self.session.request(
            sent.method,
            self.url + sent.path,
            params=list(sent.query),
            data=None if sent.form is None else urlencode(sent.form),
            headers={"Content-Type": "application/x-www-form-urlencoded", **dict(sent.headers)},
        ) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, headers, await answer.read())

    async def prepare(self, before: list[dict[str, Any]]) -> None:
        """Let happen what a transcript says happened before: deliveries, and requests of others."""
        for each in before:
            if "path" in each:
                form = tuple((name, value) for name, value in each["form"])
                reply = await self.perform(Request(each["method"], each["path"], form=form))
                assert reply.ok, reply.body
            else:
                driver = Driver(self.connector, self.perform, subject_of(each))
                assert isinstance(
                    await driver.run(self.connector.deliver(delivery_of(self.connector, each))), Delivered
                )

    async def books(self) -> dict[str, Any]:
        """What the vendor holds."""
        async with self.session.get(f"{self.url}/_admin/books") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def forward(self, days: int) -> None:
        """Move the vendor's clock."""
        async with self.session.post(f"{self.url}/_admin/clock", json={"forward_seconds": days * 86_400}) as answer:
            assert answer.status == 200, await answer.text()

    async def limit(self, **given: Any) -> None:
        """Change what the vendor allows, and how far its search lags."""
        async with self.session.post(f"{self.url}/_admin/limits", json=given) as answer:
            assert answer.status == 200, await answer.text()

    async def pay(self, invoice: str) -> None:
        """Let the customer pay what is owed, at the vendor."""
        async with self.session.post(f"{self.url}/_admin/payments", json={"invoice": invoice}) as answer:
            assert answer.status == 200, await answer.text()

    async def fault(self, **given: Any) -> None:
        """Switch a fault on."""
        async with self.session.post(f"{self.url}/_admin/faults", json=given) as answer:
            assert answer.status == 200, await answer.text()


@asynccontextmanager
async def world_of(connector: Connector) -> AsyncIterator[World]:
    """Start the stand-in without rate limits; skips the test where the vendor has none."""
    if connector.key not in SYSTEMS:
        pytest.skip(f"{connector.title} has no stand-in")
    running = await importlib.import_module(SYSTEMS[connector.key]).start(requests_per_second=0)
    try:
        async with aiohttp.ClientSession() as session:
            yield World(connector, running.url, running.key, session)
    finally:
        await running.stop()
