"""The processes of the proof: database, server, stand-in, workers; each can be killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import asyncpg

from tests.crash.nursery import Death, Order
from tollbridge.cli.client import Client
from tollbridge.cli.profiles import Profile
from tollbridge.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refusal
from tollbridge.services import organizations
from tollbridge.settings import Settings
from tollbridge.store import embedded, migrate
from tollbridge.store.db import connected
from tollbridge.store.trouble import TRANSIENT

T = TypeVar("T")
LEASE = 3.0
PATIENCE = 300.0
"""Seconds after which a process that should answer counts as broken."""


class Gone(Exception):
    """A process ended before it said that it is ready."""


class Worker:
    """One worker, a child of the nursery; known by a descriptor, because numbers of processes are reused."""

    def __init__(self, process: int, order: Order) -> None:
        self.process, self.order = process, order
        self._handle = os.pidfd_open(process)
        self._dead = asyncio.Event()
        loop = asyncio.get_running_loop()

        def died() -> None:
            loop.remove_reader(self._handle)
            os.close(self._handle)
            self._dead.set()

        loop.add_reader(self._handle, died)

    @property
    def dead(self) -> bool:
        return self._dead.is_set()

    def signal(self, number: signal.Signals) -> None:
        """Send it; nothing where the worker is dead already."""
        if not self._dead.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    async def dies(self, within: float) -> bool:
        """Wait for its death, at most that many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._dead.wait(), within)
        return self._dead.is_set()

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self._dead.wait()


@dataclass
class Stage:
    """All processes, and the ways to talk to them."""

    home: Path
    settings: Settings
    environment: dict[str, str]
    dsn: str
    profile: Profile
    web: aiohttp.ClientSession
    vendor: str = ""
    key: str = ""
    ahead: float = 0.0
    """Seconds by which the clocks of the workers started from now on, and of the vendor, are ahead of ours."""
    workers: set[Worker] = field(default_factory=set)
    _server: asyncio.subprocess.Process | None = None
    _stand_in: asyncio.subprocess.Process | None = None
    _nursery: asyncio.subprocess.Process | None = None
    _birth: asyncio.Lock = field(default_factory=asyncio.Lock)
    _reader: Any = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def set_up(self) -> None:
        self._stand_in = await self._start("tollbridge.cli.main", "sandbox", "--system", "stripe", "--port", "0")
        self.vendor, _, self.key = (await _line(self._stand_in)).partition("\tkey ")
        await self.admin("POST", "limits", {"requests_per_second": 0})
        self.environment["TOLLBRIDGE_VENDOR_URLS"] = f"STRIPE_TEST={self.vendor}"
        self._nursery = await self._start("tests.crash.nursery", str(self.home))
        await self.start_server(0)

    async def start_server(self, port: int) -> None:
        self._server = await self._start("tollbridge.cli.main", "serve", "--port", str(port))
        self.profile = Profile(
            await _line(self._server), self.profile.org, self.profile.access_key, self.profile.secret
        )

    async def kill_server(self) -> None:
        assert self._server is not None
        self._server.kill()
        await self._server.wait()
        port = int(self.profile.url.rpartition(":")[2])
        # The database may be away at the same time.
        await patiently(lambda: self.start_server(port), lambda error: isinstance(error, Gone))

    async def kill_database(self) -> None:
        """Kill its first process as the machine's memory manager would, and start it again."""
        process = embedded.status(self.settings).process
        assert process is not None
        os.kill(process, signal.SIGKILL)
        # A dying server may be taken for a running one: until it is another, it was not started.
        while (found := embedded.status(self.settings)).state != "running" or found.process == process:
            await asyncio.to_thread(embedded.start, self.settings)
            await asyncio.sleep(0.05)

    async def worker(self, death: Death | None = None) -> Worker:
        """Start a worker that dies there; it may take a moment until it works."""
        order = Order(death, self.ahead)
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        async with self._birth:
            self._nursery.stdin.write(order.line().encode())
            worker = Worker(int(await _line(self._nursery)), order)
        self.workers = {each for each in self.workers if not each.dead} | {worker}
        return worker

    def deaths(self) -> list[str]:
        """What the workers died of by their own hand, in their own words."""
        with suppress(FileNotFoundError):
            return [line.partition(" ")[2] for line in (self.home / "deaths").read_text().splitlines()]
        return []

    async def call(self, method: str, *path: str, body: Any = None, **query: Any) -> Any:
        """One call of our API, repeated while the server or its database is away."""
        return await patiently(
            lambda: asyncio.to_thread(Client(self.profile).call, method, *path, body=body, query=query), _away
        )

    async def admin(self, method: str, what: str, body: Any = None) -> Any:
        """One call of the stand-in's administration."""
        async with self.web.request(method, f"{self.vendor}/_admin/{what}", json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def ask_vendor(self, path: str, form: dict[str, str]) -> Any:
        """What a person does at the vendor's, repeated while faults strike it too."""

        async def ask() -> Any:
            headers = {"Authorization": f"Bearer {self.key}"}
            async with self.web.post(f"{self.vendor}{path}", data=form, headers=headers) as response:
                response.raise_for_status()
                return await response.json()

        return await patiently(ask, lambda error: isinstance(error, aiohttp.ClientError))

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of the database, read past the product."""

        async def ask() -> list[Any]:
            async with self._reading:
                if self._reader is None or self._reader.is_closed():
                    self._reader = await asyncpg.connect(self.dsn)
                return list(await self._reader.fetch(query, *arguments))

        return await patiently(ask, lambda error: isinstance(error, TRANSIENT))

    async def clear(self) -> None:
        """End every process of ours."""
        if self._reader is not None:
            self._reader.terminate()
        for process in (self._nursery, self._server, self._stand_in):
            if process is not None and process.returncode is None:
                # The workers are of the nursery's group.
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    async def _start(self, module: str, *arguments: str) -> asyncio.subprocess.Process:
        log = self.home / f"{arguments[0] if module.startswith('tollbridge') else 'workers'}.log"
        with log.open("ab") as file:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", module, *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
                env=self.environment,
                start_new_session=True,
            )


def _away(error: Exception) -> bool:
    # Nobody answers, no worker is there, or the database of the server is away: all but a clear no.
    return isinstance(error, Refusal) and not isinstance(error, (Invalid, NotFound, Conflict, Forbidden))


async def patiently(act: Callable[[], Awaitable[T]], again: Callable[[Exception], bool]) -> T:
    """Repeat what fails for such a cause until it works."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            return await act()
        except Exception as error:
            if not again(error) or asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    if not line:
        raise Gone
    return line.decode().rstrip("\n")


@asynccontextmanager
async def raised(home: Path) -> AsyncIterator[Stage]:
    """A stage in this folder, with a database of its own; at the end nothing of it runs."""
    settings = Settings(home=home)
    dsn = await asyncio.to_thread(embedded.start, settings)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLBRIDGE_")} | {
        "TOLLBRIDGE_HOME": str(home),
        "TOLLBRIDGE_DATABASE_URL": dsn,
        "TOLLBRIDGE_RATE_LIMITS": "STRIPE_TEST=1000",
        "TOLLBRIDGE_LEASE": str(LEASE),
        "TOLLBRIDGE_RUN_ATTEMPTS": "1000",
        # Few enough for bills that fail in succession to disable the integration now and then.
        "TOLLBRIDGE_DISABLE_AFTER": "3",
        "TOLLBRIDGE_ALLOW_NETWORKS": "127.0.0.1/32",
        "TOLLBRIDGE_ALLOW_HTTP": "true",
        "TOLLBRIDGE_LOG_LEVEL": "warning",
    }
    try:
        await migrate.migrate(dsn)
        async with connected(dsn) as db, aiohttp.ClientSession() as web:
            made = await organizations.create(db, "Crash", "crash")
            stage = Stage(home, settings, environment, dsn, Profile("", "crash", made.key_id, made.secret), web)
            try:
                await stage.set_up()
                yield stage
            finally:
                await stage.clear()
    finally:
        await asyncio.to_thread(embedded.stop, settings)
