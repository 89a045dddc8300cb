"""The set-up of docs/how-to/production.md, "High availability": two servers, three workers, a PostgreSQL of its own.

Of each kind one is killed, and the database restarted, while bills come in."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from tests.console.conftest import Browser
from tests.e2e.external import External, Person, Started, external_postgres, somebody
from tests.e2e.stage import PATIENCE
from tests.outbound.post_office import PostOffice, post_office
from tollbridge.cli.client import Client
from tollbridge.cli.common import Failure
from tollbridge.cli.profiles import Profile
from tollbridge.domain.errors import Unavailable
from tollbridge.sandbox import stripe
from tollbridge.sandbox.server import Running
from tollbridge.services import organizations
from tollbridge.store.db import connected

BILLS = 30
MAIL = "ops@example.org"


@dataclass
class Balancer:
    """What a load balancer does: one server after the other; of one that is away, the next."""

    servers: list[Client]

    def call(self, method: str, *path: str, body: Any = None) -> Any:
        deadline = time.monotonic() + PATIENCE
        while True:
            self.servers.append(server := self.servers.pop(0))
            try:
                return server.call(method, *path, body=body)
            except (Unavailable, Failure):
                # The caller's part: ids are its own, so what may have arrived is simply sent again.
                assert time.monotonic() < deadline
                time.sleep(0.2)


@dataclass
class SetUp:
    """All that runs."""

    database: External
    vendor: Running
    office: PostOffice
    person: Person
    profile: Profile
    servers: list[Started]
    urls: list[str]
    workers: list[Started]

    def client(self, server: int) -> Client:
        return Client(replace(self.profile, url=self.urls[server]))

    async def ask(self, statement: str) -> Any:
        """A value of the database."""
        connection = await asyncpg.connect(self.database.dsn())
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    async def until(self, statement: str) -> None:
        """Wait until the statement says true."""
        async with asyncio.timeout(2 * PATIENCE):
            while not await self.ask(statement):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.3)


@pytest.fixture
async def running(tmp_home: Path) -> AsyncIterator[SetUp]:
    async with started(tmp_home) as found:
        yield found


@asynccontextmanager
async def started(home: Path) -> AsyncIterator[SetUp]:
    """Two servers and the first worker; they share nothing but the database and the settings."""
    vendor = await stripe.start(requests_per_second=0, search_lag=0)
    async with post_office() as office:
        with (
            external_postgres(home) as database,
            somebody(
                home,
                TOLLBRIDGE_DATABASE_URL=database.dsn(),
                TOLLBRIDGE_VENDOR_URLS=f"STRIPE_TEST={vendor.url}",
                TOLLBRIDGE_LEASE="4",
                TOLLBRIDGE_SMTP_URL=f"smtp+plain://127.0.0.1:{office.port}",
                TOLLBRIDGE_ALERT_MAIL=MAIL,
            ) as person,
        ):
            await asyncio.to_thread(person.run, "migrate")
            async with connected(database.dsn()) as db:
                made = await organizations.create(db, "Acme", "acme")
            servers = [person.start("serve", "--port", "0") for _ in range(2)]
            urls = [await asyncio.to_thread(each.line) for each in servers]
            workers = [person.start("worker")]
            profile = Profile(urls[0], made.org_id, made.key_id, made.secret)
            for name, value in (("ORG", "acme"), ("ACCESS_KEY", made.key_id), ("SECRET", made.secret)):
                person.environ[f"TOLLBRIDGE_{name}"] = value
            person.environ["TOLLBRIDGE_URL"] = urls[1]
            yield SetUp(database, vendor, office, person, profile, servers, urls, workers)
    await vendor.stop()


def set_going(running: SetUp) -> None:
    """A credential, an integration and accounts, through one server and the other."""
    credential = running.client(0).call(
        "POST", "integrationcredentials", body={"destination": "STRIPE_TEST", "apiKey": running.vendor.key, "name": "T"}
    )
    running.client(1).call(
        "POST",
        "integrationconfigs",
        body={
            "destination": "STRIPE_TEST",
            "entityType": "Bill",
            "integrationCredentialsId": credential["id"],
            "configData": {"finish": "finalise"},
        },
    )
    for number in range(BILLS):
        account = {"id": f"a{number}", "code": f"A{number}", "name": f"Account {number}"}
        running.client(number % 2).call("POST", "accounts", body={**account, "emailAddress": f"a{number}@example.com"})


def bill(number: int) -> dict[str, Any]:
    amount = 10 + number
    return {
        "accountId": f"a{number}",
        "billDate": "2026-10-31",
        "currency": "EUR",
        "billTotal": amount,
        "lineItems": [{"lineItemType": "USAGE", "description": "Usage", "subtotal": amount}],
    }


def feed(running: SetUp) -> None:
    """Put the bills, and let things die meanwhile."""
    balancer = Balancer([running.client(0), running.client(1)])
    accidents: dict[int, Callable[[], None]] = {
        BILLS // 4: running.servers[0].kill,
        BILLS // 2: running.workers[0].kill,
        BILLS * 3 // 4: lambda: running.database.control("-m", "fast", "restart"),
    }
    for number in range(BILLS):
        if number in accidents:
            accidents[number]()
        balancer.call("PUT", "bills", f"b{number}", body=bill(number))


async def test_each_bill_is_one_invoice_though_one_of_everything_dies(running: SetUp) -> None:
    await running.until("SELECT count(*) = 1 FROM workers")
    await asyncio.to_thread(set_going, running)
    # The credential is due for its daily check, for which every worker asks as it starts.
    await running.ask("UPDATE credentials SET checked_at = now() - interval '2 days'")
    await running.ask("UPDATE chores SET due_at = now() WHERE name = 'credentials'")
    running.workers += [running.person.start("worker") for _ in range(2)]
    await running.until("SELECT count(*) = 3 FROM workers")
    running.vendor.stand_in.faults.add({"kind": "latency", "method": "POST", "path": "/v1/invoices", "seconds": 0.3})
    await asyncio.to_thread(feed, running)

    await running.until(f"SELECT count(*) = {BILLS} FROM runs WHERE flow = 'deliver' AND state = 'delivered'")
    told = json.loads(await asyncio.to_thread(running.person.run, "status", "--json"))
    assert [(each["state"], each["count"]) for each in told["totals"]] == [("delivered", BILLS)]
    invoices = running.vendor.stand_in.books({})["invoices"]
    found = sorted((each["metadata"]["bill_id"], each["total"]) for each in invoices)
    assert found == sorted((f"b{number}", (10 + number) * 100) for number in range(BILLS))
    assert [each.process.poll() for each in running.workers[1:]] == [None, None]

    async with httpx.AsyncClient(base_url=running.urls[1], timeout=PATIENCE) as client:
        assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    # Whatever watches the processes starts the dead one again, where it was.
    port = str(urlsplit(running.urls[0]).port)
    again = running.person.start("serve", "--port", port)
    assert await asyncio.to_thread(again.line) == running.urls[0]
    await a_session_is_valid_at_both(running)
    await chores_are_done_once(running)


async def a_session_is_valid_at_both(running: SetUp) -> None:
    person = ("ada@example.org", "--first", "Ada", "--last", "Bill", "--role", "administrator")
    await asyncio.to_thread(running.person.run, "users", "invite", *person)
    link = await asyncio.to_thread(running.person.run, "users", "sign-in-link", person[0])
    async with httpx.AsyncClient(base_url=running.urls[0], timeout=PATIENCE) as client:
        browser = Browser(client)
        page = await browser.open(f"/links/{link.strip().rpartition('/')[2]}")
        assert (await browser.send(page, "Sign in")).h1 == ["Overview"]
        cookies = client.cookies
    async with httpx.AsyncClient(base_url=running.urls[1], timeout=PATIENCE, cookies=cookies) as client:
        browser = Browser(client)
        assert (await browser.open("/")).h1 == ["Overview"]
        # A form that one made, the other takes.
        page = await browser.open("/")
        async with httpx.AsyncClient(base_url=running.urls[0], timeout=PATIENCE, cookies=cookies) as other:
            page = await Browser(other).send(replace(page, url=running.urls[0]), "Sign out")
        assert "You are signed out." in page.text
        assert (await browser.open("/")).h1 == ["Sign in"]


async def chores_are_done_once(running: SetUp) -> None:
    """The credential was checked when it was saved, and once since; of each alert one mail went out."""

    await running.until("SELECT count(*) >= 2 FROM runs WHERE flow = 'check' AND state = 'delivered'")
    integration = await running.ask("SELECT id FROM integrations")
    client = running.client(1)
    await asyncio.to_thread(client.call, "POST", "integrationconfigs", integration, "disable")

    await running.until("SELECT count(*) > 0 AND count(*) = count(ended_at) FROM outbox")
    ids = [each["Message-ID"] for each in running.office.mails]
    assert len(ids) == len(set(ids)) == await running.ask("SELECT count(*) FROM outbox")
    assert running.office.recipients == [MAIL] * len(ids)
    assert await running.ask("SELECT count(*) FROM runs WHERE flow = 'check'") == 2
