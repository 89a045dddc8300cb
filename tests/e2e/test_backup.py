"""The database is lost under a working system, and comes back from its backup: no bill is sent twice or lost."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.external import Person, external_postgres, somebody
from tests.e2e.stage import set_up
from tollbridge.services import sending
from tollbridge.settings import Settings
from tollbridge.store import embedded, migrate
from tollbridge.store.db import connected
from tollbridge.wiring import connect

ACCOUNTS = 6
LEASE = timedelta(minutes=5)
LATER = timedelta(hours=26)
"""When the vendor has forgotten under which keys it was sent to."""


@dataclass(frozen=True)
class Place:
    """A database, and whoever types commands beside it; `lose` deletes it as if it had never been."""

    person: Person
    open: Callable[[], str]
    lose: Callable[[], None]


@pytest.fixture
def places(tmp_home: Path) -> Iterator[dict[str, Place]]:
    """The embedded database, and one of a server that is not ours, whose owner may do nothing else on it."""
    with ExitStack() as stack:
        at_home = stack.enter_context(somebody(tmp_home))
        settings = Settings(home=tmp_home / "home")

        def lose_embedded() -> None:
            embedded.stop(settings)
            shutil.rmtree(settings.home / "database")

        server = stack.enter_context(external_postgres(tmp_home))
        url = server.dsn("bills", "owner")
        outside = stack.enter_context(somebody(tmp_home, TOLLBRIDGE_DATABASE_URL=url))
        make = "CREATE DATABASE bills OWNER owner"
        server.sql("CREATE ROLE owner LOGIN", make)
        yield {
            "embedded": Place(at_home, lambda: embedded.start(settings), lose_embedded),
            "external": Place(outside, lambda: url, lambda: server.sql("DROP DATABASE bills WITH (FORCE)", make)),
        }


@pytest.mark.parametrize(
    ("source", "target"), [("embedded", "embedded"), ("external", "external"), ("embedded", "external")]
)
async def test_what_was_delivered_held_and_under_way_is_one_invoice_each_after_a_restore(
    source: str, target: str, places: dict[str, Place], tmp_home: Path
) -> None:
    lost, found = places[source], places[target]
    backup = str(tmp_home / "backup.dump")
    dsn = await asyncio.to_thread(lost.open)
    await migrate.migrate(dsn)
    async with set_up(dsn, tmp_home / "worker") as stage:
        first = await stage.start_worker(TOLLBRIDGE_LEASE=str(LEASE.total_seconds()))
        await stage.connect(accounts=ACCOUNTS)
        await stage.bill("delivered", "a0", "1.00")
        await stage.ended(1)
        stage.fault(kind="latency", method="POST", path="/v1/invoices", times=1, seconds=1)
        await stage.bill("under way", "a1", "2.00")
        await stage.struck(1)
        # Under way for as long as it takes, whatever the machine does beside it; a second one works meanwhile.
        first.signal(signal.SIGSTOP)
        worker = await stage.start_worker(TOLLBRIDGE_LEASE=str(LEASE.total_seconds()))
        await sending.pause(stage.parts.db, stage.caller, {"reason": "The month is being closed."})
        await stage.bill("held", "a2", "3.00")
        await stage.reaches("held")
        told = json.loads(await asyncio.to_thread(lost.person.run, "db", "backup", backup, "--json"))
        assert told["bytes"] > 0
        standing = {run["entity_id"]: run["state"] for run in await stage.runs()}
        assert standing == {"delivered": "delivered", "under way": "running", "held": "held"}
        first.signal(signal.SIGCONT)
        # What follows, the backup does not know.
        await sending.resume(stage.parts.db, stage.caller)
        await stage.bill("forgotten", "a3", "4.00")
        sent = {run["entity_id"]: run["external_id"] for run in await stage.ended(4)}
        await asyncio.to_thread(refuses_under, lost.person, backup, worker.process.pid)
        for each in (first, worker):
            each.signal(signal.SIGKILL)
            await each.gone()
        await asyncio.to_thread(lost.lose)

        restored = json.loads(await asyncio.to_thread(found.person.run, "db", "restore", backup, "--json"))
        assert (restored["bills"], restored["runs"], restored["keyOpens"]) == (3, 3 + 1, True)
        dsn = await asyncio.to_thread(found.open)
        environment = {**stage.environment, "TOLLBRIDGE_DATABASE_URL": dsn}
        async with connected(dsn) as db:
            again = replace(stage, parts=connect(Settings.read(environment), db), environment=environment)
            await again.bill("forgotten", "a3", "4.00")
            await again.bill("new", "a4", "5.00")
            async with db.hot() as connection:
                # They come in later too, and look new.
                await connection.execute(
                    "UPDATE bill_revisions SET created_at = created_at + $1 WHERE bill_id IN ('forgotten', 'new')",
                    LATER,
                )
            stage.vendor.stand_in.clock.forward(LATER.total_seconds())
            await again.start_worker(LATER)
            await sending.resume(db, again.caller)
            runs = {run["entity_id"]: run for run in await again.ended(5)}
            assert {run["state"] for run in runs.values()} == {"delivered"}
            assert {name: runs[name]["external_id"] for name in sent} == sent
    assert sorted(each["total"] for each in stage.invoices()) == [100, 200, 300, 400, 500]
    assert len({each["metadata"]["bill_id"] for each in stage.invoices()}) == len(runs)


def refuses_under(person: Person, backup: str, process: int) -> None:
    """While a worker works, nothing is restored, and it is named."""
    done = person.done("db", "restore", backup, "--replace", "--yes")
    assert (done.returncode, f", process {process}" in done.stderr) == (4, True), done.stderr
