"""A vendor that rotates refresh tokens, and real workers: each token is used once, and a death costs no bill."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import Process, Stage, set_up, until
from tests.oauth.connector import installed
from tests.oauth.vendor import CLIENT_ID, CLIENT_SECRET, Strongbox, strongbox
from tollbridge.domain import json_text
from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.domain.runs import RunState
from tollbridge.services import clock, credentials, integrations, oauth, runs
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.credentials import Saved
from tollbridge.services.oauth import Begun, Finished
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
            urls = f"STRONGBOX={vendor.url},STRONGHOLD={vendor.url}"
            variables = {"PYTHONPATH": path, "TOLLBRIDGE_VENDOR_URLS": urls}
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
        async with stage.parts.db.transaction() as tx:
            steps = (await runs.run_log(tx, "o1", run["id"])).steps
        assert [(step.name, step.kind, step.status) for step in steps] == [
            ("Create invoice", "write", 200),
            ("Refresh the token", "token", 200),
            ("Read it back", "read", 200),
        ]


async def test_every_exchange_stands_in_the_log_of_its_run_without_a_secret(database_url: str, tmp_home: Path) -> None:
    async with at_strongbox(database_url, tmp_home) as (stage, vendor):
        await stage.start_worker()
        id = await connect(stage, vendor, accounts=0)
        vendor.revoke()
        checked = await credentials.check(stage.parts, stage.caller, id)
        assert checked.record["status"] == "INVALID"
        async with stage.parts.db.transaction() as tx:
            found = (await runs.list_runs(tx, "o1", credential_id=id, ascending=True)).data
            logs = [(await runs.run_log(tx, "o1", each.id)).steps for each in found]
        told = [[(step.name, step.status, (step.fault or {}).get("code")) for step in steps] for steps in logs]
        assert told == [
            [("Redeem the code", 200, None), ("Whose is it", 200, None)],
            [("Whose is it", 401, "strongbox.401"), ("Refresh the token", 400, "oauth.grant_refused")],
        ]
        (first, *_), _ = logs
        assert first.request["form"]["grant_type"] == "authorization_code"
        shown = json_text.dump([[step.request, step.reply, step.fault] for steps in logs for step in steps])
        assert not any(secret in shown for secret in ("at-", "rt-", "code-", CLIENT_SECRET))


async def begun(stage: Stage, **more: Any) -> Saved:
    body = {"destination": "stronghold", "name": "Books", "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}
    saved = await credentials.create(stage.parts, stage.caller, body | more)
    assert saved.begun is not None
    return saved


async def come_back(stage: Stage, vendor: Strongbox, begun: Begun | None) -> Finished:
    assert begun is not None
    return await oauth.finish(stage.parts, stage.caller, vendor.consent(begun.url))


async def test_of_several_tenants_a_person_chooses_one_and_the_credential_waits_until_then(
    database_url: str, tmp_home: Path
) -> None:
    async with at_strongbox(database_url, tmp_home) as (stage, vendor):
        vendor.companies += [{"id": "co_2", "name": "Beta Books"}]
        await stage.start_worker()
        saved = await begun(stage)
        done = await come_back(stage, vendor, saved.begun)
        assert done.run.state is RunState.SKIPPED
        assert done.run.note == "It opens 2: Acme Books, Beta Books. Choose one at the credential."
        assert done.credential["status"] == "WAITING"
        assert [each["id"] for each in done.credential["tenants"]] == ["co_1", "co_2"]
        await oauth.forget(stage.parts.db, clock.now() + timedelta(days=1))
        with pytest.raises(Invalid, match="which it does not open"):
            await oauth.choose_tenant(stage.parts, stage.caller, saved.record.id, {"tenantId": "co_3"})
        chosen = await oauth.choose_tenant(stage.parts, stage.caller, saved.record.id, {"tenantId": "co_2"})
        assert chosen.run.state is RunState.DELIVERED, chosen.run.error
        assert (chosen.credential["status"], chosen.credential["tenant_name"]) == ("VALID", "Beta Books")
        assert chosen.credential["tenants"] is None
        with pytest.raises(Conflict, match="waits for no choice"):
            await oauth.choose_tenant(stage.parts, stage.caller, saved.record.id, {"tenantId": "co_1"})
        # Whoever reconnects it wants the same again.
        again = await come_back(stage, vendor, await oauth.begin(stage.parts, stage.caller, saved.record.id))
        assert again.run.state is RunState.DELIVERED, again.run.error
        assert again.credential["tenant_name"] == "Beta Books"
        vendor.companies.pop()
        other = await come_back(stage, vendor, await oauth.begin(stage.parts, stage.caller, saved.record.id))
        assert other.run.fault_code == "credential.other_tenant"


async def test_the_only_tenant_is_taken_at_once_and_none_is_said_to_be_none(database_url: str, tmp_home: Path) -> None:
    async with at_strongbox(database_url, tmp_home) as (stage, vendor):
        await stage.start_worker()
        done = await come_back(stage, vendor, (await begun(stage)).begun)
        assert (done.run.state, done.credential["tenant_name"]) == (RunState.DELIVERED, "Acme Books")
        vendor.companies.clear()
        none = await come_back(stage, vendor, (await begun(stage)).begun)
        assert none.run.fault_code == "oauth.no_tenant"


async def test_a_reconnect_forgets_an_end_that_the_vendor_does_not_name(database_url: str, tmp_home: Path) -> None:
    async with at_strongbox(database_url, tmp_home) as (stage, vendor):
        await stage.start_worker()
        saved = await begun(stage, dtExpiry="2030-01-01T00:00:00Z")
        first = await come_back(stage, vendor, saved.begun)
        assert first.credential["expires_at"] is not None
        again = await come_back(stage, vendor, await oauth.begin(stage.parts, stage.caller, saved.record.id))
        assert again.credential["expires_at"] is None


async def test_an_integration_gets_its_credential_also_where_the_check_takes_long(
    database_url: str, tmp_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_strongbox(database_url, tmp_home) as (stage, vendor):
        await stage.start_worker()
        body = {"destination": "stronghold", "entityType": "Bill", "name": "Invoices"}
        made = await integrations.create(stage.parts.db, stage.caller, body)
        saved = await begun(stage)
        way = await oauth.begin(stage.parts, stage.caller, saved.record.id, integration_id=made.record.id)
        monkeypatch.setattr(oauth, "CHECK_PATIENCE", timedelta())
        await come_back(stage, vendor, way)

        async def is_connected() -> bool:
            found = await integrations.retrieve(stage.parts.db, stage.caller, made.record.id)
            return found.record["credential_id"] == saved.record.id and found.standing.authorized

        await until(is_connected)
