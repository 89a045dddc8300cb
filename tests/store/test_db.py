"""The connections: amounts stay exact, transactions are whole, and what cannot be reached says so."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from tollbridge.domain.errors import Invalid, Unavailable
from tollbridge.settings import Settings
from tollbridge.store import embedded
from tollbridge.store.bulk import settle_races
from tollbridge.store.db import Database, Tx, connected, open_database
from tollbridge.store.trouble import TRANSIENT

EXACT = {"total": Decimal("20.52022672899"), "unit": Decimal("1.50"), "n": 12345678901234567890, "name": "Größe"}


async def test_decimals_stay_exact_through_sqlalchemy(db: Database) -> None:
    query = text("SELECT CAST(:value AS jsonb) AS value").bindparams(bindparam("value", type_=JSONB))
    async with db.transaction() as tx:
        found = (await tx.execute(query.columns(value=JSONB), {"value": EXACT})).scalar_one()
    assert found == EXACT
    assert str(found["unit"]) == "1.50"
    assert type(found["total"]) is Decimal


async def test_decimals_stay_exact_through_asyncpg(db: Database) -> None:
    found = await db.pool.fetchval("SELECT $1::jsonb", EXACT)
    assert found == EXACT
    assert str(found["unit"]) == "1.50"
    assert type(found["total"]) is Decimal


async def test_a_transaction_that_fails_leaves_nothing(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(text("CREATE TABLE kept (n int)"))

    async def insert_and_fail() -> None:
        async with db.transaction() as tx:
            await tx.execute(text("INSERT INTO kept VALUES (1)"))
            raise LookupError

    with pytest.raises(LookupError):
        await insert_and_fail()
    assert await db.pool.fetchval("SELECT count(*) FROM kept") == 0


async def test_a_connection_that_is_lost_in_a_transaction_is_known_to_pass_by_itself(db: Database) -> None:
    with pytest.raises(TRANSIENT):  # noqa: PT012 (it may show at the end of the transaction only)
        async with db.transaction() as tx:
            backend = (await tx.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
            await db.pool.execute("SELECT pg_terminate_backend($1)", backend)
            await tx.exec_driver_sql("SELECT")


@pytest.mark.parametrize("state", ["23505", "40001", "40P01"])
async def test_work_that_met_others_at_the_same_rows_is_done_again(db: Database, state: str) -> None:
    tries = []

    async def work(tx: Tx) -> str:
        tries.append(state)
        if len(tries) == 1:
            await tx.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION SQLSTATE '{state}'; END $$")
        return "done"

    assert (await settle_races(db, work), len(tries)) == ("done", 2)


async def test_a_given_url_is_opened_instead_of_the_embedded_server(database_url: str) -> None:
    async with open_database(Settings(database_url=database_url)) as database:
        assert await database.pool.fetchval("SELECT current_database()") == database_url.split("?")[0].split("/")[-1]


async def test_whoever_has_it_open_gets_it_back_when_the_embedded_server_was_killed(tmp_home: Path) -> None:
    async with open_database(Settings(home=tmp_home)) as database:
        for use in (_through_pool, _through_engine):
            await use(database)
            process = embedded.status(Settings(home=tmp_home)).process
            assert process
            os.kill(process, signal.SIGKILL)
            # Who is first to use a connection that has just died may be told so, in many ways.
            with suppress(asyncpg.PostgresError, asyncpg.InternalClientError, asyncpg.InterfaceError, OSError):
                await asyncio.to_thread(_wait_for_death, tmp_home)
                await use(database)
            assert await use(database) == 1


async def test_a_server_that_was_stopped_on_purpose_stays_stopped_under_its_users(tmp_home: Path) -> None:
    async with open_database(Settings(home=tmp_home)) as database:
        embedded.stop(Settings(home=tmp_home))
        with pytest.raises(Unavailable):
            await _through_pool(database)
    assert embedded.status(Settings(home=tmp_home)).state == "stopped"


async def test_who_is_cancelled_while_the_embedded_server_starts_leaves_none_behind(tmp_home: Path) -> None:
    async def use() -> None:
        async with open_database(Settings(home=tmp_home)):
            raise AssertionError("cancelled before")

    opening = asyncio.create_task(use())
    while not (tmp_home / "database" / "turn.lock").exists():  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.005)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    found = embedded.status(Settings(home=tmp_home))
    assert (found.state, found.used) == ("stopped", False)


def _wait_for_death(home: Path) -> None:
    while embedded.status(Settings(home=home)).state != "stopped":
        time.sleep(0.005)


async def _through_pool(database: Database) -> int:
    found: int = await database.pool.fetchval("SELECT 1")
    return found


async def _through_engine(database: Database) -> int:
    async with database.transaction() as tx:
        return int((await tx.execute(text("SELECT 1"))).scalar_one())


async def test_a_url_that_is_not_postgresql_is_refused() -> None:
    with pytest.raises(Invalid, match="mysql") as refusal:
        async with open_database(Settings(database_url="mysql://localhost/x")):
            pass
    assert refusal.value.field == "TOLLBRIDGE_DATABASE_URL"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hush@127.0.0.1:1/bills",
        "postgresql://me:hush@/bills?host=/nowhere",
        "postgresql://me:hush@127.0.0.1:1/bills?sslmode=nonsense",
    ],
)
async def test_an_unreachable_database_is_named_without_its_password(url: str) -> None:
    with pytest.raises(Unavailable, match="/bills cannot be reached") as refusal:
        async with connected(url):
            pass
    assert "hush" not in refusal.value.message
    assert refusal.value.hint


async def test_a_wrong_password_is_told_apart_from_a_dead_server(database_url: str) -> None:
    wrong = database_url.replace("tollbridge:", "tollbridge:wrong", 1)
    with pytest.raises(Unavailable, match="password authentication failed"):
        async with connected(wrong):
            pass
