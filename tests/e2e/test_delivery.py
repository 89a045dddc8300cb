"""Bills reach Stripe's stand-in through real worker processes, whatever happens to these."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, set_up
from tollbridge.services import clock, metrics
from tollbridge.services.metrics import Counted
from tollbridge.settings import Settings
from tollbridge.store import embedded, migrate


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with set_up(database_url, tmp_path) as stage:
        yield stage


def sums(stage: Stage) -> Counter[tuple[str, str, int]]:
    return Counter((each["status"], each["currency"], each["total"]) for each in stage.invoices())


async def test_bills_become_invoices_right_to_the_cent_and_the_log_tells_how(stage: Stage) -> None:
    worker = await stage.start_worker()
    await stage.connect()
    await stage.bill("b1", "a0", "10.10", "0.015", "0.015", "-0.13")
    await stage.bill("b2", "a0", "7")
    await stage.bill("b3", "a1", "1200", currency="JPY")
    runs = await stage.ended(3)
    assert [run["state"] for run in runs] == ["delivered"] * 3
    assert sums(stage) == {("open", "eur", 1000): 1, ("open", "eur", 700): 1, ("open", "jpy", 1200): 1}
    async with stage.parts.db.hot() as connection:
        steps = await connection.fetch("SELECT * FROM run_steps WHERE run_id = $1 ORDER BY seq", runs[0]["id"])
        left = await connection.fetchval("SELECT count(*) FROM run_records")
    assert [step["kind"] for step in steps] == ["read", "write", "write", "write", "write"]
    assert all(step["completed_at"] and step["status"] == 200 for step in steps)
    assert left == 0
    about_runs = [line for line in worker.log if line["event"] in ("run started", "run settled")]
    assert {line["run_id"] for line in about_runs} >= {run["id"] for run in runs}
    assert stage.vendor.key not in "".join(worker.lines)


async def test_a_killed_worker_is_replaced_and_nothing_is_sent_twice(stage: Stage) -> None:
    first = await stage.start_worker(TOLLBRIDGE_LEASE="4")
    await stage.connect(accounts=4)
    stage.fault(kind="latency", method="POST", path="/v1/invoices", seconds=1, times=4)
    for number in range(4):
        await stage.bill(f"b{number}", f"a{number}", "12.34")
    await stage.struck(4)
    first.signal(signal.SIGKILL)
    await first.gone()
    second = await stage.start_worker(TOLLBRIDGE_LEASE="4")
    assert {run["state"] for run in await stage.ended(4)} == {"delivered"}
    assert sums(stage) == {("open", "eur", 1234): 4}
    assert {run["fence"] for run in await stage.runs()} == {2}
    assert second.process.returncode is None


async def test_a_worker_that_is_told_to_stop_finishes_its_runs_first(stage: Stage) -> None:
    worker = await stage.start_worker(OTEL_TRACES_EXPORTER="console")
    await stage.connect()
    stage.fault(kind="latency", method="POST", path="/v1/invoices", seconds=1, times=2)
    await stage.bill("b1", "a0", "12.34")
    await stage.bill("b2", "a1", "12.34")
    await stage.struck(2)
    worker.signal(signal.SIGTERM)
    assert await worker.gone() == 0
    assert [run["state"] for run in await stage.runs()] == ["delivered", "delivered"]
    async with stage.parts.db.hot() as connection:
        assert await connection.fetchval("SELECT count(*) FROM workers") == 0
        assert await connection.fetchval("SELECT count(*) FROM slot_leases") == 0
    spans = [line for line in worker.log if "parent_id" in line]
    runs = {span["context"]["span_id"] for span in spans if span["name"] == "deliver STRIPE_TEST"}
    assert len(runs) == 2
    assert len([span for span in spans if span["parent_id"] in runs]) >= 8
    told = await metrics.standing(stage.parts.db, clock.now())
    assert told.counts[Counted.SETTLED, ("STRIPE_TEST", "deliver", "delivered")] == 2
    assert told.counts[Counted.PERMITS, ("STRIPE_TEST",)] >= 8
    assert told.counts[Counted.STEP_SECONDS, ("STRIPE_TEST", "write")] >= 2


async def test_a_second_signal_stops_a_worker_at_once(stage: Stage) -> None:
    worker = await stage.start_worker()
    await stage.connect()
    stage.fault(kind="latency", method="POST", path="/v1/invoices", seconds=30, times=1)
    await stage.bill("b1", "a0", "12.34")
    await stage.struck(1)
    worker.signal(signal.SIGTERM)
    await worker.says("worker draining")
    worker.signal(signal.SIGTERM)
    assert await worker.gone() == 1
    assert [run["state"] for run in await stage.runs()] == ["running"]


async def test_trouble_at_the_vendor_is_waited_out(stage: Stage) -> None:
    await stage.start_worker()
    await stage.connect()
    stage.fault(kind="rate_limited", path="/v1/customers*", times=1, retry_after=1)
    stage.fault(kind="reply_lost", method="POST", path="/v1/invoices", times=1)
    stage.fault(kind="error_after_commit", method="POST", path="/v1/invoices/*/finalize", times=1)
    await stage.bill("b1", "a0", "12.34")
    [run] = await stage.ended(1)
    assert (run["state"], run["error"]) == ("delivered", None)
    assert sums(stage) == {("open", "eur", 1234): 1}


async def test_a_revoked_key_holds_the_run_with_the_vendors_words(stage: Stage) -> None:
    await stage.start_worker()
    await stage.connect()
    stage.fault(kind="key_revoked")
    await stage.bill("b1", "a0", "12.34")
    await stage.reaches("held")
    [run] = await stage.runs()
    assert (run["hold_reason"], run["fault_kind"]) == ("unauthorized", "UNAUTHORIZED")
    assert "xpired" in run["error"]
    assert run["hint"]


async def test_a_bill_that_cannot_be_read_fails_with_an_incident_and_does_not_hold_up_the_others(stage: Stage) -> None:
    checker = await stage.start_worker()
    await stage.connect()
    checker.signal(signal.SIGTERM)
    await checker.gone()
    await stage.bill("b1", "a0", "12.34")
    await stage.bill("b2", "a1", "12.34")
    async with stage.parts.db.hot() as connection:
        await connection.execute("UPDATE bill_revisions SET lines = '[{}]' WHERE bill_id = 'b1'")
    await stage.start_worker()
    await stage.ended(2)
    runs = {run["entity_id"]: run for run in await stage.runs()}
    assert (runs["b1"]["state"], runs["b2"]["state"]) == ("failed", "delivered")
    assert runs["b1"]["fault_code"] == "tollbridge.bug"


async def test_a_restart_of_the_database_is_survived_without_a_word_lost(tmp_home: Path) -> None:
    settings = Settings(home=tmp_home)
    dsn = await asyncio.to_thread(embedded.start, settings)
    await migrate.migrate(dsn)
    async with set_up(dsn, tmp_home / "worker") as stage:
        worker = await stage.start_worker()
        await stage.connect(accounts=2)
        stage.fault(kind="latency", method="POST", path="/v1/invoices", seconds=1, times=1)
        await stage.bill("b1", "a0", "12.34")
        await stage.struck(1)
        await asyncio.to_thread(embedded.stop, settings)
        await asyncio.to_thread(embedded.start, settings)
        await stage.ended(1)
        await stage.bill("b2", "a1", "12.34")
        assert {run["state"] for run in await stage.ended(2)} == {"delivered"}
        assert sums(stage) == {("open", "eur", 1234): 2}
        assert worker.process.returncode is None


async def test_a_worker_whose_listener_was_cut_off_connects_again(stage: Stage) -> None:
    worker = await stage.start_worker()
    await stage.connect()
    async with stage.parts.db.hot() as connection:
        cut = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN %ch_pgqueuer%'"
        )
    assert len(cut) == 1
    await worker.says("queue lost, connecting again")
    await stage.bill("b1", "a0", "12.34")
    assert [run["state"] for run in await stage.ended(1)] == ["delivered"]
