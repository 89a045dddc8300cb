"""A vendor that rotates refresh tokens, and real workers: each token is used once, and a death costs no bill."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import Process, Stage, set_up, until
from tests.oauth.connector import installed
from tests.oauth.vendor import CLIENT_ID, CLIENT_SECRET, Strongbox, strongbox
from tollbridge.domain.runs import RunState
from tollbridge.services import credentials, integrations, oauth
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.settings import Settings
from tollbridge.store import embedded, migrate

WORKERS = 8


@pytest.fixture
async def own_database(tmp_home: Path) -> AsyncIterator[str]:
    """A server of its own: eight workers take more connections than the tests beside this one could spare."""
    settings = Settings(home=tmp_home)
    dsn = await asyncio.to_thread(embedded.start, settings)
    try:
        await migrate.migrate(dsn)
        yield dsn
    finally:
        await asyncio.to_thread(embedded.stop, settings)


@asynccontextmanager
async def at_strongbox(dsn: str, home: Path, **settings: Any) -> AsyncIterator[tuple[Stage, Strongbox]]:
    (home / "plugin").mkdir()
    with installed(home / "plugin") as path:
        async with strongbox(**settings) as vendor:
            variables = {"PYTHONPATH": path, "TOLLBRIDGE_VENDOR_URLS": f"STRONGBOX={vendor.url}"}
            async with set_up(dsn, home, **variables) as stage:
                yield stage, vendor


async def connect(stage: Stage, vendor: Strongbox, accounts: int) -> str:
    """A credential that somebody connected, an integration on it, and accounts; needs a worker."""
    body = {
        "destination": "strongbox",
        "name": "Books",
        "clientId": CLIENT_ID,
        "clientSecret": CLIENT_SECRET,
    }
    saved = await credentials.create(stage.parts, stage.caller, body)
    assert saved.record["status"] == "WAITING"
    assert saved.begun is not None
    done = await oauth.finish(stage.parts, stage.caller, vendor.consent(saved.begun.url))
    assert done.run.state is RunState.DELIVERED, done.run.error
    assert done.credential["status"] == "VALID"
    assert done.credential["tenant_name"] == "Acme Books"
    integration = {"destination": "strongbox", "entityType": "Bill", "integrationCredentialsId": saved.record.id}
    await integrations.create(stage.parts.db, stage.caller, integration)
    for number in range(accounts):
        account = {"id": f"a{number}", "code": f"A{number}", "name": f"Account {number}"}
        await ACCOUNTS.create(stage.parts.db, stage.caller, {**account, "emailAddress": f"a{number}@example.com"})
    return saved.record.id


async def status_of(stage: Stage, id: str) -> str:
    return str((await credentials.retrieve(stage.parts, stage.caller, id))["status"])


async def count(stage: Stage, query: str) -> int:
    async with stage.parts.db.hot() as connection:
        found: int = await connection.fetchval(query)
        return found


@pytest.mark.timeout(600)
async def test_eight_workers_use_every_refresh_token_once_and_deliver_every_bill(
    own_database: str, tmp_home: Path
) -> None:
    # Long enough for a token to be used before it ends, also where eight workers share a busy machine.
    async with at_strongbox(own_database, tmp_home, lifetime=8) as (stage, vendor):
        await stage.start_worker()
        await connect(stage, vendor, accounts=20)
        await asyncio.gather(*(stage.start_worker() for _ in range(WORKERS - 1)))
        bills, runs = 0, []
        while sum(vendor.used.values()) < 6:
            for _ in range(20):
                await stage.bill(f"b{bills}", f"a{bills % 20}", "10.00")
                bills += 1
            # At the pace of the workers: on a busy machine a backlog would grow faster than it is worked off.
            runs = await stage.ended(bills, 240)
        assert {run["state"] for run in runs} == {"delivered"}
        assert set(vendor.used.values()) == {1}
        assert vendor.thefts == 0
        assert sorted(each["bill"] for each in vendor.invoices.values()) == sorted(f"b{n}" for n in range(bills))
        assert await count(stage, "SELECT count(*) FROM events WHERE type = 'IntegrationEvent'") == 0


def dies_at_refresh(vendor: Strongbox, worker: Process) -> None:
    """The next refresh kills the worker once the vendor has rotated, before it can store what came."""

    def kill() -> None:
        worker.signal(signal.SIGKILL)
        vendor.at_refresh = lambda: None

    vendor.at_refresh = kill


async def test_a_worker_that_dies_before_it_stores_the_token_leaves_it_to_another_where_the_vendor_has_a_grace(
    database_url: str, tmp_home: Path
) -> None:
    async with at_strongbox(database_url, tmp_home, lifetime=2, grace=True) as (stage, vendor):
        first = await stage.start_worker()
        await connect(stage, vendor, accounts=3)
        dies_at_refresh(vendor, first)
        await asyncio.sleep(2)
        for number in range(3):
            await stage.bill(f"b{number}", f"a{number}", "10.00")
        assert await first.gone() == -signal.SIGKILL
        await stage.start_worker()
        runs = await stage.ended(3)
        assert {run["state"] for run in runs} == {"delivered"}
        assert len(vendor.invoices) == 3


async def test_without_a_grace_the_credential_is_disconnected_once_and_reconnecting_sends_what_was_held(
    database_url: str, tmp_home: Path
) -> None:
    async with at_strongbox(database_url, tmp_home, lifetime=2) as (stage, vendor):
        first = await stage.start_worker()
        id = await connect(stage, vendor, accounts=3)
        dies_at_refresh(vendor, first)
        await asyncio.sleep(2)
        for number in range(3):
            await stage.bill(f"b{number}", f"a{number}", "10.00")
        assert await first.gone() == -signal.SIGKILL
        await asyncio.gather(*(stage.start_worker() for _ in range(3)))

        async def all_are_held() -> bool:
            return all(run["state"] == "held" for run in await stage.runs())

        await until(all_are_held)
        assert await status_of(stage, id) == "INVALID"
        assert await count(stage, "SELECT count(*) FROM events WHERE type = 'IntegrationEvent'") == 1
        assert await count(stage, "SELECT count(*) FROM alerts WHERE type = 'CREDENTIAL_INVALID'") == 1
        assert vendor.invoices == {}

        begun = await oauth.begin(stage.parts, stage.caller, id)
        done = await oauth.finish(stage.parts, stage.caller, vendor.consent(begun.url))
        assert done.run.state is RunState.DELIVERED, done.run.error
        runs = await stage.ended(3)
        assert {run["state"] for run in runs} == {"delivered"}
        assert len(vendor.invoices) == 3


async def test_a_token_that_the_vendor_ends_before_its_time_is_renewed_once(database_url: str, tmp_home: Path) -> None:
    async with at_strongbox(database_url, tmp_home) as (stage, vendor):
        await stage.start_worker()
        await connect(stage, vendor, accounts=1)
        vendor.access.clear()
        await stage.bill("b0", "a0", "10.00")
        (run,) = await stage.ended(1)
        assert run["state"] == "delivered"
        assert sum(vendor.used.values()) == 1
