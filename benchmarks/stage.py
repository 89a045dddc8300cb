"""What the benchmarks share: a database of their own, an organization with a month of bills, a sink and a worker."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.processes import Process, cpu_of_family, running
from benchmarks.sink import TOTAL
from tollbridge.domain import json_text
from tollbridge.services import credentials, imports, integrations, organizations
from tollbridge.services.caller import Caller
from tollbridge.services.imports import Noun
from tollbridge.services.parts import Parts
from tollbridge.settings import Settings
from tollbridge.store import embedded, migrate
from tollbridge.store.db import connected
from tollbridge.wiring import connect

ORG = "bench"
KEY = base64.b64encode(b"b" * 32).decode()
PATIENCE = 600.0
_NEWEST = "SELECT * FROM runs WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"
ENDED = ("delivered", "skipped", "superseded", "cancelled", "failed", "held")


@dataclass(frozen=True, slots=True)
class Stage:
    """What a benchmark acts on. `environ` is what every process of ours is given."""

    folder: Path
    parts: Parts
    caller: Caller
    made: organizations.NewOrganization
    environ: dict[str, str]
    postmaster: int

    @contextmanager
    def sink(self, latency: float = 0.0) -> Iterator[str]:
        """The vendor's address."""
        with running(self.folder / "sink.log", "benchmarks.sink", str(latency)) as process:
            yield process.first_line()

    @contextmanager
    def worker(self, url: str, name: str = "worker", **environ: str) -> Iterator[Process]:
        """A worker that is ready; two at once need names."""
        log = self.folder / f"{name}.log"
        log.unlink(missing_ok=True)
        environ = {
            **self.environ,
            "TOLLBRIDGE_VENDOR_URLS": f"STRIPE={url},STRIPE_TEST={url}",
            "TOLLBRIDGE_LOG_LEVEL": "info",
            **environ,
        }
        with running(log, "tollbridge.cli.main", "worker", environ=environ) as process:
            process.says("worker ready")
            yield process

    async def connect(self, url: str, system: str) -> None:
        """A credential that the vendor accepted, and an integration that finalises and sends."""
        mode = "live" if system == "STRIPE" else "test"
        with self.worker(url):
            saved = await credentials.create(
                self.parts, self.caller, {"destination": system, "name": system, "apiKey": f"sk_{mode}_benchmark"}
            )
        if saved.record["status"] != "VALID":
            raise RuntimeError(f"the credential is {saved.record['status']}: {saved.record['error']}")
        await integrations.create(
            self.parts.db,
            self.caller,
            {
                "destination": system,
                "entityType": "Bill",
                "integrationCredentialsId": saved.record.id,
                "configData": {"finish": "send"},
            },
        )

    async def add_accounts(self, name: str, count: int) -> None:
        """Accounts name-0, name-1, …, each mapped to a customer."""
        ids = [f"{name}-{number}" for number in range(count)]
        await self.take_in(
            Noun.ACCOUNTS,
            [{"id": id, "code": id, "name": f"Customer {id}", "emailAddress": f"{id}@example.com"} for id in ids],
        )
        await self.take_in(
            Noun.EXTERNAL_MAPPINGS,
            [
                {
                    "m3terEntity": "Account",
                    "m3terId": id,
                    "externalSystem": "Stripe",
                    "externalTable": "Customer",
                    "externalId": f"cus_{id}",
                }
                for id in ids
            ],
        )

    async def add_bills(self, name: str, count: int) -> None:
        """A bill for each of that many new accounts; where an integration is connected each makes a run."""
        await self.add_accounts(name, count)
        await self.take_in(Noun.BILLS, [bill(f"bill-{name}-{number}", f"{name}-{number}") for number in range(count)])

    async def take_in(self, noun: Noun, items: list[dict[str, Any]]) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield ndjson(items)

        report = await imports.take_in(self.parts.db, self.caller, noun, chunks())
        if report.refused:
            raise RuntimeError(f"refused: {report.refused[0]}")

    async def delivered(self, worker: Process, count: int) -> None:
        """Wait until that many bills that came in last are delivered; raises where one ended otherwise."""
        deadline = time.monotonic() + PATIENCE
        while True:
            async with self.parts.db.hot() as connection:
                # By the index of the newest, so that watching costs the same however many runs there are.
                rows = await connection.fetch(
                    f"SELECT state, count(*) AS runs, min(error) AS error FROM ({_NEWEST}) n GROUP BY state",  # noqa: S608
                    ORG,
                    count,
                )
            states = {row["state"]: row["runs"] for row in rows}
            if states.get("delivered") == count:
                return
            if states.keys() & set(ENDED[1:]):
                raise RuntimeError(f"not every bill was delivered: {states}, {[row['error'] for row in rows]}")
            if not worker.running or time.monotonic() > deadline:
                raise RuntimeError(f"the bills were not delivered: {states}; {worker.log.read_text()[-1500:]}")
            await asyncio.sleep(0.25)

    async def seconds(self, count: int) -> float:
        """From the start of the first to the end of the last of that many newest runs."""
        async with self.parts.db.hot() as connection:
            row = await connection.fetchrow(
                f"SELECT min(started_at) AS first, max(completed_at) AS last FROM ({_NEWEST}) n",  # noqa: S608
                ORG,
                count,
            )
        return float((row["last"] - row["first"]).total_seconds())

    @property
    def database_cpu(self) -> float:
        """Seconds of CPU of the database so far."""
        return cpu_of_family(self.postmaster)


def bill(id: str, account: str) -> dict[str, Any]:
    """A bill of five lines that comes to what the sink's invoices come to."""
    amount = Decimal(TOTAL) / 100 / 5
    return {
        "id": id,
        "accountId": account,
        "billDate": "2026-11-01",
        "startDate": "2026-10-01",
        "endDate": "2026-11-01",
        "currency": "EUR",
        "billTotal": amount * 5,
        "lineItems": [
            {
                "id": f"{id}-{number}",
                "sequenceNumber": number,
                "lineItemType": "USAGE",
                "description": f"Energy, tariff {number}",
                "productId": "prod-power",
                "productName": "Metered power",
                "quantity": 4829.9,
                "units": 4829.9,
                "unit": "kWh",
                "averageUnitPrice": 0.1648,
                "subtotal": amount,
                "currency": "EUR",
                "servicePeriodStartDate": "2026-10-01T00:00:00Z",
                "servicePeriodEndDate": "2026-11-01T00:00:00Z",
            }
            for number in range(1, 6)
        ],
    }


def ndjson(items: list[dict[str, Any]]) -> bytes:
    return "".join(json_text.dump(each) + "\n" for each in items).encode()


async def books_of(url: str) -> dict[str, Any]:
    """What came in at the sink since it was asked last."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/_books") as response:
        books: dict[str, Any] = await response.json()
        return books


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A stage of its own, of which nothing is left at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(_temporary()))
        home = folder / "home"
        home.mkdir(mode=0o755)
        local = ip_network("127.0.0.0/8")
        settings = Settings(home=home, key=KEY, log_level="warning", allow_networks=(local,), allow_http=True)
        dsn = embedded.start(settings)
        stack.callback(embedded.stop, settings)
        await migrate.migrate(dsn)
        postmaster = embedded.status(settings).process
        assert postmaster is not None
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TOLLBRIDGE_")}
        environ |= {"TOLLBRIDGE_HOME": str(home), "TOLLBRIDGE_KEY": KEY, "TOLLBRIDGE_DATABASE_URL": dsn}
        environ |= {"TOLLBRIDGE_ALLOW_NETWORKS": str(local), "TOLLBRIDGE_ALLOW_HTTP": "true"}
        async with connected(dsn) as db:
            made = await organizations.create(db, "Benchmark", ORG)
            caller = Caller(ORG, f"SERVICE_USER_{made.service_user_id}")
            yield Stage(folder, connect(settings, db), caller, made, environ, postmaster)


@contextmanager
def _temporary() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="tollbridge-bench-")
    # As root the database runs as another user, who must be able to pass.
    os.chmod(folder, 0o711)  # noqa: S103
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
