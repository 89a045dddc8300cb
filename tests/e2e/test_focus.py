"""The FinOps Foundation's sample, from the file through API, worker and connector into the stand-in's books."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.domain.test_focus import SAMPLE
from tollbridge.cli.client import Client
from tollbridge.cli.fleet import Fleet, fleet
from tollbridge.cli.init import make_organization
from tollbridge.cli.profiles import VARIABLES, Profile
from tollbridge.cli.runs import RESTING
from tollbridge.domain.errors import Unavailable
from tollbridge.settings import Settings
from tollbridge.store import migrate
from tollbridge.store.db import database_dsn

pytestmark = pytest.mark.skipif(
    not SAMPLE.exists(), reason=f"the sample {SAMPLE.name} is not here; set TOLLBRIDGE_DATA to its folder"
)


class World:
    """API, worker and stand-in, each a process; an organization with its own vendor account per integration."""

    def __init__(self, ships: Fleet, settings: Settings) -> None:
        self._ships, self._settings = ships, settings
        with database_dsn(settings) as dsn:
            asyncio.run(migrate.migrate(dsn))
        ships.start("sandbox", "sandbox", "--port", "0")
        ships.start("serve", "serve", "--port", "0")
        self.stand_in = ships.first_line("sandbox").partition("\t")[0]
        self.ask("/_admin/limits", {"requests_per_second": 0})
        rates = {"TOLLBRIDGE_RATE_LIMITS": "STRIPE_TEST=500"}
        ships.start("worker", "worker", TOLLBRIDGE_VENDOR_URLS=f"STRIPE_TEST={self.stand_in}", **rates)
        self.url = ships.first_line("serve")

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the stand-in's administration."""
        content = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.stand_in}{path}", content), timeout=30) as answer:
            value: dict[str, Any] = json.loads(answer.read())
            return value

    def integrate(self, account: str, **options: str) -> Client:
        """A fresh organization that sends bills to this account of the vendor."""
        made = asyncio.run(make_organization(self._settings, account))
        client = Client(Profile(self.url, made.org_id, made.key_id, made.secret))
        key = f"sk_test_{account}"
        self.ask("/_admin/keys", {"key": key, "account": f"acct_{account}"})
        body = {"name": account, "destination": "STRIPE_TEST", "apiKey": key}
        integration = {
            "name": account,
            "destination": "STRIPE_TEST",
            "entityType": "Bill",
            "integrationCredentialsId": self._when_a_worker_runs(client, body)["id"],
            "configData": options,
        }
        client.call("POST", "integrationconfigs", body=integration)
        return client

    def _when_a_worker_runs(self, client: Client, body: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while True:
            try:
                made: dict[str, Any] = client.call("POST", "integrationcredentials", body=body)
            except Unavailable:
                self._ships.check()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                assert made["status"] == "VALID"
                return made

    def tollbridge(self, client: Client, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line with this organization's profile in the environment."""
        values = asdict(client.profile)
        environ = self._ships.environ | {variable: values[key] for key, variable in VARIABLES.items()}
        command = [sys.executable, "-m", "tollbridge.cli.main", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ)

    def settled(self, client: Client, count: int) -> list[dict[str, Any]]:
        """All runs of bills, once they rest."""
        deadline = time.monotonic() + 120
        while True:
            runs = list(client.pages("integrationruns", entityType="Bill"))
            if len(runs) >= count and all(run["state"] in RESTING for run in runs):
                return runs
            self._ships.check()
            assert time.monotonic() < deadline, [run["state"] for run in runs]
            time.sleep(0.1)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with fleet() as (ships, settings):
        yield World(ships, settings)


@pytest.mark.parametrize(("policy", "invoices"), [("skip", 46), ("send", 73)])
def test_every_bill_of_the_sample_arrives_and_the_totals_add_up(world: World, policy: str, invoices: int) -> None:
    client = world.integrate(f"zero{policy}", zeroTotal=policy, finish="finalise")

    done = world.tollbridge(client, "import", "--format", "focus", str(SAMPLE))
    assert done.stdout == "1,000 charges, 73 accounts, 73 accepted, 0 refused\n", done.stderr

    runs = world.settled(client, 73)
    assert {run["state"] for run in runs} == ({"delivered", "skipped"} if policy == "skip" else {"delivered"})
    held = world.ask(f"/_admin/books?account=acct_zero{policy}")["invoices"]
    assert len(held) == invoices
    assert len({invoice["metadata"]["bill_id"] for invoice in held}) == invoices
    assert sum(Decimal(invoice["total"]) for invoice in held) / 100 == Decimal("20.55")
    assert {invoice["currency"] for invoice in held} == {"usd"}

    again = world.tollbridge(client, "import", "--format", "focus", str(SAMPLE), "--json")
    told = json.loads(again.stdout)
    assert (told["accepted"], told["unchanged"], told["accounts"]) == (0, 73, 0)
