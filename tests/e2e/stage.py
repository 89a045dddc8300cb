"""A stage for the whole engine: a real database, real worker processes, and the stand-in for Stripe on the loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from tollbridge.domain import json_text
from tollbridge.sandbox import stripe
from tollbridge.sandbox.server import Running
from tollbridge.services import bills, credentials, integrations, organizations
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.caller import Caller
from tollbridge.services.parts import Parts
from tollbridge.settings import Settings
from tollbridge.store.db import connected
from tollbridge.wiring import connect

PATIENCE = 60
"""Seconds after which what should happen counts as not happening."""
KEY = base64.b64encode(b"k" * 32).decode()
TOLLBRIDGE = (sys.executable, "-P", "-m", "tollbridge.cli.main")
"""The code of this folder, or of the one that PYTHONPATH names."""
ENDED = ("delivered", "skipped", "superseded", "cancelled", "failed")


async def until(condition: Callable[[], Awaitable[bool]], patience: float = PATIENCE) -> None:
    """Wait until it holds; raises TimeoutError when it takes too long."""
    async with asyncio.timeout(patience):
        while not await condition():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.02)


@dataclass
class Process:
    """A program of ours in a process of its own, with its log lines."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def gone(self) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.wait_for(self.process.wait(), PATIENCE)

    async def says(self, event: str) -> None:
        """Wait until it logs the event."""

        async def said() -> bool:
            assert self.process.returncode is None, self.lines
            return any(line.get("event") == event for line in self.log)

        await until(said)


@dataclass
class Server:
    """A server of the API in a process of its own, and how it is called."""

    process: Process
    url: str
    org_id: str
    key: tuple[str, str]

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of the answer; `path` is below the organization. Raises ClientError where there is none."""
        async with aiohttp.ClientSession(self.url, timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
            grant = {"grant_type": "client_credentials"}
            basic = {"Authorization": aiohttp.encode_basic_auth(*self.key)}
            async with session.post("/oauth/token", data=grant, headers=basic) as answer:
                told = await answer.json()
                if answer.status != 200:
                    return answer.status, told
            headers = {"Authorization": f"Bearer {told['access_token']}", "Content-Type": "application/json"}
            text = None if body is None else json_text.dump(body)
            path = f"/organizations/{self.org_id}/{path}"
            async with session.request(method, path, data=text, headers=headers) as answer:
                return answer.status, await answer.json()

    async def ready(self) -> bool:
        """Whether it says that it can do its work."""
        try:
            async with aiohttp.ClientSession(self.url) as session, session.get("/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


def bill_of(account: str, *subtotals: str, currency: str = "EUR") -> dict[str, Any]:
    """A bill with these lines, as a caller sends it."""
    amounts = [Decimal(each) for each in subtotals]
    return {
        "accountId": account,
        "billDate": "2026-10-31",
        "currency": currency,
        "billTotal": sum(amounts),
        "lineItems": [
            {"lineItemType": "USAGE", "description": f"Line {number}", "subtotal": amount}
            for number, amount in enumerate(amounts, start=1)
        ],
    }


@dataclass
class Stage:
    """What a test acts on."""

    parts: Parts
    caller: Caller
    vendor: Running
    environment: Mapping[str, str]
    key: tuple[str, str]
    processes: list[Process] = field(default_factory=list)
    readers: set[asyncio.Task[None]] = field(default_factory=set)

    async def start_worker(self, ahead: timedelta = timedelta(), /, **environment: str) -> Process:
        """A worker that works; `ahead` by how much the clock of its machine, and not the vendor's, is moved."""
        if ahead:
            program = [sys.executable, "-m", "tests.e2e.worker_ahead", str(ahead.total_seconds())]
            return await self.start(program, "worker ready", **environment)
        return await self.start([*TOLLBRIDGE, "worker"], "worker ready", **environment)

    async def start_server(self, **environment: str) -> Server:
        """A server of the API on a port of its own, and somebody who calls it with an administrator's key."""
        process = await self.start([*TOLLBRIDGE, "serve", "--port", "0"], **environment)
        assert process.process.stdout is not None
        url = (await asyncio.wait_for(process.process.stdout.readline(), PATIENCE)).decode().strip()
        return Server(process, url, self.caller.org_id, self.key)

    async def start(self, program: Sequence[str], until_it_says: str | None = None, **environment: str) -> Process:
        """A program of ours in a process of its own, which is killed at the end of the test."""
        process = Process(
            await asyncio.create_subprocess_exec(
                *program,
                env={**self.environment, **environment},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )
        self.processes.append(process)
        self.readers.add(asyncio.create_task(self._read(process)))
        if until_it_says is not None:
            await process.says(until_it_says)
        return process

    async def connect(self, accounts: int = 3, **options: Any) -> None:
        """A checked credential, an integration that uses it, and some accounts a0, a1, …; needs a worker."""
        saved = await credentials.create(
            self.parts, self.caller, {"destination": "stripe_test", "name": "Trial", "apiKey": self.vendor.key}
        )
        assert saved.record["status"] == "VALID", saved.record["error"]
        body = {
            "destination": "stripe_test",
            "entityType": "Bill",
            "integrationCredentialsId": saved.record.id,
            "configData": {"finish": "finalise", **options},
        }
        await integrations.create(self.parts.db, self.caller, body)
        for number in range(accounts):
            account = {"id": f"a{number}", "code": f"A{number}", "name": f"Account {number}"}
            await ACCOUNTS.create(self.parts.db, self.caller, {**account, "emailAddress": f"a{number}@example.com"})

    async def bill(self, id: str, account: str, *subtotals: str, currency: str = "EUR") -> None:
        """Take in a bill with these lines; each that can be sent makes a run."""
        await bills.put(self.parts.db, self.caller, id, bill_of(account, *subtotals, currency=currency))

    async def runs(self) -> list[dict[str, Any]]:
        async with self.parts.db.hot() as connection:
            return [
                dict(row)
                for row in await connection.fetch(
                    "SELECT * FROM runs WHERE flow IN ('deliver', 'withdraw') ORDER BY id"
                )
            ]

    async def ended(self, count: int, patience: float = PATIENCE) -> list[dict[str, Any]]:
        """All runs, once that many have ended and no other is left."""

        async def over() -> bool:
            runs = await self.runs()
            return len(runs) == count and all(run["state"] in ENDED for run in runs)

        await until(over, patience)
        return await self.runs()

    async def reaches(self, state: str) -> None:
        """Wait until a run is in that state."""
        await until(lambda: self._any_is(state))

    async def struck(self, times: int) -> None:
        """Wait until the faults that are switched on struck that often."""

        async def enough() -> bool:
            struck: list[int] = [each["struck"] for each in self.vendor.stand_in.faults.active()]
            return sum(struck) >= times

        await until(enough)

    async def _any_is(self, state: str) -> bool:
        return any(run["state"] == state for run in await self.runs())

    def fault(self, **fields: Any) -> None:
        self.vendor.stand_in.faults.add(fields)

    def invoices(self) -> list[dict[str, Any]]:
        books = self.vendor.stand_in.books({})
        return list(books["invoices"])

    async def _read(self, process: Process) -> None:
        assert process.process.stderr is not None
        async for line in process.process.stderr:
            process.lines.append(line.decode())


async def told(environment: Mapping[str, str], *arguments: str) -> Any:
    """What a command of ours that succeeds answers as JSON."""
    process = await asyncio.create_subprocess_exec(
        *TOLLBRIDGE,
        *arguments,
        "--json",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, error.decode()
    return json.loads(out)


@asynccontextmanager
async def set_up(
    dsn: str, home: Path, key: tuple[str, str] | None = None, /, **environment: str
) -> AsyncIterator[Stage]:
    """A stage on this database, for a new organization o1 or the one that is there already and has this access key; at
    the end all of its processes are killed."""
    vendor = await stripe.start(requests_per_second=0, search_lag=0)
    variables = {
        "PATH": os.environ["PATH"],
        "TOLLBRIDGE_HOME": str(home),
        "TOLLBRIDGE_DATABASE_URL": dsn,
        "TOLLBRIDGE_KEY": KEY,
        "TOLLBRIDGE_VENDOR_URLS": f"STRIPE_TEST={vendor.url}",
        "TOLLBRIDGE_RATE_LIMITS": "STRIPE_TEST=1000",
        **environment,
    }
    async with connected(dsn) as db:
        parts = connect(Settings.read(variables), db)
        if key is None:
            made = await organizations.create(db, "Acme", "o1")
            key = (made.key_id, made.secret)
        stage = Stage(parts, Caller("o1", f"SERVICE_USER_{key[0]}"), vendor, variables, key)
        try:
            yield stage
        finally:
            for each in stage.processes:
                if each.process.returncode is None:
                    each.signal(signal.SIGKILL)
                await each.process.wait()
            await asyncio.gather(*stage.readers)
            await vendor.stop()
