"""Under fire: what surrounds a worker fails in ways that no protocol foresees.

Each time it is told what happened, nothing is lost and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.front import (
    Answer,
    a_page,
    half_a_reply,
    hundred_megabytes,
    not_packed,
    one_byte_a_second,
    standing_before,
)
from tests.e2e.stage import TOLLBRIDGE, Stage, bill_of, set_up, until
from tests.outbound.servers import Authority
from tollbridge.settings import Settings
from tollbridge.store import embedded, migrate
from tollbridge.store.db import connect

JUMPING = [sys.executable, "-m", "tests.e2e.jumping_clock"]
TOLD_OF_A_FULL_DISK = ("database.disk_full", "database.unavailable", "database.unreachable")
MEMORY = 400 * 1024 * 1024
"""Bytes that a worker may need at most, which is less than it would with a few replies of 100 MB."""


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with set_up(database_url, tmp_path) as stage:
        yield stage


async def set_up_accounts(stage: Stage, accounts: int = 3) -> None:
    """An integration and accounts, made with a worker that meets no trouble and leaves."""
    worker = await stage.start_worker()
    await stage.connect(accounts=accounts)
    worker.signal(signal.SIGTERM)
    await worker.gone()


async def codes(stage: Stage) -> list[str]:
    """The errors that the steps of all runs met."""
    async with stage.parts.db.hot() as connection:
        rows = await connection.fetch("SELECT fault FROM run_steps WHERE fault IS NOT NULL ORDER BY run_id, seq")
    return [row["fault"]["code"] for row in rows]


def totals(stage: Stage) -> list[int]:
    return sorted(each["total"] for each in stage.invoices())


def memory_of(pid: int) -> int:
    """Bytes that the process needed at most until now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


# What answers in the vendor's place


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        (hundred_megabytes, "network.too_large"),
        (one_byte_a_second, "network.timeout"),
        (a_page, "stripe.garbage"),
        (half_a_reply, "stripe.garbage"),
        (not_packed, "network.malformed"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_told_and_the_bill_is_sent_once(
    stage: Stage, spoilt: Answer, code: str
) -> None:
    await set_up_accounts(stage)
    async with standing_before(stage.vendor.url) as front:
        front.spoils = [spoilt, spoilt, spoilt]
        worker = await stage.start_worker(
            TOLLBRIDGE_VENDOR_URLS=f"STRIPE_TEST={front.url}", TOLLBRIDGE_REQUEST_TIMEOUT="2"
        )
        for number in range(3):
            await stage.bill(f"b{number}", f"a{number}", "12.34")
        assert {run["state"] for run in await stage.ended(3)} == {"delivered"}
        assert await codes(stage) == [code] * 3
        assert totals(stage) == [1234] * 3
        assert memory_of(worker.process.pid) < MEMORY


async def test_a_certificate_that_nobody_vouches_for_gets_nothing_and_is_named(stage: Stage, tmp_path: Path) -> None:
    await set_up_accounts(stage)
    authority = Authority(tmp_path)
    async with standing_before(stage.vendor.url, authority.server("localhost")) as front:
        urls = f"STRIPE_TEST={front.url}"
        worker = await stage.start_worker(TOLLBRIDGE_VENDOR_URLS=urls, TOLLBRIDGE_RUN_ATTEMPTS="1")
        await stage.bill("b0", "a0", "12.34")
        [failed] = await stage.ended(1)
        assert (failed["state"], failed["fault_code"]) == ("failed", "network.certificate")
        assert "certificate of localhost is not valid" in failed["error"]
        assert "TOLLBRIDGE_CA_FILE" in failed["hint"]
        assert front.asked == 0
        worker.signal(signal.SIGTERM)
        await worker.gone()
        await stage.start_worker(TOLLBRIDGE_VENDOR_URLS=urls, TOLLBRIDGE_CA_FILE=str(authority.file))
        await stage.bill("b1", "a1", "5")
        assert [run["state"] for run in await stage.ended(2)] == ["failed", "delivered"]


# Workers


async def test_a_worker_that_is_stuck_for_good_is_replaced(stage: Stage) -> None:
    stuck = await stage.start_worker(TOLLBRIDGE_LEASE="2")
    await stage.connect()
    stage.fault(kind="latency", method="POST", path="/v1/invoices", times=1, seconds=1)
    await stage.bill("b0", "a0", "12.34")
    await stage.struck(1)
    stuck.signal(signal.SIGSTOP)
    await stage.start_worker(TOLLBRIDGE_LEASE="2")
    await stage.bill("b1", "a1", "5")
    assert {run["state"] for run in await stage.ended(2)} == {"delivered"}
    assert totals(stage) == [500, 1234]
    assert stuck.process.returncode is None


async def test_a_process_that_is_stuck_in_a_transaction_does_not_hold_the_others_up_for_ever(stage: Stage) -> None:
    await stage.start_worker()
    await stage.connect()
    async with stage.parts.db.hot() as connection:
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"
    dsn = stage.parts.db.dsn
    stuck = await connect(f"{dsn}{'&' if '?' in dsn else '?'}idle_in_transaction_session_timeout=1s")
    try:
        await stuck.execute("BEGIN; LOCK TABLE runs")
        await stage.bill("b0", "a0", "12.34")
        [run] = await stage.ended(1)
        assert run["state"] == "delivered"
        assert stuck.is_closed()
    finally:
        stuck.terminate()


# Clocks


async def test_a_clock_that_jumps_an_hour_ahead_and_back_loses_nothing_and_sends_nothing_twice(stage: Stage) -> None:
    jumping = await stage.start(JUMPING, "worker ready", TOLLBRIDGE_LEASE="2")
    await stage.connect(accounts=5)
    stage.fault(kind="latency", method="POST", path="/v1/invoices", times=5, seconds=0.5)
    for number in range(2):
        await stage.bill(f"b{number}", f"a{number}", "12.34")
    await stage.struck(2)
    jumping.signal(signal.SIGUSR1)
    await stage.bill("b2", "a2", "12.34")
    await stage.struck(3)
    jumping.signal(signal.SIGUSR2)
    for number in range(3, 5):
        await stage.bill(f"b{number}", f"a{number}", "12.34")
    assert [(run["state"], run["error"]) for run in await stage.ended(5)] == [("delivered", None)] * 5
    assert totals(stage) == [1234] * 5


async def test_what_a_worker_left_whose_clock_was_an_hour_ahead_is_taken_over_at_once(stage: Stage) -> None:
    jumping = await stage.start(JUMPING, "worker ready", TOLLBRIDGE_LEASE="2")
    await stage.connect()
    jumping.signal(signal.SIGUSR1)
    stage.fault(kind="latency", method="POST", path="/v1/invoices", times=1, seconds=5)
    await stage.bill("b0", "a0", "12.34")
    await stage.struck(1)
    jumping.signal(signal.SIGKILL)
    await jumping.gone()
    await stage.start_worker(TOLLBRIDGE_LEASE="2")
    await stage.bill("b1", "a1", "5")
    assert {run["state"] for run in await stage.ended(2)} == {"delivered"}
    assert totals(stage) == [500, 1234]


# Disks


@pytest.fixture
def small_disk(tmp_home: Path) -> Iterator[Path]:
    """A disk on which a database has little room."""
    folder = tmp_home / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.call(["mount", "-t", "tmpfs", "-o", "size=220m", "tmpfs", folder]) != 0:
        pytest.skip("only root may mount a small disk")
    folder.chmod(0o755)
    yield folder
    embedded.stop(Settings(home=folder))
    subprocess.run(["umount", folder], check=True)


def fill(filler: Path) -> None:
    """Leave no room on the disk."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 65_536)
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 512)


async def test_a_full_disk_under_the_database_is_told_and_waited_out(small_disk: Path, tmp_path: Path) -> None:
    settings = Settings(home=small_disk)
    dsn = await asyncio.to_thread(embedded.start, settings)
    await migrate.migrate(dsn)
    async with set_up(dsn, tmp_path / "worker") as stage:
        worker = await stage.start_worker()
        server = await stage.start_server()
        await stage.connect()
        stage.fault(kind="latency", method="POST", path="/v1/invoices", times=1, seconds=2)
        await stage.bill("b0", "a0", "12.34")
        await stage.struck(1)
        filler = small_disk / "filler"
        fill(filler)
        accepted, refused = ["b0"], []
        for number in range(100):
            status, told = await server.call("PUT", f"bills/full{number}", bill_of("a1", *["0.01"] * 300))
            if status == 200:
                accepted.append(told["id"])
            else:
                refused.append((status, told["code"]))
            if len(refused) == 3:
                break
        assert refused, "the disk was not full"
        assert set(refused) <= {(503, code) for code in TOLD_OF_A_FULL_DISK}
        filler.unlink()
        # Where not even its log had room, the server has stopped; whoever keeps it running starts it again.
        await asyncio.to_thread(embedded.start, settings)
        await until(server.ready)
        assert (await server.call("PUT", "bills/after", bill_of("a2", "5")))[0] == 200
        runs = await stage.ended(len(accepted) + 1)
        assert {run["entity_id"]: run["state"] for run in runs} == dict.fromkeys([*accepted, "after"], "delivered")
        assert sorted(each["metadata"]["bill_id"] for each in stage.invoices()) == sorted([*accepted, "after"])
        assert worker.process.returncode is None


async def test_a_log_on_a_full_disk_stops_no_worker(stage: Stage) -> None:
    await set_up_accounts(stage)
    worker = await stage.start(["sh", "-c", f"exec {shlex.join(TOLLBRIDGE)} worker 2>/dev/full"])
    await stage.bill("b0", "a0", "12.34")
    [run] = await stage.ended(1)
    assert run["state"] == "delivered"
    worker.signal(signal.SIGTERM)
    # It drained; 120 is how Python tells that its last words were lost.
    assert await worker.gone() in (0, 120)
