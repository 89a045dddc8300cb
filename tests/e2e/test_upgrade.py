"""A system is upgraded while it works: old code on the new schema, new code beside the old, and nothing is sent twice.

The old code is this repository's own, from before the newest migration.
"""

from __future__ import annotations

import base64
import io
import re
import signal
import subprocess
import tarfile
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.front import Front, standing_before
from tests.e2e.stage import KEY, TOLLBRIDGE, Server, Stage, bill_of, set_up, told, until

REPOSITORY = Path(__file__).parents[2]
MIGRATIONS = "tollbridge/store/migrations/versions"
ACCOUNTS = 4


def git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the old code is in the repository's history, which cannot be read: {error}")


@pytest.fixture
def old(tmp_path: Path) -> dict[str, str]:
    """The environment in which a command is the one of the newest commit with today's migrations but the newest."""
    for commit in git("rev-list", "--first-parent", "HEAD").decode().split():
        changes = git("diff", "--name-status", "--no-renames", commit, "--", MIGRATIONS).decode().splitlines()
        if changes and all(change.startswith("A") for change in changes):
            code = tmp_path / "old"
            with tarfile.open(fileobj=io.BytesIO(git("archive", commit, "tollbridge"))) as archive:
                archive.extractall(code, filter="data")
            return {"PYTHONPATH": str(code)}
    pytest.skip("no commit of this clone has an older schema")


def key_in(profiles: Path) -> tuple[str, str]:
    profile = tomllib.loads(profiles.read_text())["default"]
    return profile["access_key"], profile["secret"]


@pytest.fixture
async def stage(old: dict[str, str], empty_database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """The stage of a system that the old code set up."""
    environment = {
        **old,
        "HOME": str(tmp_path),
        "TOLLBRIDGE_HOME": str(tmp_path / "home"),
        "TOLLBRIDGE_DATABASE_URL": empty_database_url,
        "TOLLBRIDGE_KEY": KEY,
    }
    await told(environment, "migrate")
    made = await told(environment, "init", "--id", "o1")
    key = key_in(Path(made["file"]))
    async with set_up(empty_database_url, tmp_path / "home", key, TOLLBRIDGE_LEASE="2") as stage:
        yield stage


async def connect(server: Server, vendor_key: str) -> None:
    """A credential, an integration and accounts, as a customer makes them; needs a worker."""
    status, credential = await server.call(
        "POST", "integrationcredentials", {"destination": "stripe_test", "name": "Trial", "apiKey": vendor_key}
    )
    assert (status, credential["status"]) == (200, "VALID")
    integration = {
        "destination": "stripe_test",
        "entityType": "Bill",
        "integrationCredentialsId": credential["id"],
        "configData": {"finish": "finalise"},
    }
    assert (await server.call("POST", "integrationconfigs", integration))[0] == 200
    for number in range(ACCOUNTS):
        account = {"id": f"a{number}", "code": f"A{number}", "name": f"Account {number}"}
        address = {"emailAddress": f"a{number}@example.com"}
        assert (await server.call("POST", "accounts", account | address))[0] == 200


async def one_bill_for_each_account(server: Server, month: str) -> list[str]:
    """Bills of these ids were accepted."""
    ids = [f"{month}-{number}" for number in range(ACCOUNTS)]
    for number, id in enumerate(ids):
        assert (await server.call("PUT", f"bills/{id}", bill_of(f"a{number}", "10.10", "2.24")))[0] == 200
    return ids


async def in_flight(front: Front, drafts: int = ACCOUNTS) -> None:
    """Wait until that many drafts are at the gate."""

    async def are() -> bool:
        return front.waiting >= drafts

    await until(are)


@pytest.mark.timeout(600)
async def test_a_system_is_upgraded_under_its_work_and_each_bill_is_sent_once(
    stage: Stage, old: dict[str, str]
) -> None:
    async with standing_before(stage.vendor.url) as front:
        here = {"TOLLBRIDGE_VENDOR_URLS": f"STRIPE_TEST={front.url}"}
        then = old | here
        old_server = await stage.start_server(**then)
        old_workers = [await stage.start_worker(**then), await stage.start_worker(**then)]
        await connect(old_server, stage.vendor.key)

        # New code on the old schema does nothing but say what to do.
        refused = await stage.start([*TOLLBRIDGE, "worker"], **here)
        assert await refused.gone() == 4
        error, hint = refused.lines[-2:]
        assert re.fullmatch(r"error: The database's schema is at \d{4}, but this release needs \d{4}\.\n", error)
        assert hint == "hint: Run: tollbridge migrate\n"
        stage.processes.remove(refused)

        # The schema changes while bills are in flight; who began them ends them.
        front.gate.clear()
        bills = await one_bill_for_each_account(old_server, "july")
        await in_flight(front)
        migrated = await told(stage.environment, "migrate")
        assert (migrated["standing"], migrated["migrated"]) == ("behind", True)
        front.gate.set()
        bills += await one_bill_for_each_account(old_server, "august")
        assert {run["state"] for run in await stage.ended(2 * ACCOUNTS)} == {"delivered"}

        # New processes start beside the old ones, which leave in the middle of their work: one in order, one not.
        front.gate.clear()
        bills += await one_bill_for_each_account(old_server, "september")
        await in_flight(front)
        new_server = await stage.start_server(**here)
        await stage.start_worker(**here)
        bills += await one_bill_for_each_account(new_server, "october")
        leaving, dying = old_workers
        leaving.signal(signal.SIGTERM)
        dying.signal(signal.SIGKILL)
        old_server.process.signal(signal.SIGTERM)
        front.gate.set()
        assert await leaving.gone() == 0
        assert await old_server.process.gone() == 0
        runs = await stage.ended(4 * ACCOUNTS)

    assert {run["entity_id"]: run["state"] for run in runs} == dict.fromkeys(bills, "delivered")
    assert sorted(each["metadata"]["bill_id"] for each in stage.invoices()) == sorted(bills)
    assert {(each["status"], each["total"]) for each in stage.invoices()} == {("open", 1234)}
    for run in runs:
        status, log = await new_server.call("GET", f"integrationruns/logs/{run['id']}")
        assert status == 200
        assert run["external_id"] in base64.b64decode(log["Payload"]).decode()
    async with stage.parts.db.hot() as connection:
        assert not await connection.fetch("SELECT body FROM events WHERE name LIKE '%.error'")
    assert not [line for each in stage.processes for line in each.log if line["level"] in ("error", "critical")]


async def test_a_process_works_on_the_schema_of_a_later_release_and_starts_again_on_it(
    database_url: str, tmp_path: Path
) -> None:
    async with set_up(database_url, tmp_path) as stage:
        server = await stage.start_server()
        worker = await stage.start_worker()
        await stage.connect()
        async with stage.parts.db.hot() as connection:
            await connection.execute(
                "UPDATE alembic_version SET version_num = '0999'; CREATE TABLE later (id text);"
                "ALTER TABLE runs ADD COLUMN later text; ALTER TABLE bills ADD COLUMN later bigint NOT NULL DEFAULT 0"
            )
        assert await server.ready()
        assert (await server.call("PUT", "bills/b0", bill_of("a0", "12.34")))[0] == 200
        assert [run["state"] for run in await stage.ended(1)] == ["delivered"]
        for process in (worker, server.process):
            process.signal(signal.SIGTERM)
            assert await process.gone() == 0
        assert not (await told(stage.environment, "migrate"))["migrated"]
        server, worker = await stage.start_server(), await stage.start_worker()
        assert await server.ready()
        assert (await server.call("PUT", "bills/b1", bill_of("a0", "5")))[0] == 200
        assert [run["state"] for run in await stage.ended(2)] == ["delivered"] * 2
        for process in (worker, server.process):
            warned = next(line for line in process.log if line["level"] == "warning")
            assert "of a later release" in warned["event"]
            assert warned["found"] == "0999"
